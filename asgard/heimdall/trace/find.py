"""Finds the records of an event in several topics: one reader for all their partitions, so that brokers answer in parallel.

A search by key reads only the partitions where the key can be. A topic that has gained partitions since has older
records elsewhere; `everywhere` reads all partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asgard.core import events
from asgard.core.errors import WrongUsage
from asgard.heimdall.tail import read
from asgard.heimdall.tail.decode import Decoder
from asgard.heimdall.tail.read import Stretch
from asgard.heimdall.trace.partitioners import candidates
from asgard.heimdall.trace.query import Query
from asgard.kafka.connection import Connection
from asgard.kafka.data import Read
from asgard.kafka.ports import ControlPlane

MOST = 10_000
"""At most so many records are kept: more are no longer the way of one event."""


@dataclass(frozen=True)
class FoundRecords:
    """What was found. `partitions` were read of `of_partitions`; `read`: records looked at; `cut`: there were more than MOST."""

    records: tuple[Read, ...]
    read: int
    partitions: int
    of_partitions: int
    cut: bool = False


def find(
    control: ControlPlane,
    connection: Connection,
    topics: Sequence[str],
    query: Query,
    stretch: Stretch,
    *,
    everywhere: bool = False,
) -> FoundRecords:
    """Every record that matches the query, in these topics and this stretch of time. Raises WrongUsage, Unreachable and Failed."""
    there = control.topics(topics)
    if missing := [topic for topic in topics if topic not in there]:
        raise WrongUsage(f"there is no topic {', '.join(missing)} in this cluster")
    counts = {name: len(topic.partitions) for name, topic in there.items()}
    wanted = None
    if query.key is not None and not everywhere:
        wanted = {name: candidates(query.key, count) for name, count in counts.items()}
    offsets = read.spans(control, list(topics), stretch, wanted)
    fits = query.matcher(Decoder())
    found: list[Read] = []
    looked = 0
    total = sum(span.records for span in offsets.values())
    cut = False
    for batch in read.stretch(connection, offsets):
        looked += len(batch)
        events.progress("trace", f"{looked:,} of {total:,} records", done=looked, total=total, unit="records")
        found += [record for record in batch if fits(record)]
        if len(found) > MOST:
            cut = True
            break
    return FoundRecords(tuple(found[:MOST]), looked, len(offsets), sum(counts.values()), cut)
