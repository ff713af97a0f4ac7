"""Is an archive intact? Every manifest, page and byte of every file, compared with what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from asgard.core.errors import WrongUsage
from asgard.thor.archive import container, ledger, manifest, read
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import File, Head, Shard, unexplained
from asgard.thor.archive.storage import MissingObject, Storage


@dataclass
class Verification:
    """What was checked, and what is wrong: (name, why). `strays` are in no manifest: left by a process that was killed."""

    manifests: int = 0
    files: int = 0
    records: int = 0
    bytes: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


def verify(storage: Storage, topics: Sequence[str] = ()) -> Verification:
    """Check everything, or some topics. Raises WrongUsage if the archive has nothing of them."""
    window = read.TopicWindow(tuple(topics))
    index = {shard: numbers for shard, numbers in ledger.index(storage).items() if window.has_topic(shard.topic)}
    there = {e.name for e in storage.list("data/") if window.has_topic(e.name.split("/")[1])}
    if not index and not there:
        what = f"has no topic {', '.join(topics)}" if topics else "is not an archive, or an empty one"
        raise WrongUsage(f"{storage.url} {what}", f"asgard thor archive list {storage.url} shows what it has.")
    verdict = Verification()
    wrong: list[Damaged] = []
    files: dict[str, File] = {}
    heads: list[Head] = []
    for shard, numbers in index.items():
        head = _newest(storage, shard, numbers, verdict, wrong)
        if head is None:
            continue
        heads.append(head)
        try:
            named = ledger.files(storage, head)
        except Damaged as error:
            wrong.append(error)
            continue
        verdict.manifests += len(head.pages)
        wrong += [
            Damaged(str(shard), f"does not say where offsets {a} to {b - 1} are") for a, b in unexplained(head, named)
        ]
        files |= {file.name: file for file in named}
    wrong += _partitions_without(heads)
    wrong += read.check(storage, list(files.values()))
    bad = {error.name for error in wrong}
    wrong += _unreadable(storage, [f for f in files.values() if f.name not in bad])
    verdict.files = len(files)
    verdict.records = sum(f.records for f in files.values())
    verdict.bytes = sum(f.bytes for f in files.values())
    verdict.damaged = sorted((error.name, error.what.removeprefix(error.name).strip()) for error in wrong)
    unreadable = {shard.path for shard in index} - {head.shard.path for head in heads}
    verdict.strays = sorted(
        n for n in there - files.keys() if n.removeprefix("data/").rpartition("/")[0] not in unreadable
    )
    return verdict


def _newest(
    storage: Storage, shard: Shard, numbers: list[int], verdict: Verification, wrong: list[Damaged]
) -> Head | None:
    """The newest manifest; also checks the one before it, which is kept."""
    head = None
    for number in numbers:
        name = manifest.head_name(shard, number)
        try:
            head = manifest.decode_head(name, storage.read(name))
        except MissingObject:
            continue  # replaced in the meantime
        except Damaged as error:
            head = None
            wrong.append(error)
        verdict.manifests += 1
    return head


def _partitions_without(heads: list[Head]) -> list[Damaged]:
    """Partitions of a topic without a manifest."""
    lives: dict[tuple[str, str], tuple[int, set[int]]] = {}
    for head in heads:
        most, seen = lives.get((head.shard.topic, head.shard.topic_id), (0, set()))
        lives[head.shard.topic, head.shard.topic_id] = (max(most, head.facts.partitions), seen | {head.shard.partition})
    return [
        Damaged(f"manifests/{Shard(topic, topic_id, n).path}/", "is missing: the topic has this partition")
        for (topic, topic_id), (most, seen) in lives.items()
        for n in sorted(set(range(most)) - seen)
    ]


def _unreadable(storage: Storage, files: list[File]) -> list[Damaged]:
    """Files whose bytes match, but whose records differ from their manifest."""
    found = []
    for file in files:
        try:
            with storage.local(file.name) as path:
                for _ in container.blocks(path, "", file):
                    pass
        except Damaged as error:
            found.append(error)
        except MissingObject:
            found.append(Damaged(file.name, "is missing"))
    return found
