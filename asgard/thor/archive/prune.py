"""Which files of an archive are old enough to delete, and deleting them: from a shard's start only, so that none is missing in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asgard.thor.archive import ledger, manifest, read
from asgard.thor.archive.model import File, Head, Page, Shard
from asgard.thor.archive.storage import Storage


@dataclass(frozen=True)
class Drop:
    """The files of one shard to delete, in order, and its current manifest."""

    head: Head
    files: tuple[File, ...]

    @property
    def shard(self) -> Shard:
        return self.head.shard


def choose(storage: Storage, before_ms: int, topics: Sequence[str] = ()) -> list[Drop]:
    """Files whose newest record is older than that. Raises Damaged: a damaged archive is not pruned."""
    heads, damaged = read.heads(storage, read.TopicWindow(tuple(topics)))
    if damaged:
        raise damaged[0]
    found = []
    for head in heads.values():
        if head.first_ms is None or head.first_ms >= before_ms:
            continue
        if old := oldest(ledger.files(storage, head), before_ms):
            found.append(Drop(head, old))
    return found


def oldest(files: Sequence[File], before_ms: int) -> tuple[File, ...]:
    """The files at the start with only older records."""
    count = 0
    while count < len(files) and (files[count].last_ms or 0) < before_ms:
        count += 1
    return tuple(files[:count])


def drop(storage: Storage, chosen: Drop) -> None:
    """Remove the files from the manifest, then delete them. Raises Fenced if the shard is being written: try again."""
    head = without(storage, chosen.head, chosen.files[-1].end)
    ledger.write(storage, head)
    storage.delete([file.name for file in chosen.files])
    kept = {page.name for page in head.pages}
    storage.delete([page.name for page in chosen.head.pages if page.name not in kept])


def without(storage: Storage, head: Head, end: int) -> Head:
    """The next manifest, without anything below that offset; a page that is cut is rewritten.

    Its time stays that of the newest archived state: lives of a topic are told apart by it.
    """
    pages: list[Page] = []
    for page in head.pages:
        if page.end <= end:
            continue
        if page.start < end:
            kept = manifest.decode_page(head.shard, page, storage.read(page.name))
            page = ledger.write_page(storage, head.shard, head.seq + 1, tuple(f for f in kept if f.start >= end))
        pages.append(page)
    return replace(
        head,
        seq=head.seq + 1,
        start=end,
        pages=tuple(pages),
        files=tuple(f for f in head.files if f.start >= end),
        gaps=tuple(replace(g, start=max(g.start, end)) for g in head.gaps if g.end > end),
    )
