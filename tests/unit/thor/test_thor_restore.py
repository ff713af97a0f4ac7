"""What a restore brings back, without a cluster: continued ones, damaged files, groups, protected clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as Position

from asgard.cluster.limits import Limits
from asgard.compose import restore
from asgard.compose.restore import PreparedRestore, Restored, RestoreOrder
from asgard.core import contexts
from asgard.core.errors import Failed, Refused
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, ClusterInfo, Offsets, Partition, Topic
from asgard.thor.archive import ledger, location, manifest, prune, translate
from asgard.thor.archive import source as archive_source
from asgard.thor.archive.container import Container
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import File, Shard, fresh
from asgard.thor.archive.restore import ArchiveSource
from asgard.thor.replay import header, history
from asgard.thor.replay.copy import Routing
from asgard.thor.replay.model import Copied, Endpoint, Saved
from asgard.thor.replay.pace import Rate
from asgard.thor.replay.perform import Job
from tests.unit.thor.test_thor_archive_files import FACTS, SHARD, Message

NOW = 1_800_000_000.0
MINUTE_MS, HOUR_S = 60_000, 3600.0
EACH = 100


@dataclass
class Cluster:
    """A cluster that has the topic again, empty, with another id."""

    target: Topic = field(
        default_factory=lambda: Topic("orders", "new", False, (Partition("orders", 0, (1,), (1,), 1),))
    )
    committed: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)

    def cluster(self) -> ClusterInfo:
        return ClusterInfo("c1", (Broker(1),))

    def topics(self, names: object = None, *, moves: bool = True) -> dict[str, Topic]:
        return {"orders": self.target}

    def offsets(self, keys: list[tuple[str, int]], *, committed: bool = False) -> dict[tuple[str, int], Offsets]:
        return dict.fromkeys(keys, Offsets(0, 0))

    def log_dirs(self, brokers: list[int]) -> dict[int, Any]:
        return {}

    def effective_topic_configs(self, names: list[str], keys: object) -> dict[str, dict[str, str]]:
        return {name: {} for name in names}

    def commit_offsets(self, group: str, moved: dict[tuple[str, int], int]) -> None:
        self.committed[group] = moved


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Database]:
    with open_journal(f"sqlite:///{tmp_path / 'journal.db'}") as journal:
        yield journal


def archived(
    root: Path, *ages_min: int, shard: Shard = SHARD, groups: dict[str, int] | None = None, at: float = 1.0
) -> list[File]:
    """An archive with a file of 100 records for each age in minutes."""
    place = location.open_storage(str(root))
    head = ledger.claim(place, fresh(shard, "c1", 0), "me", at, FACTS, groups or {})
    for n, age in enumerate(ages_min):
        container = Container(place.workplace() / f"{n}.avro", shard, head.end, "deflate", 4096)
        first_ms = round(NOW * 1000) - age * MINUTE_MS
        container.append([Message(head.end + i, first_ms + i, b"k", b"v", None) for i in range(EACH)])
        file = container.finish(manifest.data_name(shard, head.end, head.claim), container.end, at)
        head = ledger.add(place, head, None, (file, container.path), at, groups or {})
    return list(head.files)


def order(root: Path, *, last_min: int | None = None, now: float = NOW, **more: Any) -> RestoreOrder:
    """Restore orders, of the last so many minutes."""
    if last_min is not None:
        more |= {"from_ms": round(now * 1000) - last_min * MINUTE_MS, "words": (f"{last_min}m", None)}
    return RestoreOrder(str(root), ("orders",), **more)


def prepare(asked: RestoreOrder, journal: Database, now: float = NOW) -> list[PreparedRestore]:
    return restore.prepare(cast(Any, Cluster()), asked, journal, Limits(), now)


def source(one: PreparedRestore, *, skip_damaged: bool = False) -> ArchiveSource:
    return ArchiveSource(one.files, one.life, one.plan.window, one.brought, skip_damaged)


def run(
    prepared: list[PreparedRestore],
    asked: RestoreOrder,
    journal: Database,
    cluster: Cluster | None = None,
    confirm: str | None = None,
) -> Restored:
    target = Endpoint(cast(Any, None), cast(Any, cluster or Cluster()))
    return restore.run(prepared, asked, target, journal, Rate(), confirm)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets of the records that restores send, without a cluster to send them to."""
    found: list[int] = []

    def perform(job: Job, reading: ArchiveSource, routing: Routing, target: object, journal: Database) -> Copied:
        history.note(journal, "restore", "started", job.id, dict(job.plan))
        routing.started({})
        own = offsets(reading)
        found.extend(own)
        history.note(journal, "restore", "finished", job.id, routing.facts())
        return Copied(sent=len(own), total_sent=len(own))

    monkeypatch.setattr(restore, "perform", perform)
    return found


