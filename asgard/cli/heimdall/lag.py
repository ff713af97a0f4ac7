"""`asgard heimdall lag`: who is behind, by how much, since when, and when unread data will expire."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.heimdall.collect import Thresholds
from asgard.cli.numbers import parse_number
from asgard.core import console, units
from asgard.core.errors import ExitCode, Unreachable

if TYPE_CHECKING:
    from asgard.heimdall.lag.model import GroupLag, LagReport, OffsetSample

SHOWN = 50
"""Partitions of one group shown in tables; JSON has them all."""
KEPT = 60
"""Number of looks that --watch bases its judgement on."""
_ALL = 1_000_000


@command(app, name="lag", example="asgard heimdall lag\nasgard heimdall lag orders-api --json")
def lag(
    group: Annotated[str | None, typer.Argument(help="A group, shown by partition with its members.")] = None,
    which: Which = Which(),
    watch: Annotated[bool, typer.Option("--watch", help="Keep refreshing until Ctrl-C.")] = False,
    apart: Annotated[
        str,
        typer.Option(
            "--apart", metavar="TIME", help="Time between the two samples, or between refreshes with --watch."
        ),
    ] = "2s",
    thresholds: Thresholds = None,
) -> int:
    """Show how far consumer groups are behind: records, the age of the oldest unread one, trend, and when data is lost.

    Without a group it lists all of them, the most worrying first. Exits with 1 if the named group is not ok. Changes nothing.
    """
    from asgard.heimdall.lag import ask, rules
    from asgard.heimdall.store import recent

    apart_s = parse_number("--apart", apart, units.parse_duration)
    given = rules.load(thresholds)
    names = [group] if group else None
    with closing(which.pick().connect()) as control:
        window: Sequence[OffsetSample] = recent.window(control.cluster().cluster_id, names, time.time())
        report: LagReport | None = None
        while True:
            try:
                report = ask.report(
                    control, names, thresholds=given, apart_s=apart_s, history=window, shown=_ALL if group else 1
                )
            except Unreachable as error:
                if not watch or report is None:
                    raise
                console.warn(error.what)
            else:
                _show(report, group, watch)
                window = report.window[-KEPT:]
            if not watch:
                well = all(one.status == "ok" for one in report.groups) and bool(report.groups)
                return int(ExitCode.FAILED if group and not well else ExitCode.OK)
            time.sleep(apart_s)


def _show(report: LagReport, group: str | None, watch: bool) -> None:
    for what, why in report.problems.items():
        console.warn(f"{what}: {why}")
    tables = (
        [_partitions(report.groups[0]), _members(report.groups[0])] if group and report.groups else [_groups(report)]
    )
    document = {"at": report.at, "basis": report.basis, "window_s": report.window_s, "groups": report.groups}
    document["requests_by_broker"] = report.requests
    if watch:
        at = time.strftime("%H:%M:%SZ", time.gmtime(report.at))
        console.emit_frame(document, "\n".join([f"{at}  {_basis(report)}", "", *map(console.render, tables)]))
    else:
        console.emit(document, *tables, text=_basis(report))


def _basis(report: LagReport) -> str:
    return f"Measured from {report.basis} over {units.format_duration(report.window_s)}."


def _groups(report: LagReport) -> console.Table:
    columns = ("GROUP", "STATUS", "LAG", "OLDEST UNREAD", "TREND", "CATCHES UP", "LOST UNREAD", "LOSES DATA IN", "WHY")
    rows = [
        (
            g.name,
            g.status,
            g.lag,
            _age(g),
            _trend(g.trend_per_s),
            _catch_up(g.lag, g.catch_up_s, g.catching_up),
            g.expired_unread or None,
            _duration(g.loses_data_in_s),
            g.because,
        )
        for g in report.groups
    ]
    return console.Table(columns, rows, right=frozenset({"LAG", "LOST UNREAD"}))


def _partitions(group: GroupLag) -> console.Table:
    first = ("PARTITION", "STATUS", "COMMITTED", "END", "LAG", "OLDEST UNREAD", "TREND")
    columns = (*first, "CATCHES UP", "LOST UNREAD", "LOSES DATA IN", "MEMBER")
    rows = [
        (
            f"{p.topic}-{p.partition}",
            p.status,
            p.committed,
            p.end,
            p.lag,
            _duration(p.time_lag_s),
            _trend(p.trend_per_s),
            _catch_up(p.lag, p.catch_up_s, p.catch_up_s is not None),
            p.expired_unread or None,
            _duration(p.loses_data_in_s),
            p.member,
        )
        for p in group.worst[:SHOWN]
    ]
    title = f"{group.name} ({group.type}, {group.state}): {group.status}, because {group.because}"
    if group.uncommitted:
        title += f"\n{group.uncommitted} partitions have no committed offset: their lag is not measured"
    if len(group.worst) > SHOWN:
        title += f"\nthe {SHOWN} most worrying of {len(group.worst)} partitions; --json has them all"
    return console.Table(columns, rows, title, frozenset({"COMMITTED", "END", "LAG", "LOST UNREAD"}))


def _members(group: GroupLag) -> console.Table:
    rows = [
        (m.client_id, m.host, m.id, sum(map(len, m.assignment.values())), ", ".join(sorted(m.assignment)))
        for m in group.members
    ]
    return console.Table(("CLIENT", "HOST", "MEMBER", "PARTITIONS", "TOPICS"), rows, right=frozenset({"PARTITIONS"}))


def _age(group: GroupLag) -> str | None:
    if group.time_lag_s is None or group.time_lag_at_most_s is None:
        return _duration(group.time_lag_s)
    return f"{units.format_duration(group.time_lag_s)} to {units.format_duration(group.time_lag_at_most_s)}"


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else units.format_duration(seconds)


def _trend(per_s: float | None) -> str | None:
    return None if per_s is None else f"{per_s:+.1f}/s" if per_s else "0/s"


def _catch_up(lag: int | None, seconds: float | None, catching_up: bool) -> str | None:
    if not lag:
        return None
    return f"in {units.format_duration(seconds)}" if seconds is not None and catching_up else "never at this rate"
