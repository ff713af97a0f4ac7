"""The shards that this process archives: an open container each, closed by size or age, and added to the shard's manifest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from asgard.core import events, process
from asgard.core.units import format_size
from asgard.thor.archive import holes, ledger, manifest
from asgard.thor.archive.container import Container, Press
from asgard.thor.archive.ledger import Fenced
from asgard.thor.archive.model import Codec, Gap, Head, Reason, Shard, fresh
from asgard.thor.archive.source import Key, ReadHeads, SourceTopics
from asgard.thor.archive.storage import Storage

AT_ONCE = 8
MOST_HOLES = 50_000
"""Ranges without a record that a container collects before their reasons are looked up."""
BLOCKS_BYTES = 64 * 1024 * 1024
"""Size of all blocks being filled at the same time."""
_MOST_BLOCK_BYTES = 1024 * 1024
_LEAST_BLOCK_BYTES = 16 * 1024


@dataclass(frozen=True)
class Rolling:
    """When a container is closed: at this many bytes, or this many seconds after its first record."""

    bytes: int = 128 * 1024 * 1024
    age_s: float = 600.0


@dataclass(frozen=True)
class ArchiveOptions:
    """How to fill an archive. `ease` is called with the bytes of each batch read, and may wait."""

    codec: Codec = "zstandard"
    rolling: Rolling = field(default_factory=Rolling)
    ease: Callable[[int], None] = lambda bytes_read: None
    client_id: str = "asgard-archive"


@dataclass
class Done:
    """What one process added to an archive. `gaps` counts offsets without a record by reason."""

    files: int = 0
    records: int = 0
    bytes: int = 0
    raw_bytes: int = 0
    gaps: dict[Reason, int] = field(default_factory=dict)
    fenced: int = 0


@dataclass
class _Open:
    head: Head
    container: Container | None = None
    opened_at: float = 0.0


class Shards:
    """See the module. `confirm` is called before a file is added, and raises Fenced if the shard is no longer ours."""

    def __init__(
        self,
        storage: Storage,
        topics: SourceTopics,
        options: ArchiveOptions,
        read_heads: ReadHeads,
        confirm: Callable[[Key, int], None] = lambda key, end: None,
    ) -> None:
        self.storage, self.topics, self.options, self.confirm = storage, topics, options, confirm
        self.read_heads, self.done = read_heads, Done()
        self.writer = f"{process.identity()} {os.urandom(4).hex()}"
        self._open: dict[Key, _Open] = {}
        self._press = Press()

    def __contains__(self, key: Key) -> bool:
        return key in self._open

    def heads(self, keys: Collection[Key]) -> dict[Key, Head]:
        """The newest manifest of each shard, for this life of its topic; a fresh one if it has none."""
        index = ledger.index(self.storage, {topic for topic, _ in keys})
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda key: self._head(key, index), keys)
            return dict(zip(keys, found, strict=True))

    def _head(self, key: Key, index: ledger.Index | None = None) -> Head:
        shard = self.topics.shards[key]
        numbers = index.get(shard) if index is not None else ledger.index_of(self.storage, shard)
        return ledger.read(self.storage, shard, numbers) if numbers else fresh(shard, self.topics.cluster_id, 0)

    def claim(self, heads: Mapping[Key, Head]) -> dict[Key, Head]:
        """Claim shards, several at once. Raises Fenced if others keep claiming one."""

        def claimed(key: Key) -> Head:
            facts, groups = self.topics.facts[key[0]], self.topics.groups.get(key, {})
            head = heads[key]
            for last in (False, False, True):
                try:
                    return ledger.claim(self.storage, head, self.writer, time.time(), facts, groups)
                except Fenced:
                    if last:
                        raise
                    head = self._head(key)
            raise AssertionError

        self.storage.workplace()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            taken = dict(zip(heads, pool.map(claimed, heads), strict=True))
        for key, head in taken.items():
            self._open[key] = _Open(head)
        return taken

    def shard(self, key: Key) -> Shard:
        """The shard that is archived: of the topic as it was when it was claimed."""
        return self._open[key].head.shard

    def position(self, key: Key) -> int:
        """The offset up to which the shard is archived or in the open container."""
        known = self._open[key]
        return known.container.end if known.container else known.head.end

    def append(self, key: Key, messages: list[Any]) -> None:
        """Add messages of one shard; closes its container if it is large enough."""
        known = self._open[key]
        container = known.container
        if container is None:
            container = known.container = self._container(known.head)
            known.opened_at = time.monotonic()
        container.append(messages)
        if len(container.holes) > MOST_HOLES:
            self._explain(key, container)
        if container.reaches(self.options.rolling.bytes):
            self.close(key, container.end)

    def _container(self, head: Head) -> Container:
        share = min(BLOCKS_BYTES // max(1, len(self._open)), self.options.rolling.bytes // 8)
        block = max(_LEAST_BLOCK_BYTES, min(_MOST_BLOCK_BYTES, share))
        path = self.storage.workplace() / f"{os.urandom(8).hex()}.avro"
        return Container(path, head.shard, head.end, self.options.codec, block, self._press)

    def aged(self) -> list[Key]:
        """Shards whose container is old enough to close."""
        before = time.monotonic() - self.options.rolling.age_s
        return [key for key, known in self._open.items() if known.container and known.opened_at <= before]

    def close(self, key: Key, end: int) -> None:
        """Add the open container, which covers the offsets up to `end`, to the archive. Raises Fenced."""
        known = self._open[key]
        container, known.container = known.container, None
        if container is None:
            if end > known.head.end:  # only markers, aborted or compacted records
                for gap in self._reasons(key, [(known.head.end, end)]):
                    self.gap(key, gap.end, gap.reason)
            return
        try:
            self.confirm(key, end)
            container.holes.note_end(container.end, end)
            self._explain(key, container)
            name = manifest.data_name(container.shard, container.start, known.head.claim)
            file = container.finish(name, end, time.time())
            groups = self.topics.groups.get(key, {})
            known.head = ledger.add(self.storage, known.head, None, (file, container.path), time.time(), groups)
        except BaseException as error:
            container.discard()
            if isinstance(error, Fenced):
                self.drop(key)
                self.done.fenced += 1
            raise
        self._count(file.gaps)
        self.done.files += 1
        self.done.records += file.records
        self.done.bytes += file.bytes
        self.done.raw_bytes += file.raw_bytes
        events.note(
            f"{container.shard}: offsets {file.start} to {file.end - 1}, {file.records} records, {format_size(file.bytes)}",
            {"file": file.name, "records": file.records},
        )

    def _explain(self, key: Key, container: Container) -> None:
        """Find the reasons for the offsets skipped so far."""
        for gap in self._reasons(key, container.holes):
            container.gaps[gap.reason] = container.gaps.get(gap.reason, 0) + gap.end - gap.start
        container.holes.clear()

    def _reasons(self, key: Key, passed_over: Iterable[tuple[int, int]]) -> Iterable[Gap]:
        """Only compacted topics need a look at the batches: elsewhere transactions are the only reason."""
        if "compact" in self.topics.policies.get(key[0], ""):
            return holes.explain(passed_over, lambda offset: self.read_heads(key, offset))
        return (Gap(start, end, "transactions") for start, end in passed_over)

    def gap(self, key: Key, end: int, reason: Reason) -> None:
        """Note that the offsets up to `end` have no records, and why. Raises Fenced."""
        known = self._open[key]
        gap = Gap(known.head.end, end, reason)
        if gap.end <= gap.start:
            return
        known.head = ledger.add(self.storage, known.head, gap, None, time.time(), self.topics.groups.get(key, {}))
        self._count({reason: gap.end - gap.start})
        if reason == "expired":
            events.warn(
                f"{known.head.shard}: offsets {gap.start} to {gap.end - 1} were deleted before they were archived"
            )

    def _count(self, gaps: Mapping[Reason, int]) -> None:
        for reason, count in gaps.items():
            self.done.gaps[reason] = self.done.gaps.get(reason, 0) + count

    def drop(self, key: Key) -> None:
        """Forget a shard, and what is not in the archive yet."""
        known = self._open.pop(key, None)
        if known is not None and known.container is not None:
            known.container.discard()

    def drop_all(self) -> None:
        """Forget all shards."""
        for key in list(self._open):
            self.drop(key)

    def open_keys(self) -> list[Key]:
        """The shards being archived."""
        return list(self._open)
