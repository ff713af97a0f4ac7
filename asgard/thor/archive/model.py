"""An archive as plain data: which file holds which offsets of a partition, and why an offset is in none.

Offsets and times (ms, UTC) are Kafka's own. A range is `[start, end)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

FORMAT = "asgard.archive/v1"
PAGE_FILES = 1000
"""Files that a head lists itself; more than that go to a separate page."""

Codec = Literal["zstandard", "deflate"]
CODECS: tuple[Codec, ...] = ("zstandard", "deflate")
Reason = Literal["transactions", "compaction", "compaction or transactions", "expired", "outside the window"]
"""Why an offset has no record in the archive.

`transactions`: a marker or an aborted record; `compaction`: removed by the log cleaner; `compaction or transactions`: retention
deleted the batches before they could be read; `expired`: deleted, by retention or otherwise, before it was archived; `outside the
window`: not requested.
"""


@dataclass(frozen=True, order=True)
class Shard:
    """One partition of one life of a topic: deleting a topic and creating it again starts another life."""

    topic: str
    topic_id: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"

    @property
    def path(self) -> str:
        """Its place below `data/` and `manifests/`."""
        return f"{self.topic}/{self.topic_id}/{self.partition:05d}"


@dataclass(frozen=True)
class Gap:
    """Offsets `[start, end)` that no file covers."""

    start: int
    end: int
    reason: Reason


@dataclass(frozen=True)
class File:
    """One container file. It covers the offsets `[start, end)`; `records` of them have a record, `gaps` counts the others by reason.

    `bytes` is its size, `raw_bytes` keys, values and headers before compression; times are None if it holds no record.
    """

    name: str
    start: int
    end: int
    records: int
    bytes: int
    raw_bytes: int
    sha256: str
    first_ms: int | None = None
    last_ms: int | None = None
    gaps: dict[Reason, int] = field(default_factory=dict)
    closed_at: float = 0.0
    largest_bytes: int = 0
    """Key, value and headers of its largest record; 0: unknown."""


@dataclass(frozen=True)
class Page:
    """A run of files listed in a separate manifest, `name`, with this SHA-256."""

    name: str
    sha256: str
    start: int
    end: int
    files: int
    records: int
    bytes: int
    first_ms: int | None
    last_ms: int | None
    closed_at: float
    """When the newest of its files was closed (UTC seconds)."""


@dataclass(frozen=True)
class ArchivedTopicFacts:
    """What is needed to create a topic again: the settings made on it, not the defaults.

    `max_message_bytes` is the limit in force, wherever it was set; 0: unknown.
    """

    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)
    max_message_bytes: int = 0


@dataclass(frozen=True)
class Head:
    """The newest manifest of a shard. What it does not list is not archived.

    `seq` counts manifests: a writer may only write the next one, and only if no one else has. `claim` is the `seq` with which the
    current writer claimed the shard. `groups` are the offsets that consumer groups had committed at `at` (UTC seconds).
    """

    shard: Shard
    cluster_id: str
    seq: int
    claim: int
    writer: str
    at: float
    start: int
    end: int
    facts: ArchivedTopicFacts
    pages: tuple[Page, ...] = ()
    files: tuple[File, ...] = ()
    gaps: tuple[Gap, ...] = ()
    groups: dict[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        """Records in all its files."""
        return sum(p.records for p in self.pages) + sum(f.records for f in self.files)

    @property
    def bytes(self) -> int:
        """Size of all its files."""
        return sum(p.bytes for p in self.pages) + sum(f.bytes for f in self.files)

    @property
    def file_count(self) -> int:
        """How many files it lists, including those of its pages."""
        return sum(p.files for p in self.pages) + len(self.files)

    @property
    def first_ms(self) -> int | None:
        """The earliest record's time."""
        return earliest([p.first_ms for p in self.pages] + [f.first_ms for f in self.files])

    @property
    def last_ms(self) -> int | None:
        """The latest record's time."""
        return latest([p.last_ms for p in self.pages] + [f.last_ms for f in self.files])

    def claimed(self, writer: str, at: float, facts: ArchivedTopicFacts, groups: dict[str, int]) -> Head:
        """The manifest with which a new writer claims the shard."""
        seq = self.seq + 1
        return replace(self, seq=seq, claim=seq, writer=writer, at=at, facts=facts, groups=groups or self.groups)

    def extended(self, file: File | None, gap: Gap | None, at: float, groups: dict[str, int]) -> Head:
        """The manifest that adds a gap, a file, or both, after the offsets archived so far."""
        end = file.end if file else gap.end if gap else self.end
        return replace(
            self,
            seq=self.seq + 1,
            at=at,
            end=end,
            files=(*self.files, file) if file else self.files,
            gaps=joined((*self.gaps, gap)) if gap and gap.end > gap.start else self.gaps,
            groups=groups or self.groups,
        )


def earliest(times: Iterable[int | None]) -> int | None:
    """The first of the known times."""
    return min((t for t in times if t is not None), default=None)


def latest(times: Iterable[int | None]) -> int | None:
    """The last of the known times."""
    return max((t for t in times if t is not None), default=None)


def joined(gaps: tuple[Gap, ...]) -> tuple[Gap, ...]:
    """The gaps in order, with adjacent gaps of the same reason merged."""
    found: list[Gap] = []
    for gap in sorted(gaps, key=lambda g: g.start):
        if found and found[-1].end == gap.start and found[-1].reason == gap.reason:
            found[-1] = replace(found[-1], end=gap.end)
        else:
            found.append(gap)
    return tuple(found)


def fresh(shard: Shard, cluster_id: str, start: int) -> Head:
    """A shard with nothing archived yet; it is never written, only claimed."""
    return Head(shard, cluster_id, 0, 0, "", 0.0, start, start, ArchivedTopicFacts(0, 0))


def unexplained(head: Head, files: tuple[File, ...]) -> list[tuple[int, int]]:
    """Ranges of offsets below the head's end that no file covers and no gap explains; overlaps too. Empty: everything is explained.

    `files` are all of the head's files, including those of its pages.
    """
    pieces = sorted([(f.start, f.end) for f in files] + [(g.start, g.end) for g in head.gaps])
    wrong, at = [], head.start
    for start, end in pieces:
        if start != at:
            wrong.append((min(at, start), max(at, start)))
        at = max(at, end)
    if at != head.end:
        wrong.append((at, head.end))
    return wrong
