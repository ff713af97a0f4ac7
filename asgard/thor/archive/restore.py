"""Bring records of an archive back into topics: what is missing there, each record once, in its partition and order.

For a topic that still exists, only offsets below its first one are brought back: it has the others. What an earlier restore brought
to the same topic is not brought again. Pure, except for reading files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from asgard.core import events
from asgard.core.errors import Failed
from asgard.kafka.data import Read
from asgard.kafka.model import NewTopic, Topic
from asgard.thor.archive import read
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import Head, Shard
from asgard.thor.replay.history import RecordedCopy
from asgard.thor.replay.model import ReadBatch, Saved, TopicPartition
from asgard.thor.replay.slots import MAX_NOTE

AT_ONCE = 4
"""Partitions whose files are read in turn, so that writes go to several leaders."""


@dataclass(frozen=True)
class Life:
    """One life of a topic in an archive: its shards by partition, and what is needed to create it again."""

    topic: str
    topic_id: str
    cluster_id: str
    heads: dict[int, Head]

    @property
    def partitions(self) -> int:
        return max((head.facts.partitions for head in self.heads.values()), default=0)

    def new_topic(self, name: str, brokers: int) -> NewTopic:
        """The topic as it was, with as many replicas as the brokers allow."""
        newest = max(self.heads.values(), key=lambda head: head.at)
        configs = {k: v for k, v in newest.facts.config.items() if "throttled" not in k}
        return NewTopic(name, self.partitions, max(1, min(newest.facts.replication, brokers)), configs)


def lives(plan: read.WindowFiles) -> dict[str, list[Life]]:
    """The lives of each topic with files in the window, oldest first."""
    found: dict[tuple[str, str], Life] = {}
    for shard, head in plan.heads.items():
        life = found.setdefault((shard.topic, shard.topic_id), Life(shard.topic, shard.topic_id, head.cluster_id, {}))
        life.heads[shard.partition] = head
    with_files = {(shard.topic, shard.topic_id) for shard, files in plan.files.items() if files}
    by_topic: dict[str, list[Life]] = {}
    for key, life in found.items():
        if key in with_files:
            by_topic.setdefault(life.topic, []).append(life)
    return {topic: sorted(all_, key=lambda life: min(h.at for h in life.heads.values())) for topic, all_ in by_topic.items()}  # fmt: skip


@dataclass(frozen=True)
class Brought:
    """What an earlier restore brought to the same topic: offsets `[start, end)` of a shard with times in its window."""

    shard: Shard
    start: int
    end: int
    from_ms: int | None
    until_ms: int | None


def window(
    plan: read.WindowFiles, life: Life, still: Topic | None, first_offsets: Mapping[TopicPartition, int]
) -> dict[TopicPartition, tuple[int, int]]:
    """The offsets of a life to bring back. `still` is the topic if it still exists, `first_offsets` its first offsets."""
    found = {}
    for partition, head in sorted(life.heads.items()):
        files = plan.files.get(head.shard, ())
        if not files:
            continue
        start, end = files[0].start, files[-1].end
        if still is not None and still.id == life.topic_id:
            end = min(end, first_offsets.get((life.topic, partition), start))
        if end > start:
            found[life.topic, partition] = (start, end)
    return found


@dataclass
class Holds:
    """At most what a window holds: records, bytes of keys, values and headers, those of the largest record (0: unknown).

    `times` counts records by the time (ms) of the newest record of their file.
    """

    records: int = 0
    bytes: int = 0
    largest: int = 0
    times: dict[int, int] = field(default_factory=dict)


def records_in(plan: read.WindowFiles, life: Life, window: Mapping[TopicPartition, tuple[int, int]]) -> Holds:
    """What the files of a window hold at most."""
    found = Holds()
    for (_, partition), (_, end) in window.items():
        for file in plan.files.get(life.heads[partition].shard, ()):
            if file.start < end:
                found.records += file.records
                found.bytes += file.raw_bytes
                found.largest = max(found.largest, file.largest_bytes)
                found.times[file.last_ms or 0] = found.times.get(file.last_ms or 0, 0) + file.records
    return found


@dataclass
class ArchiveSource:
    """Reads a life's files for a copy. Each file is checked before its first record is returned.

    With `skip_damaged`, one that can't be used is left out, with a warning. Which offsets that were is committed with the progress.
    """

    plan: read.WindowFiles
    life: Life
    window: Mapping[TopicPartition, tuple[int, int]]
    brought: Sequence[Brought] = ()
    skip_damaged: bool = False
    skipped: dict[TopicPartition, list[tuple[int, int]]] = field(default_factory=dict)
    """Offsets `[start, end)` of damaged files, in order."""
    left: int = 0
    """Records that an earlier restore had brought."""
    _most: tuple[int, int] = field(default=(2000, 8 * 1024 * 1024))

    def ask(self, records: int, size_bytes: int) -> None:
        self._most = records, size_bytes

    def started(self, saved: Mapping[TopicPartition, Saved]) -> None:
        """Keep what was skipped below the committed positions; what is above them is read again."""
        self.skipped = {
            key: [(start, end) for start, end in _ranges(known.note) if end <= known.position]
            for key, known in saved.items()
        }

    def note_of(self, key: TopicPartition) -> str:
        """The skipped offsets of a partition, for the commit. Raises Failed if they are too scattered."""
        text = ",".join(f"{start}-{end}" for start, end in self.skipped.get(key, ()))
        if len(text) > MAX_NOTE:
            raise Failed(
                f"damaged files scattered over {key[0]}-{key[1]} are too many to keep track of",
                "Restore shorter windows, with --from and --until.",
            )
        return text

    @property
    def damaged(self) -> list[str]:
        """The names of the files that were skipped, in this run and before."""
        return [
            file.name
            for (_, partition), ranges in sorted(self.skipped.items())
            for file in self.plan.files.get(self.life.heads[partition].shard, ())
            if any(start < file.end and file.start < end for start, end in ranges)
        ]

    def read(self, start: Mapping[TopicPartition, int]) -> Iterator[ReadBatch]:
        self.left = 0
        waiting = [(key, start.get(key, low), high) for key, (low, high) in sorted(self.window.items())]
        reading: list[Iterator[ReadBatch]] = []
        while waiting or reading:
            while waiting and len(reading) < AT_ONCE:
                key, at, end = waiting.pop(0)
                if at < end:
                    reading.append(self._partition(key, at, end))
            for one in list(reading):
                batch = next(one, None)
                if batch is None:
                    reading.remove(one)
                else:
                    yield batch

    def _partition(self, key: TopicPartition, at: int, end: int) -> Iterator[ReadBatch]:
        shard = self.life.heads[key[1]].shard
        brought = [b for b in self.brought if b.shard == shard]
        records: list[Read] = []
        size = 0
        for block in self._blocks(key, at, end):
            for few in _within(block, *self._most):
                wanted = few if few and few[-1].offset < end else [r for r in few if r.offset < end]
                if brought:
                    missing = [r for r in wanted if not any(_covers(b, r) for b in brought)]
                    self.left += len(wanted) - len(missing)
                    wanted = missing
                records += wanted
                size += _bytes(wanted)
                if len(records) >= self._most[0] or size >= self._most[1]:
                    yield ReadBatch(records, {key: records[-1].offset + 1})
                    records, size = [], 0
        yield ReadBatch(records, {key: end})

    def _blocks(self, key: TopicPartition, at: int, end: int) -> Iterator[list[Read]]:
        """The blocks with offsets `[at, end)`, and what else the last one holds."""
        shard = self.life.heads[key[1]].shard
        for file in self.plan.files.get(shard, ()):
            if file.end <= at or file.start >= end:
                continue
            reached = max(file.start, at)
            try:
                for block in read.blocks(self.plan, shard, file, at):
                    yield block
                    reached = block[-1].offset + 1 if block else reached
                    if reached >= end:
                        break
            except Damaged as error:
                if not self.skip_damaged:
                    raise
                if error.name not in {known.name for known in self.plan.damaged}:  # those were named before the start
                    events.warn(error.what)
                self._skip(key, reached, min(file.end, end))

    def _skip(self, key: TopicPartition, start: int, end: int) -> None:
        ranges = self.skipped.setdefault(key, [])
        if ranges and ranges[-1][1] == start:
            start, _ = ranges.pop()
        ranges.append((start, end))


def _ranges(note: str) -> list[tuple[int, int]]:
    """The offsets of a commit's note."""
    pairs = [text.split("-") for text in note.split(",") if text]
    return [(int(start), int(end)) for start, end in pairs]


