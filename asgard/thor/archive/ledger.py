"""A shard's manifests in a storage: read the newest, claim it, add to it. Of two writers only one can succeed.

The manifest is the progress. A writer claims a shard by writing the next manifest (`claim`), which only one can do; another manifest
adds each file. A former owner that still writes finds its next number taken (`Fenced`): its files are in no manifest, and the new
owner, which reads from the manifest's end, deletes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from asgard.core.errors import Busy
from asgard.thor.archive import manifest
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import PAGE_FILES, ArchivedTopicFacts, File, Gap, Head, Page, Shard
from asgard.thor.archive.storage import MissingObject, Storage


class Fenced(Busy):
    """Another writer has claimed the shard."""


Index = dict[Shard, list[int]]
"""The sequence numbers of each shard's manifests, in order."""


def index(storage: Storage, topics: Iterable[str] | None = None) -> Index:
    """The existing manifests by shard, of these topics or of all."""
    found: Index = {}
    for prefix in ["manifests/"] if topics is None else [f"manifests/{topic}/" for topic in topics]:
        for entry in storage.list(prefix):
            parsed = manifest.parse_head_name(entry.name)
            if parsed:
                found.setdefault(parsed[0], []).append(parsed[1])
    return {shard: sorted(numbers) for shard, numbers in sorted(found.items())}


def read(storage: Storage, shard: Shard, numbers: list[int]) -> Head:
    """The newest manifest of a shard. Raises Damaged and Unreachable."""
    name = manifest.head_name(shard, numbers[-1])
    try:
        return manifest.decode_head(name, storage.read(name))
    except MissingObject:
        newer = index_of(storage, shard)
        if newer and newer[-1] > numbers[-1]:  # replaced since it was listed
            return read(storage, shard, newer)
        raise


def index_of(storage: Storage, shard: Shard) -> list[int]:
    """The sequence numbers of one shard's manifests."""
    parsed = (manifest.parse_head_name(entry.name) for entry in storage.list(f"manifests/{shard.path}/"))
    return sorted(found[1] for found in parsed if found)


def files(storage: Storage, head: Head) -> tuple[File, ...]:
    """All files of a head, in order. Raises Damaged if a page is damaged or missing."""
    found: list[File] = []
    for page in head.pages:
        try:
            found += manifest.decode_page(head.shard, page, storage.read(page.name))
        except MissingObject as error:
            raise Damaged(page.name, "is missing") from error
    return (*found, *head.files)


def claim(
    storage: Storage, head: Head, writer: str, at: float, facts: ArchivedTopicFacts, groups: dict[str, int]
) -> Head:
    """Claim a shard, and delete the unfinished files of former owners. Raises Fenced if another writer was faster."""
    taken = write(storage, head.claimed(writer, at, facts, groups))
    # Only this writer can add files now, so a file without a manifest never gets one.
    storage.abort_uploads(f"data/{head.shard.path}/")
    there = [entry.name for entry in storage.list(f"data/{head.shard.path}/")]
    former = [name for name in there if manifest.claim_of(name) < taken.claim]  # not those of a later owner
    if former:
        named = {file.name for file in files(storage, head)}
        storage.delete([name for name in former if name not in named])
    return taken


def paged(storage: Storage, head: Head, page_files: int = PAGE_FILES) -> Head:
    """The head with its files moved to a page if there are that many; else unchanged."""
    if not manifest.is_full(head, page_files):
        return head
    return replace(head, pages=(*head.pages, write_page(storage, head.shard, head.seq, head.files)), files=())


def write_page(storage: Storage, shard: Shard, seq: int, files: tuple[File, ...]) -> Page:
    """Write a page of these files. Raises Damaged if it is there already, with other content."""
    page, content = manifest.page_of(shard, seq, files)
    if not storage.create(page.name, content):
        raise Damaged(page.name, "is there already, with other content", "Delete it, and run it again.")
    return page


def add(
    storage: Storage, head: Head, gap: Gap | None, file: tuple[File, Path] | None, at: float, groups: dict[str, int]
) -> Head:
    """Add a gap, a file, or both. Raises Fenced."""
    head = paged(storage, head)
    if file is not None:
        storage.put(file[0].name, file[1], file[0].sha256)
    return write(storage, head.extended(file[0] if file else None, gap, at, groups))


def write(storage: Storage, head: Head) -> Head:
    """Write the next manifest of a shard and delete those before the last. Raises Fenced.

    Since manifests are deleted, a writer that was paused may reuse an old number: only the newest counts.
    """
    created = storage.create(manifest.head_name(head.shard, head.seq), manifest.encode_head(head))
    if not created or index_of(storage, head.shard)[-1] != head.seq:
        raise Fenced(
            f"another process is archiving {head.shard} now", "It continues from the manifest; nothing is lost."
        )
    # The one before stays as a fallback, in case this one gets damaged.
    if head.seq > 2:
        storage.delete([manifest.head_name(head.shard, head.seq - 2)])
    return head
