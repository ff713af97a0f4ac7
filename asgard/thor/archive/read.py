"""Read records back from an archive, from verified files only.

First everything requested is checked as a whole (`plan`): manifests, and whether each file exists with the right size.
Every byte of a file is compared with its manifest before its first record is returned (`blocks`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from asgard.core import events
from asgard.core.errors import Failed, WrongUsage
from asgard.kafka.data import Read
from asgard.thor.archive import container, ledger
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import File, Head, Shard, earliest, latest, unexplained
from asgard.thor.archive.storage import MissingObject, Storage

AT_ONCE = 8


@dataclass(frozen=True)
class TopicWindow:
    """Which records: of these topics (names or patterns; empty: all), with a time in `[from_ms, until_ms)`."""

    topics: tuple[str, ...] = ()
    from_ms: int | None = None
    until_ms: int | None = None

    def has_topic(self, topic: str) -> bool:
        return not self.topics or any(fnmatchcase(topic, pattern) for pattern in self.topics)

    @property
    def has_times(self) -> bool:
        """Whether it starts or ends at a time."""
        return self.from_ms is not None or self.until_ms is not None

    def may_have(self, file: File) -> bool:
        """Whether a file may hold a record of the window."""
        if file.first_ms is None or file.last_ms is None:
            return False
        return (self.until_ms is None or file.first_ms < self.until_ms) and (
            self.from_ms is None or file.last_ms >= self.from_ms
        )

    def has(self, timestamp_ms: int) -> bool:
        """Whether a record with that time is in the window."""
        return (self.from_ms is None or timestamp_ms >= self.from_ms) and (
            self.until_ms is None or timestamp_ms < self.until_ms
        )


@dataclass(frozen=True)
class WindowFiles:
    """The files that hold a window, by shard in order; `damaged` are the names that can't be used, with the reason."""

    storage: Storage
    window: TopicWindow
    heads: dict[Shard, Head]
    files: dict[Shard, tuple[File, ...]]
    damaged: tuple[Damaged, ...] = ()

    @property
    def most_records(self) -> int:
        """How many records the files hold; the window may have fewer."""
        return sum(f.records for files in self.files.values() for f in files)

    @property
    def most_bytes(self) -> int:
        """Keys, values and headers of the files."""
        return sum(f.raw_bytes for files in self.files.values() for f in files)


def heads(storage: Storage, window: TopicWindow) -> tuple[dict[Shard, Head], list[Damaged]]:
    """The newest manifest of each shard of the window's topics, and the damaged ones."""
    index = {shard: numbers for shard, numbers in ledger.index(storage).items() if window.has_topic(shard.topic)}
    damaged: list[Damaged] = []

    def read(shard: Shard) -> Head | None:
        try:
            return ledger.read(storage, shard, index[shard])
        except Damaged as error:
            damaged.append(error)
            return None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip(index, pool.map(read, index), strict=True))
    return {shard: head for shard, head in found.items() if head is not None}, damaged


def plan(
    storage: Storage, window: TopicWindow, begun: Mapping[tuple[str, str], TopicWindow] | None = None
) -> WindowFiles:
    """Find the files of a window, and those that are missing or whose size differs from their manifest.

    `begun` are other windows for some lives (topic and its id). Raises WrongUsage if the archive has none of the topics.
    """
    found, damaged = heads(storage, window)
    if not found and not damaged:
        what = (
            f"the archive {storage.url} has no topic {', '.join(window.topics)}"
            if window.topics
            else f"{storage.url} is not an archive, or it is empty"
        )
        raise WrongUsage(what, f"asgard thor archive list {storage.url} lists its topics.")
    files: dict[Shard, tuple[File, ...]] = {}
    for shard, head in found.items():
        try:
            named = ledger.files(storage, head)
        except Damaged as error:
            damaged.append(error)
            continue
        if wrong := unexplained(head, named):
            start, end = wrong[0]
            damaged.append(Damaged(str(shard), f"does not say where offsets {start} to {end - 1} are"))
        own = (begun or {}).get((shard.topic, shard.topic_id), window)
        files[shard] = tuple(f for f in named if own.may_have(f))
        sizes = {e.name: e.bytes for e in storage.list(f"data/{shard.path}/")}
        damaged += [Damaged(f.name, why) for f in files[shard] if (why := _other_size(f, sizes.get(f.name)))]
    return WindowFiles(storage, window, found, files, tuple(sorted(damaged, key=lambda e: e.name)))


