"""Where were records lost? Searches the log segments of every replica for each of them, on disks that this machine can read.

A record that got an offset from Kafka is searched for at that offset, which reads the headers of only a few batches. One without
(acks=0) is searched for in all records of its partition.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from asgard.kafka import segments, stamp
from asgard.loki.check.catalogue import Where
from asgard.loki.check.check import CheckResult
from asgard.loki.check.history import NO_OFFSET
from asgard.loki.check.verdict import Traces
from asgard.loki.check.working_set import LostRecords
from asgard.machines.targets import LogDisk

Name = tuple[int, int]
"""A record of a topic: producer and sequence."""


@dataclass
class Wanted:
    """Lost records of one partition: by offset, ascending, and those without a known offset."""

    offsets: list[int] = field(default_factory=list)
    by_offset: dict[int, set[Name]] = field(default_factory=dict)
    anywhere: set[Name] = field(default_factory=set)

    @property
    def told(self) -> set[Name]:
        """Those whose offset is known."""
        return set().union(*self.by_offset.values())

    def may_be_in(self, batch: segments.RecordBatch) -> bool:
        """Whether the batch may hold one of them."""
        at = bisect_left(self.offsets, batch.base_offset)
        return bool(self.anywhere) or (at < len(self.offsets) and self.offsets[at] <= batch.last_offset)


def look(
    result: CheckResult,
    nodes: Iterable[LogDisk],
    leaders: Mapping[Where, int],
    replicas: Mapping[Where, tuple[int, ...]],
) -> Traces:
    """Search for the records that the check misses. `nodes` are this machine's; `leaders` and `replicas` as the cluster reports them."""
    local = {node.id: node for node in nodes}
    in_kafka = on_the_way = 0
    left_on: Counter[int] = Counter()
    unread: dict[str, None] = {}
    for topic, missing in result.missing.items():
        for partition, wanted in _by_partition(missing).items():
            where = (topic, partition)
            found: dict[int, set[Name]] = {}
            whole = set()  # replicas that were read to the end: what was not found is not there
            for broker in replicas.get(where, tuple(local)):
                directory, problem = _directory(local.get(broker), where)
                if directory is None:
                    unread[f"broker {broker} ({problem})"] = None
                    continue
                found[broker], damaged = _search(directory, result.run, wanted)
                unread.update((f"broker {broker} ({what})", None) for what in damaged)
                if not damaged:
                    whole.add(broker)
            leader = leaders.get(where, -1)
            served = found.get(leader, set())  # readers get what the leader holds
            held = set().union(*(names for broker, names in found.items() if broker != leader)) - served
            left_on.update({broker: len(names - served) for broker, names in found.items()})
            on_the_way += len(served)
            if leader in whole:
                in_kafka += len((wanted.told | (wanted.anywhere & held)) - served)
                if whole >= set(replicas.get(where, ())):
                    on_the_way += len(wanted.anywhere - served - held)
    return Traces(in_kafka, on_the_way, dict(+left_on), tuple(unread))


def _by_partition(missing: LostRecords) -> dict[int, Wanted]:
    found: dict[int, Wanted] = {}
    columns = (missing.partitions, missing.offsets, missing.producers, missing.sequences)
    for partition, offset, producer, sequence in zip(*(np.asarray(c).tolist() for c in columns), strict=True):
        wanted = found.setdefault(partition, Wanted())
        if offset == NO_OFFSET:
            wanted.anywhere.add((producer, sequence))
        else:
            wanted.by_offset.setdefault(offset, set()).add((producer, sequence))
    for wanted in found.values():
        wanted.offsets = sorted(wanted.by_offset)
    return found


def _directory(node: LogDisk | None, where: Where) -> tuple[Path | None, str]:
    if node is None:
        return None, "not on this machine"
    found = node.partition_dir(*where)
    return found, "" if found is not None else f"it has no directory of {where[0]}-{where[1]}"


def _search(directory: Path, run: bytes, wanted: Wanted) -> tuple[set[Name], list[str]]:
    """Which of the records the replica holds, and which parts of it can't be read."""
    found: set[Name] = set()
    damaged: list[str] = []
    span = (0, None) if wanted.anywhere else (wanted.offsets[0], wanted.offsets[-1])
    for segment in segments.segments(directory, *span):
        try:
            for batch in segments.batches(segment):
                if batch.control or not wanted.may_be_in(batch):
                    continue
                if batch.intact:
                    found |= set(_names(batch, run, wanted))
                else:
                    damaged.append(f"{directory.name}: the batch at offset {batch.base_offset} is damaged")
        except segments.Damaged as error:
            damaged.append(f"{directory.name}: {error.what}")
    return found, damaged


def _names(batch: segments.RecordBatch, run: bytes, wanted: Wanted) -> Iterator[Name]:
    for record in batch.records():
        here = wanted.by_offset.get(record.offset, set())
        if here or wanted.anywhere:
            try:
                found = stamp.find(record.headers)
            except stamp.InvalidStamp:
                continue
            if found is not None and found.run == run:
                name = (found.producer, found.sequence)
                if name in here or name in wanted.anywhere:
                    yield name