def offsets(reading: ArchiveSource) -> list[int]:
    return [record.offset for batch in reading.read({}) for record in batch.records]


@pytest.mark.parametrize("later_h", [1, 3])
def test_a_restore_that_is_continued_later_keeps_its_window(tmp_path: Path, journal: Database, later_h: int) -> None:
    archived(tmp_path / "a", 130, 90, 50, 10)
    (first,) = prepare(order(tmp_path / "a", last_min=120), journal)
    assert offsets(source(first)) == list(range(EACH, 4 * EACH))
    history.note(journal, "restore", "started", first.plan.id, dict(first.document))
    later = NOW + later_h * HOUR_S
    (again,) = prepare(order(tmp_path / "a", last_min=120, now=later), journal, later)
    assert (again.plan, again.records) == (first.plan, 3 * EACH)
    assert offsets(source(again)) == list(range(EACH, 4 * EACH))


def flip(path: Path) -> bytes:
    """Flip a bit of a file. Returns what it held."""
    whole = path.read_bytes()
    path.write_bytes(whole[:500] + bytes([whole[500] ^ 4]) + whole[501:])
    return whole


KEY = ("orders", 0)
FIRST, SECOND, THIRD = (list(range(n * EACH, (n + 1) * EACH)) for n in range(3))


@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_a_damaged_file_is_left_out_and_comes_back_when_it_is_whole_again(
    tmp_path: Path, journal: Database, sent: list[int], damage: Any
) -> None:
    files = archived(tmp_path / "a", 3, 2, 1)
    path = tmp_path / "a" / files[1].name
    whole = path.read_bytes()
    damage(path)
    asked = order(tmp_path / "a", skip_damaged=True)
    done = run(prepare(asked, journal), asked, journal)
    assert (done.damaged, done.records, sent) == ([files[1].name], 2 * EACH, FIRST + THIRD)
    path.write_bytes(whole)
    sent.clear()
    asked = order(tmp_path / "a")
    (again,) = prepared = prepare(asked, journal)
    assert not again.finished
    done = run(prepared, asked, journal)
    assert (done.damaged, sent, done.left) == ([], SECOND, {"brought before": 2 * EACH})
    (last,) = prepare(asked, journal)
    assert last.finished


def test_a_damaged_file_that_is_not_to_be_skipped_is_never_read(tmp_path: Path, journal: Database) -> None:
    files = archived(tmp_path / "a", 3, 2, 1)
    flip(tmp_path / "a" / files[1].name)
    (one,) = prepare(order(tmp_path / "a"), journal)
    with pytest.raises(Damaged, match=files[1].name):
        offsets(source(one))


def test_what_a_killed_run_skipped_stays_skipped_and_what_it_did_not_reach_is_read(
    tmp_path: Path, journal: Database
) -> None:
    files = archived(tmp_path / "a", 3, 2, 1, 0)
    wholes = [flip(tmp_path / "a" / files[n].name) for n in (1, 3)]
    (one,) = prepare(order(tmp_path / "a", skip_damaged=True), journal)
    killed = source(one, skip_damaged=True)
    assert offsets(killed) == FIRST + THIRD and killed.note_of(KEY) == "100-200,300-400"
    for n, whole in zip((1, 3), wholes, strict=True):
        (tmp_path / "a" / files[n].name).write_bytes(whole)
    again = source(one, skip_damaged=True)
    again.started({KEY: Saved(250, 150, killed.note_of(KEY))})
    assert [r.offset for batch in again.read({KEY: 250}) for r in batch.records] == list(range(250, 400))
    assert (again.skipped, again.damaged) == ({KEY: [(100, 200)]}, [files[1].name])


def test_adjacent_damaged_files_are_one_range_and_too_many_ranges_are_refused(
    tmp_path: Path, journal: Database
) -> None:
    files = archived(tmp_path / "a", 3, 2, 1)
    for file in files[1:]:
        (tmp_path / "a" / file.name).unlink()
    (one,) = prepare(order(tmp_path / "a", skip_damaged=True), journal)
    reading = source(one, skip_damaged=True)
    assert offsets(reading) == FIRST and reading.skipped == {KEY: [(100, 300)]}
    reading.skipped = {KEY: [(n * 10**9, n * 10**9 + 5) for n in range(200)]}
    with pytest.raises(Failed, match="scattered over orders-0"):
        reading.note_of(KEY)


