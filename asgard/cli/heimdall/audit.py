"""`asgard heimdall audit`: what arrived, by topic, window and tier; what was lost or duplicated on the way."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.heimdall.report import SettingsFile
from asgard.cli.moments import since_s, utc
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from asgard.core.database import Database
    from asgard.heimdall.audit.judge import Row
    from asgard.heimdall.audit.plan import AuditPlan
    from asgard.heimdall.audit.run import AuditRun

_COLUMNS = ("window (UTC)", "tier", "topic", "state", "records", "lost", "gaps", "duplicates", "late", "p50", "p99")


@command(
    app,
    example="asgard heimdall audit orders.raw orders.created\nasgard heimdall audit -f audit.yaml --since 2h --json",
)
def audit(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC…", help="Topics a record passes through, in this order.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="An audit file with tiers of several topics.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Keep the progress under this name.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Show windows since then (2h, 7d, or a date or time, UTC).")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Keep reading until Ctrl-C.")] = False,
    settings: SettingsFile = None,
    which: Which = Which(),
) -> int:
    """Count what has arrived since the last run, and show by topic, window and tier what was lost, doubled or late.

    Each record counts once, also if the audit is killed. Exits with 1 if a closed window has losses, gaps or duplicates.
    """
    from asgard.compose.audit_alerts import alerting
    from asgard.heimdall import settings as reading
    from asgard.heimdall.audit import run, store
    from asgard.journal.store.database import open_journal

    plan, given = _plan(topics or [], file, name), reading.load(settings)
    chosen = which.pick()
    from_s = since_s(since)
    with closing(chosen.connect()) as control, store.open_store() as database, open_journal() as journal:
        cluster_id = control.cluster().cluster_id
        kept = store.AuditStore(database, cluster_id, plan)
        tell = _teller(journal, plan, aloud=follow)
        with alerting(given, database, journal, cluster_id, chosen.name) as alerts:
            done = run.audit(kept, chosen.connection, control, follow=follow, tell=tell, looked=alerts.update)
        found = kept.report(from_s)
    _show(plan, done, found)
    return int(ExitCode.FAILED if any(row.troubled for row in found) else ExitCode.OK)


def _plan(topics: Sequence[str], file: Path | None, name: str | None) -> AuditPlan:
    from dataclasses import replace

    from asgard.heimdall.audit import plan

    if bool(topics) == (file is not None):
        raise WrongUsage(
            "name either topics or a file with -f", "As in `asgard heimdall audit orders.raw orders.created`."
        )
    found = plan.read(file) if file is not None else plan.of_topics(topics)
    return replace(found, name=name) if name else found


def _teller(journal: Database, plan: AuditPlan, *, aloud: bool) -> Callable[[Row], None]:
    from asgard.journal import events

    def tell(row: Row) -> None:
        data = {
            "window": utc(row.start_s),
            "tier": row.tier,
            "lost": row.lost,
            "gaps": row.gaps,
            "duplicates": row.duplicates,
            "examples": row.examples,
            "audit": plan.name,
        }
        events.record(
            journal, "heimdall.record.lost" if row.lost or row.gaps else "heimdall.record.doubled", row.topic, data
        )
        if aloud:
            lost = f"{row.lost or 0} lost, {row.gaps or 0} gaps, {row.duplicates} duplicates"
            console.warn(f"{row.topic} at {utc(row.start_s)}: {lost}")

    return tell


def _show(plan: AuditPlan, done: AuditRun, found: Sequence[Row]) -> None:
    document = {
        "audit": plan.name,
        "window_s": plan.window_s,
        "read": done.records,
        "skipped": done.skipped,
        "windows": [{"window": utc(row.start_s), **console.to_plain(row)} for row in found],
    }
    rows = [
        (
            utc(row.start_s),
            row.tier,
            row.topic,
            row.state,
            f"{row.records:,}",
            row.lost,
            row.gaps,
            row.duplicates,
            row.late,
            _ms(row.p50_ms),
            _ms(row.p99_ms),
        )
        for row in found
    ]
    right = frozenset(_COLUMNS[4:])
    rate = f" ({done.records / done.seconds:,.0f}/s)" if done.seconds > 1 else ""
    text = f"{done.records:,} records read in {done.seconds:.1f} s{rate}"
    if done.skipped:
        text += f"; {done.skipped:,} offsets were deleted by retention before they could be audited"
    for row in found:
        if row.examples:
            text += f"\nnot in the next tier, of {row.topic} at {utc(row.start_s)}: {', '.join(row.examples)}"
    console.emit(document, Table(_COLUMNS, rows, right=right), text=text)


def _ms(value: float | None) -> str | None:
    return None if value is None else f"{value / 1000:.2f} s" if value >= 1000 else f"{value:.0f} ms"
