"""Functions that experiments of the tests call: a state that actions change and probes look at."""

from __future__ import annotations

import time
from typing import Any

state: dict[str, Any] = {"value": 0, "calls": []}
did: list[str] = []


def become(value: Any) -> None:
    """Change the state."""
    state["calls"].append(value)
    state["value"] = value


def look() -> Any:
    """The state."""
    return state["value"]


def fail(text: str = "on purpose") -> None:
    """Fail."""
    raise RuntimeError(text)


def small(value: Any) -> bool:
    """A tolerance that is a probe."""
    return isinstance(value, int) and value < 2


def with_configuration(configuration: dict[str, Any], secrets: dict[str, Any]) -> list[Any]:
    """What a function is handed of both."""
    return [configuration["name"], secrets["token"]]


def wait(seconds: float) -> None:
    """Take long."""
    time.sleep(seconds)


def breaks() -> None:
    """Something that is to be prevented."""
    did.append("breaks")


def refuses() -> None:
    """Refuse, as a limit does."""
    raise PermissionError("the blast radius does not allow it")


def ends_the_run() -> None:
    """End the run by the way that Chaos Toolkit's library has for it, once the background has begun."""
    from chaoslib.exit import exit_gracefully

    time.sleep(0.2)
    exit_gracefully()
    time.sleep(0.1)
