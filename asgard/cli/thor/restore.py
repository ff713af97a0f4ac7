"""`asgard thor replay --from-archive`: topics from an archive, shown first, then restored."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgard.cli.moments import parse_ms
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from asgard.cluster.limits import Limits
    from asgard.compose.restore import PreparedRestore, Restored
    from asgard.kafka.target import Target
    from asgard.thor.replay.filters import Filter
    from asgard.thor.replay.pace import Rate


@dataclass(frozen=True)
class ArchiveOptions:
    """The archive options."""

    archive: str
    endpoint_url: str | None
    groups: bool
    skip_damaged: bool
    thaw: bool


@dataclass(frozen=True)
class ReplayOptions:
    """The options of every replay. `window`: the words of --from and --until."""

    topics: tuple[str, ...]
    to: str | None
    window: tuple[str | None, str | None]
    wanted: Filter
    create: bool
    accept_loss: bool
    again: bool


def run(
    where: ArchiveOptions,
    asked: ReplayOptions,
    target: Target,
    *,
    limits: Limits,
    rate: Rate,
    confirm: str | None,
    now: float,
    dry_run: bool,
) -> int:
    """Restore topics, or show what would be restored."""
    from asgard.compose import restore
    from asgard.journal.store.database import open_journal
    from asgard.thor.replay.model import Endpoint

    order = restore.RestoreOrder(
        where.archive,
        asked.topics,
        asked.to,
        where.endpoint_url,
        parse_ms(asked.window[0], now, "--from"),
        parse_ms(asked.window[1], now, "--until"),
        asked.window,
        asked.wanted,
        asked.create,
        where.groups,
        where.skip_damaged,
        asked.accept_loss,
        asked.again,
        where.thaw,
    )
    with open_journal() as journal, closing(target.connect()) as control:
        prepared = restore.prepare(control, order, journal, limits, now)
        if dry_run:
            return _show(prepared, order.accept_loss)
        restore.refuse(prepared, accept_loss=order.accept_loss)
        todo = [one for one in prepared if not one.finished]
        for one in todo:
            word = "continues" if one.last_at else "begins"
            console.say(f"restore {one.plan.id} {word}: {one.plan.words}, {one.records:,} records at most, about {units.format_size(one.size_bytes)}")  # fmt: skip
        if todo or order.groups:
            console.ask(f"Bring them back into {target.name}?")
        restored = restore.run(prepared, order, Endpoint(target.connection, control), journal, rate, confirm)
    return _report(restored, prepared)


def _show(prepared: list[PreparedRestore], accept_loss: bool) -> int:
    columns = ["topic", "to", "partition", "from", "until"]
    rows = [
        [topic, one.to, p, start, end]
        for one in prepared
        if not one.finished
        for (topic, p), (start, end) in sorted(one.plan.window.items())
    ]
    document = [
        {
            "id": one.plan.id,
            "topic": one.life.topic,
            "topic_id": one.life.topic_id,
            "to": one.to,
            "create": one.create is not None,
            "finished": one.finished,
            "records_at_most": one.records,
            "size_bytes": one.size_bytes,
            "objections": one.objections,
        }
        for one in prepared
    ]
    todo = [one for one in prepared if not one.finished]
    lines = [f"{sum(one.records for one in todo):,} records at most, about {units.format_size(sum(one.size_bytes for one in todo))}; none was read."]  # fmt: skip
    lines += [f"{one.to} would be created with {one.create.partitions} partitions" for one in todo if one.create]
    lines += [f"objection: {o.text}\n  {o.hint}" for one in todo for o in one.objections]
    console.emit(document, Table(columns, rows, right=frozenset(columns[2:])), text="\n".join(lines))
    blocked = any(not (o.loss and accept_loss) for one in todo for o in one.objections)
    return int(ExitCode.REFUSED if blocked else ExitCode.OK)


def _report(restored: Restored, prepared: list[PreparedRestore]) -> int:
    lines = [f"{', '.join(restored.topics) or 'nothing'}: {restored.records:,} records restored, each once; {units.format_size(restored.bytes)} in {units.format_duration(restored.seconds)}"]  # fmt: skip
    if all(one.finished for one in prepared):
        lines = ["nothing is missing: all of it was already restored, or is still there"]
    words = {
        "filtered": "not matched by the filters",
        "loop": "copies of others",
        "brought before": "restored before",
    }
    lines += [f"{count:,} records were {words.get(why, why)}" for why, count in sorted(restored.left.items())]
    if restored.groups:
        lines.append(f"{restored.groups} offsets of consumer groups were set to the same records")
    lines += [f"left out, damaged or missing: {name}" for name in restored.damaged]
    console.emit(restored, text="\n".join(lines))
    return int(ExitCode.FAILED if restored.damaged or restored.refused else ExitCode.OK)
