"""Why Loki carries out experiments itself: what Chaos Toolkit's own library does where something is not to be broken any more.

Its form, its order, its outcome and its tolerances are kept, and its runner runs the same files (`tests/integration/test_loki_chaos.py`). But it
goes on after a refusal, has no way to say no before an activity, carries out what waits in the background after a run was
ended, and runs in the main thread of a process only. `test_chaos_run.py` has what Loki does instead. If one of these fails, the library has
changed: look again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from chaoslib.run import RunEventHandler, Runner
from chaoslib.types import Strategy

from tests.unit.loki import chaos_functions

OTHERS = "tests.unit.loki.chaos_functions"


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    chaos_functions.did.clear()
    yield
    chaos_functions.did.clear()


def action(func: str, module: str = OTHERS, **more: Any) -> dict[str, Any]:
    arguments = more.pop("arguments", {})
    provider = {"type": "python", "module": module, "func": func, "arguments": arguments}
    return {"type": "action", "name": func, "provider": provider, **more}


def by_library(*method: dict[str, Any], handler: RunEventHandler | None = None) -> dict[str, Any]:
    """The journal of a run by the library."""
    with Runner(Strategy.DEFAULT) as runner:
        if handler is not None:
            runner.register_event_handler(handler)
        journal: dict[str, Any] = runner.run({"title": "t", "description": "d", "method": list(method)}, settings={})
    return journal


def test_after_a_refusal_the_library_goes_on() -> None:
    journal = by_library(action("refuses"), action("breaks"))
    assert journal["status"] == "completed"
    assert chaos_functions.did == ["breaks"], "what the limit was to prevent"


def test_an_event_handler_of_the_library_can_not_say_no() -> None:
    class Veto(RunEventHandler):  # type: ignore[misc]
        def start_activity(self, activity: Any) -> None:
            raise PermissionError("not this one")

    assert by_library(action("breaks"), handler=Veto())["status"] == "completed"
    assert chaos_functions.did == ["breaks"]


def test_what_waits_in_the_background_is_carried_out_after_the_library_was_told_to_end() -> None:
    waits = action("breaks", background=True, pauses={"before": 1.0})
    assert by_library(waits, action("ends_the_run"))["status"] == "interrupted"
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(10)
    assert chaos_functions.did == ["breaks"]


def test_the_library_runs_in_the_main_thread_only() -> None:
    failures: list[BaseException] = []

    def carry_out() -> None:
        try:
            by_library(action("breaks"))
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=carry_out)
    thread.start()
    thread.join()
    assert "main thread" in str(failures[0])
    assert chaos_functions.did == []