def _within(block: list[Read], records: int, size_bytes: int) -> Iterator[list[Read]]:
    """A block in pieces of about this many records and bytes."""
    each = max(1, _bytes(block) // max(1, len(block)))
    step = max(1, min(records, size_bytes // each))
    for at in range(0, len(block), step):
        yield block[at : at + step]


def _bytes(records: Sequence[Read]) -> int:
    """Keys and values."""
    return sum([len(r[4] or b"") + len(r[5] or b"") for r in records])


def _covers(brought: Brought, record: Read) -> bool:
    if not brought.start <= record.offset < brought.end:
        return False
    return read.TopicWindow((), brought.from_ms, brought.until_ms).has(record.timestamp_ms)


def brought_before(
    finished: Sequence[RecordedCopy],
    archive: str,
    target_cluster: str,
    target: Topic | None,
    firsts: Mapping[TopicPartition, int],
) -> list[Brought]:
    """What finished restores brought to a topic and is still there, judging by `firsts`, its first offsets.

    A restore of some records only (a filter) says nothing about the others.
    """
    found = []
    for known in finished:
        plan = known.plan
        if plan.get("archive") != archive or plan.get("target") != target_cluster or plan.get("filtered"):
            continue
        if target is None or known.last.get("target_id") != target.id:
            continue
        gone = {p for p, end in plan["target_ends"] if firsts.get((target.name, p), 0) > end}
        skipped = known.last.get("skipped", [])
        found += [
            Brought(Shard(topic, plan["topic_id"], partition), first, last, plan["from_ms"], plan["until_ms"])
            for topic, partition, start, end in plan["window"]
            if partition not in gone
            for first, last in _without(start, end, [(low, high) for p, low, high in skipped if p == partition])
        ]
    return found


def _without(start: int, end: int, skipped: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges that are left of `[start, end)`; `skipped` are in order."""
    found = []
    for low, high in (*skipped, (end, end)):
        if start < low:
            found.append((start, low))
        start = high
    return found
