"""`asgard heimdall report`: a day of a cluster as a page, for chat, and for machines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.heimdall.volume import Day, Zone
from asgard.core import console
from asgard.core.errors import ExitCode

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="Owners, rules, thresholds; else heimdall.yaml.")
]


@command(app, name="report", example="asgard heimdall report --date yesterday --out daily")
def report(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go.")],
    date: Day = "yesterday",
    tz: Zone = "UTC",
    settings: SettingsFile = None,
    which: Which = Which(),
) -> int:
    """Write the daily report: what arrived, how much, how late, what is missing, who lagged, what happened.

    report.html is one self-contained page, report.md is for chat, report.json, topics.csv and unusual.csv are for machines. Exits
    with 1 if something is missing, late or low, or unread records were deleted.
    """
    from asgard.compose import heimdall
    from asgard.heimdall import settings as reading
    from asgard.heimdall.report import files
    from asgard.heimdall.volume import windows

    zone = windows.zone(tz)
    day = windows.parse_date(date, time.time(), zone)
    given = reading.load(settings)
    chosen = which.pick()
    found = heimdall.daily(chosen, day, zone, given)
    written = files.write(found, out)
    for what, why in found.problems.items():
        console.warn(f"{what}: {why}")
    document = {**files.document(found), "files": written}
    console.emit(document, text=files.markdown(found) + f"\nThe page: {written[0]}")
    wrong = bool(found.wrong) or any(g.expired_unread for g in found.groups)
    return int(ExitCode.FAILED if wrong else ExitCode.OK)
