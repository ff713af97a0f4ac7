"""The way of an event: the records that carry it, in the order of their times. Pure.

Records belong to one event if their stamps name the same one, else if their traces do, else each is its own event.
Times are ms since 1970 (UTC); those between hops are ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asgard.heimdall.stamp import Seen, TraceParent, seen
from asgard.kafka.data import Read


@dataclass(frozen=True)
class Hop:
    """A record of the event. `after_ms`: since the hop before (the first one: since it was due); None if nothing was before."""

    topic: str
    partition: int
    offset: int
    at_ms: int
    after_ms: float | None
    key: bytes | None
    intact: bool | None
    trace: TraceParent | None


@dataclass(frozen=True)
class Way:
    """An event. `event` is its stamp's id, `trace` its trace id; `due_ms`: when it was meant to be sent."""

    event: str | None
    trace: str | None
    due_ms: float | None
    hops: tuple[Hop, ...]

    @property
    def total_ms(self) -> float:
        """From the time it was due, else from its first record, to its last record."""
        return self.hops[-1].at_ms - (self.hops[0].at_ms if self.due_ms is None else self.due_ms)


def ways(records: Iterable[Read]) -> list[Way]:
    """The events of these records, the earliest first."""
    groups: dict[object, list[tuple[Read, Seen]]] = {}
    for record in records:
        found = seen(record.headers, record.value)
        name: object = (record.topic, record.partition, record.offset)
        if found.stamp is not None:
            name = (found.stamp.run, found.stamp.producer, found.stamp.sequence)
        elif found.trace is not None:
            name = found.trace.trace_id
        groups.setdefault(name, []).append((record, found))
    return sorted((_way(group) for group in groups.values()), key=lambda way: way.hops[0].at_ms)


def _way(group: list[tuple[Read, Seen]]) -> Way:
    group.sort(key=lambda pair: (pair[0].timestamp_ms, pair[0].topic, pair[0].partition, pair[0].offset))
    stamp = next((found.stamp for _, found in group if found.stamp is not None), None)
    trace = next((found.trace.trace_id for _, found in group if found.trace is not None), None)
    before = due = stamp.intended_us / 1000 if stamp is not None else None
    hops = []
    for record, found in group:
        after = None if before is None else record.timestamp_ms - before
        where = (record.topic, record.partition, record.offset, record.timestamp_ms)
        hops.append(Hop(*where, after, record.key, found.intact, found.trace))
        before = float(record.timestamp_ms)
    event = f"{stamp.run.hex()}:{stamp.producer}:{stamp.sequence}" if stamp is not None else None
    return Way(event, trace, due, tuple(hops))
