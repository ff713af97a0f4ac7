"""`asgard demo`: see it work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import command, single
from asgard.core import console
from asgard.core.console import Table
from asgard.core.units import format_duration, format_size

if TYPE_CHECKING:
    from asgard.compose.demo import Report
    from asgard.compose.demo_archive import Saved
    from asgard.compose.demo_drill import Drilled
    from asgard.compose.demo_heal import Healing

app = single()


@command(app, example="asgard demo --keep")
def demo(
    events: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many ride bookings to write.")] = 100_000,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the cluster running.")] = False,
) -> None:
    """Create a real, secured Kafka as code, send records through it, kill brokers, heal it, count every record, run a drill,
    and write the day's page.

    Everything is stopped and removed at the end, also after Ctrl-C, unless --keep.
    """
    from asgard.compose import demo as acts
    from asgard.kafka.distribution.home import ensure_kafka
    from asgard.kafka.distribution.jars import DEFAULT_VERSION

    ensure_kafka(DEFAULT_VERSION)
    report = acts.run(events, keep=keep)
    console.emit(report, Table(["what", "figure"], _rows(report)), text=_next(report))


def _rows(report: Report) -> list[list[object]]:
    return [
        ["brokers, topics, users", f"{report.brokers}, {report.topics}, {report.users}"],
        ["from nothing to ready", format_duration(report.up_s)],
        [
            f"team {report.asked.team} asked for {report.asked.topic}",
            f"usable after {format_duration(report.asked.seconds)}",
        ],
        ["  a stranger writing to it", report.asked.stranger],
        ["records acknowledged (acks=all)", f"{report.acknowledged:,} of {report.sent:,}"],
        ["written at", f"{report.written_per_s:,.0f} records/s"],
        *(row for healing in report.healings for row in _healing(healing)),
        ["acknowledged while brokers died", f"{report.meanwhile:,}"],
        *(_saved(report.saved) if report.saved else ()),
        ["read back and checked", f"{report.read:,} in {format_duration(report.read_s)}"],
        ["lost, duplicated, damaged", f"{report.lost}, {report.duplicated}, {report.corrupted}"],
        ["a user without permission", report.refused],
        *(_drill(report.drill) if report.drill else ()),
        ["the day's page, the drill marked on it", str(report.day)],
    ]


def _healing(healing: Healing) -> list[list[object]]:
    return [
        [f"broker {healing.broker} killed, {healing.how}", f"noticed after {format_duration(healing.seen_s)}"],
        ["  no partition under-replicated", f"{format_duration(healing.whole_s)} after the kill"],
    ]


def _saved(saved: Saved) -> list[list[object]]:
    return [
        [
            "archived",
            f"{saved.archived:,} records, {format_size(saved.archived_bytes)}, in {format_duration(saved.archive_s)}",
        ],
        [
            "rides.booked emptied by mistake",
            f"{saved.restored:,} records back from the archive in {format_duration(saved.restore_s)}",
        ],
    ]


def _drill(drill: Drilled) -> list[list[object]]:
    def took(seconds: float | None) -> str:
        return "never" if seconds is None else format_duration(seconds)

    return [
        [f"drill: {drill.fault}", f"noticed after {took(drill.noticed_s)}, recovered after {took(drill.whole_s)}"],
        ["  blocked", f"producers {took(drill.writers_waited_s)}, consumers {took(drill.readers_waited_s)}"],
        ["  acknowledged, lost", f"{drill.acknowledged:,}, {drill.lost}"],
        ["  report with its plots", str(drill.report)],
        ["  again (after --keep)", drill.command],
    ]


def _next(report: Report) -> str:
    if report.kept:
        lines = [
            f"The cluster runs on; its stack file is {report.file}. Try:",
            f"  asgard odin drift --stack {report.stack}",
            f"  asgard odin preview -f {report.file} --set 'topics[0].partitions=24'",
            "  asgard kafka nodes",
            "  asgard journal events",
            f"  asgard odin destroy --stack {report.stack} --confirm {report.stack}",
        ]
    else:
        lines = [
            "Everything was stopped and removed. Your own cluster:",
            "  asgard odin init local-ha",
            "  asgard odin preview",
            "  asgard odin up",
        ]
    return "\n".join([*lines, f"The day's page, with the drill marked on it: {report.day}"])
