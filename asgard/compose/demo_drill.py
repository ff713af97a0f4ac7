"""The demo's last act: a disaster drill, with its load, its plots and the page that shows a stakeholder the result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asgard.core import events as news
from asgard.core.errors import Failed
from asgard.core.units import format_duration
from asgard.kafka.target import Target

SCENARIO, SEED = "broker-hangs", 6
"""A seed with a short wait before the fault."""


@dataclass(frozen=True)
class Drilled:
    """The result of the drill. Times in seconds; `report` is the page."""

    fault: str
    noticed_s: float | None
    whole_s: float | None
    writers_waited_s: float
    readers_waited_s: float
    acknowledged: int
    lost: int
    verdict: str
    command: str
    report: Path


def act(target: Target, directory: Path) -> Drilled | None:
    """Run it and write its report; None, with a message, if the load packages are not installed."""
    from asgard.compose import drill
    from asgard.loki.drill import report
    from asgard.loki.drill.verdict import added_up
    from asgard.loki.load import run as runs

    try:
        runs.check_installed()
    except Failed as error:
        news.warn(f"{error.what}: the demo skips the drill. {error.hint}")
        return None
    order = drill.DrillOrder(SCENARIO, SEED)
    with news.silence():
        (run,) = drill.run(target, order)
    page = report.write(added_up([run], target.name, run.command), directory)
    fault = run.faults[0]
    took = "not healed" if fault.healed_s is None else f"recovered {format_duration(fault.healed_s)} after it began"
    news.note(f"  {fault.text}, {took}. {run.verdict}")
    return Drilled(
        fault.text,
        fault.noticed_s,
        fault.healed_s,
        run.producers_waited_s,
        run.consumers_waited_s,
        run.acknowledged,
        run.lost,
        run.verdict,
        run.command,
        page,
    )