def test_group_offsets_of_a_protected_cluster_need_the_confirmation(
    tmp_path: Path, journal: Database, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(translate, "translated", lambda connection, ids, olds, held: {(KEY, 50): 50})
    archived(tmp_path / "a", 1, groups={"billing": 50})
    contexts.put(contexts.Context("prod", "x:9092", cluster_id="c1", protected=True))
    asked, cluster = order(tmp_path / "a", groups=True), Cluster()
    with pytest.raises(Refused, match="prod is protected"):
        run(prepare(asked, journal), asked, journal, cluster)
    assert sent == []
    run(prepare(asked, journal), asked, journal, cluster, "prod")
    cluster.committed.clear()
    (one,) = prepared = prepare(asked, journal)
    assert one.finished
    with pytest.raises(Refused, match="prod is protected"):
        run(prepared, asked, journal, cluster)
    assert cluster.committed == {}
    run(prepared, asked, journal, cluster, "prod")
    assert cluster.committed == {"billing": {KEY: 50}}


def test_group_offsets_are_those_of_the_newest_life_alone(
    tmp_path: Path, journal: Database, sent: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    archived(tmp_path / "a", 5)
    newer = Shard("orders", "another-life", 0)
    archived(tmp_path / "a", 1, shard=newer, groups={"billing": 50}, at=9.0)
    by: list[frozenset[str]] = []

    def translated(connection: object, ids: frozenset[str], olds: object, held: object) -> dict[object, int]:
        by.append(ids)
        return {(KEY, 50): 150}

    monkeypatch.setattr(translate, "translated", translated)
    asked, cluster = order(tmp_path / "a", groups=True), Cluster()
    prepared = prepare(asked, journal)
    assert [one.life.topic_id for one in prepared] == [SHARD.topic_id, newer.topic_id]
    run(prepared, asked, journal, cluster)
    assert by == [{prepared[1].plan.id}] and cluster.committed == {"billing": {KEY: 150}}


def test_a_pruned_life_of_a_topic_stays_the_older_one(tmp_path: Path, journal: Database) -> None:
    archived(tmp_path / "a", 60, 5)
    archived(tmp_path / "a", 1, shard=Shard("orders", "another-life", 0), at=9.0)
    place = location.open_storage(str(tmp_path / "a"))
    (old,) = prune.choose(place, round(NOW * 1000) - 30 * MINUTE_MS)
    prune.drop(place, old)
    prepared = prepare(order(tmp_path / "a"), journal)
    assert [one.life.topic_id for one in prepared] == [SHARD.topic_id, "another-life"]


@dataclass(frozen=True)
class Seen:
    """A record of the restored topic, or the end of its partition."""

    at: int
    by: tuple[str, int] | None = None
    last: bool = False

    def topic(self) -> str:
        return KEY[0]

    def partition(self) -> int:
        return KEY[1]

    def offset(self) -> int:
        return self.at

    def error(self) -> KafkaError | None:
        return KafkaError(KafkaError._PARTITION_EOF) if self.last else None

    def headers(self) -> list[tuple[str, bytes]]:
        return [(header.HEADER, f"1/{self.by[0]}/c1/orders/0/{self.by[1]}".encode())] if self.by else []


@dataclass
class Reader:
    """A consumer of one partition; counts the records that it gave."""

    log: list[Seen]
    at: int = 0
    given: int = 0

    def assign(self, positions: list[Position]) -> None:
        (position,) = positions
        self.at = position.offset

    def consume(self, count: int, timeout: float) -> list[Seen]:
        found = self.log[self.at : self.at + 50]
        self.at += len(found)
        self.given += len(found)
        return found or [Seen(len(self.log), last=True)]

    def close(self) -> None: ...


@pytest.mark.parametrize("old", [0, 300, 499, 500, 9999])
def test_an_old_offset_is_found_behind_another_life_and_before_what_was_produced_since(
    monkeypatch: pytest.MonkeyPatch, old: int
) -> None:
    """By reading what is in between once, not again and again. A group that had read nothing begins at the partition's start."""
    owners = [("older", n) for n in range(4000)] + [("newest", n) for n in range(500)] + [None] * 4000
    reader = Reader([Seen(at, by) for at, by in enumerate(owners)])
    monkeypatch.setattr(archive_source, "consumer", lambda connection, **options: reader)
    held = {KEY: Offsets(0, len(owners))}
    found = translate.translated(cast(Any, None), frozenset({"newest"}), {KEY: {old}}, held)
    assert found == {(KEY, old): {0: 0, 9999: 4500}.get(old, 4000 + old)}
    assert reader.given < 1.5 * len(owners)