def _other_size(file: File, found: int | None) -> str:
    """What is wrong with a file's size in the listing; empty: nothing."""
    if found is None:
        return "is missing"
    return "" if found == file.bytes else f"has {found} bytes, and its manifest says {file.bytes}"


def check(storage: Storage, files: Collection[File]) -> list[Damaged]:
    """The files that don't match their manifest."""
    done = 0

    def checked(file: File) -> Damaged | None:
        try:
            with storage.local(file.name) as path:
                container.check(path, file.name, file)
        except MissingObject:
            return Damaged(file.name, "is missing")
        except Damaged as error:
            return error
        return None

    found = []
    with ThreadPoolExecutor(2) as pool:
        for error in pool.map(checked, files):
            done += 1
            events.progress("verify", f"{done} of {len(files)} files", done=done, total=len(files), unit="files")
            if error is not None:
                found.append(error)
    return found


def refuse_damaged(plan: WindowFiles, *, allowed: bool) -> None:
    """Raise Failed with every damaged file's name; if the rest is to be replayed anyway (`allowed`), warn of each instead."""
    for error in plan.damaged:
        events.warn(error.what)
    if plan.damaged and not allowed:
        names = ", ".join(error.name for error in plan.damaged[:3])
        more = f" and {len(plan.damaged) - 3} more" if len(plan.damaged) > 3 else ""
        raise Failed(
            f"{len(plan.damaged)} files or manifests of {plan.storage.url} can't be used, and nothing was replayed: {names}{more}",
            "asgard thor archive verify lists them. --skip-damaged replays what the other files hold.",
        )


def blocks(plan: WindowFiles, shard: Shard, file: File, from_offset: int = 0) -> Iterator[list[Read]]:
    """A file's records of the window from an offset on, in order, many at a time. Raises Damaged before the first one if it is damaged."""
    try:
        with plan.storage.local(file.name) as path:
            container.check(path, file.name, file)
            found = container.blocks(path, shard.topic, file)
            if file.start >= from_offset and not plan.window.has_times:
                yield from found
                return
            for records in found:
                yield [r for r in records if r.offset >= from_offset and plan.window.has(r.timestamp_ms)]
    except MissingObject as error:
        raise Damaged(file.name, "is missing") from error


@dataclass
class Topic:
    """What an archive has of one life of a topic. Times are ms (UTC), `gaps` offsets without a record by reason."""

    topic: str
    topic_id: str
    partitions: int
    files: int = 0
    records: int = 0
    bytes: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    archived_at: float = 0.0
    gaps: dict[str, int] = field(default_factory=dict)


def topics(found: Mapping[Shard, Head]) -> list[Topic]:
    """The heads, summed by topic."""
    lives: dict[tuple[str, str], Topic] = {}
    for shard, head in found.items():
        topic = lives.setdefault(
            (shard.topic, shard.topic_id), Topic(shard.topic, shard.topic_id, head.facts.partitions)
        )
        topic.files += head.file_count
        topic.records += head.records
        topic.bytes += head.bytes
        topic.first_ms = earliest((topic.first_ms, head.first_ms))
        topic.last_ms = latest((topic.last_ms, head.last_ms))
        topic.archived_at = max(topic.archived_at, head.at)
        for gap in head.gaps:
            topic.gaps[gap.reason] = topic.gaps.get(gap.reason, 0) + gap.end - gap.start
        for file in head.files:
            for reason, count in file.gaps.items():
                topic.gaps[reason] = topic.gaps.get(reason, 0) + count
    return list(lives.values())
