"""`asgard heimdall volume` and `missing`: what arrived on a day, and how it differs from the weeks before."""

from __future__ import annotations

import time
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.core import console, units
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from asgard.heimdall.volume.model import Compared, Count


class By(StrEnum):
    """The windows of a day."""

    HOUR = "hour"
    DAY = "day"


Day = Annotated[str, typer.Option("--date", metavar="DATE", help="A day as in 2026-11-27, today or yesterday.")]
Windows = Annotated[By, typer.Option("--by", help="The windows of the day.")]
Topics = Annotated[list[str], typer.Option("--topic", metavar="TOPIC", help="Only this topic; repeatable.")]
Zone = Annotated[str, typer.Option("--tz", metavar="ZONE", help="The time zone of the day, as in Europe/Berlin.")]


@command(
    app,
    name="volume",
    example="asgard heimdall volume --date yesterday --by day\nasgard heimdall volume --topic orders",
)
def volume(
    date: Day = "yesterday",
    by: Windows = By.HOUR,
    topic: Topics = [],  # noqa: B006  (typer's own copy)
    tz: Zone = "UTC",
    which: Which = Which(),
) -> None:
    """Count the records of a day by topic and hour, from Kafka's time index: the records themselves aren't read.

    Where a count may not be exact it says why. Changes nothing.
    """
    from asgard.heimdall.volume import ask, windows

    zone = windows.zone(tz)
    asked = windows.of_day(windows.parse_date(date, time.time(), zone), zone, by.value)
    with closing(which.pick().connect()) as control:
        found = ask.volume(control, asked, topic or None)
    for what, why in found.problems.items():
        console.warn(f"{what}: {why}")
    document = {"date": date, "tz": tz, "by": by, "counts": found.counts, "problems": found.problems}
    document["requests_by_broker"] = found.requests
    console.emit(document, _counts(found.counts))


@command(app, name="missing", example="asgard heimdall missing --date yesterday")
def missing(
    date: Day = "yesterday",
    by: Windows = By.HOUR,
    topic: Topics = [],  # noqa: B006  (typer's own copy)
    tz: Zone = "UTC",
    which: Which = Which(),
) -> int:
    """Show which hours of a day hold unusually few or many records, compared with the same hours of the four weeks before.

    Exits with 1 if something is missing, late or low. Changes nothing.
    """
    from asgard.heimdall.volume import ask, windows

    zone = windows.zone(tz)
    day = windows.parse_date(date, time.time(), zone)
    with closing(which.pick().connect()) as control:
        found = ask.missing(control, day, zone, by.value, topic or None)
    unusual = [c for c in found if c.verdict not in ("as usual", "unknown")]
    unknown = sum(c.verdict == "unknown" for c in found)
    words = f"{len(found) - len(unusual) - unknown} of {len(found)} windows are as usual, {unknown} can't be compared."
    console.emit({"date": day.isoformat(), "tz": tz, "compared": found}, _unusual(unusual), text=words)
    wrong = any(c.verdict in ("missing", "late", "low") for c in unusual)
    return int(ExitCode.FAILED if wrong else ExitCode.OK)


def _counts(counts: tuple[Count, ...]) -> console.Table:
    rows = [
        (
            c.topic,
            c.window.label,
            c.records,
            None if c.bytes is None else units.format_size(c.bytes),
            "; ".join(c.approximate) or "exact",
        )
        for c in counts
    ]
    return console.Table(("TOPIC", "FROM", "RECORDS", "ABOUT", "EXACT?"), rows, right=frozenset({"RECORDS", "ABOUT"}))


def _unusual(found: list[Compared]) -> console.Table:
    rows = [(c.count.topic, c.count.window.label, c.verdict, c.count.records, c.because) for c in found]
    return console.Table(("TOPIC", "FROM", "VERDICT", "RECORDS", "WHY"), rows, right=frozenset({"RECORDS"}))
