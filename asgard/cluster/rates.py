"""How fast partitions are written and read, from two looks at a cluster. Pure: samples in, rates in bytes per second out.

Written: the growth of the leader's log. If a log did not grow although records arrived (segments were deleted or
compacted meanwhile), the new records times the mean record size. No new record is a measured 0.

Read: Kafka does not report what consumers fetch, only what groups commit. The estimate is the records that all groups
committed meanwhile times the mean record size. A partition without commits is not measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from asgard.kafka.model import Partition

TopicPartition = tuple[str, int]


@dataclass(frozen=True)
class RateSample:
    """One look: `at` in seconds of any single clock, next offsets, bytes by broker and partition, committed offsets by
    group."""

    at: float
    ends: Mapping[TopicPartition, int]
    sizes: Mapping[int, Mapping[TopicPartition, int]]
    committed: Mapping[str, Mapping[TopicPartition, int]]


def needs_record_size(before: RateSample, after: RateSample, partitions: Collection[Partition]) -> list[Partition]:
    """Partitions whose rates can't be computed without their mean record size: for these, first offsets are needed."""
    read = _committed_records(before, after)
    needed = []
    for p in partitions:
        key = (p.topic, p.partition)
        records = _records(before, after, key)
        if (records or read.get(key)) and not (_growth(before, after, p) or 0) > 0:
            needed.append(p)
    return needed


def measured(
    before: RateSample, after: RateSample, starts: Mapping[TopicPartition, int], partitions: Iterable[Partition]
) -> list[Partition]:
    """The partitions with their rates; `starts` are first offsets of those that `needs_record_size` named."""
    seconds = after.at - before.at
    read = _committed_records(before, after)
    result = []
    for p in partitions:
        key = (p.topic, p.partition)
        records, growth = _records(before, after, key), _growth(before, after, p)
        record_bytes = None
        if records and growth is not None and growth > 0:
            record_bytes = growth / records
        elif p.size_bytes is not None and key in starts and after.ends.get(key, 0) > starts[key]:
            record_bytes = p.size_bytes / (after.ends[key] - starts[key])
        result.append(
            replace(
                p,
                bytes_in_per_s=_rate(records, record_bytes, seconds),
                bytes_out_per_s=_rate(read.get(key), record_bytes, seconds),
            )
        )
    return result


def _rate(records: int | None, record_bytes: float | None, seconds: float) -> float | None:
    if records == 0:
        return 0.0
    if records is None or record_bytes is None or seconds <= 0:
        return None
    return round(records * record_bytes / seconds, 1)


def _records(before: RateSample, after: RateSample, key: TopicPartition) -> int | None:
    """Records that arrived meanwhile; None if one of the two ends is unknown, or the log was recreated."""
    if key not in before.ends or key not in after.ends or after.ends[key] < before.ends[key]:
        return None
    return after.ends[key] - before.ends[key]


def _growth(before: RateSample, after: RateSample, p: Partition) -> int | None:
    """How many bytes the log of the partition's leader grew; None if its broker did not answer both times."""
    key = (p.topic, p.partition)
    old, new = before.sizes.get(p.leader, {}).get(key), after.sizes.get(p.leader, {}).get(key)
    return None if old is None or new is None else new - old


def _committed_records(before: RateSample, after: RateSample) -> dict[TopicPartition, int]:
    """Records that all groups committed meanwhile, for partitions with commits of any group at both times."""
    read: dict[TopicPartition, int] = defaultdict(int)
    for group, offsets in after.committed.items():
        earlier = before.committed.get(group, {})
        for key, offset in offsets.items():
            if key in earlier:
                # A group that was reset to an earlier offset has not read anything by that.
                read[key] += max(0, offset - earlier[key])
    return dict(read)
