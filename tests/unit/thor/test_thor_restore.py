"""What a restore brings back, without a cluster: continued ones, damaged files, groups, protected clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from asgard.cluster.limits import Limits
from asgard.compose import restore
from asgard.compose.restore import PreparedRestore, Restored, RestoreOrder
from asgard.core.errors import Failed
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, ClusterInfo, Offsets, Partition, Topic
from asgard.thor.archive import ledger, location, manifest
from asgard.thor.archive.container import Container
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import File, Shard, fresh
from asgard.thor.archive.restore import ArchiveSource
from asgard.thor.replay import history
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


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Database]:
    with open_journal(f"sqlite:///{tmp_path / 'journal.db'}") as journal:
        yield journal


def archived(root: Path, *ages_min: int, shard: Shard = SHARD, groups: dict[str, int] | None = None) -> list[File]:
    """An archive with a file of 100 records for each age in minutes."""
    place = location.open_storage(str(root))
    head = ledger.claim(place, fresh(shard, "c1", 0), "me", 1.0, FACTS, groups or {})
    for n, age in enumerate(ages_min):
        container = Container(place.workplace() / f"{n}.avro", shard, head.end, "deflate", 4096)
        at = round(NOW * 1000) - age * MINUTE_MS
        container.append([Message(head.end + i, at + i, b"k", b"v", None) for i in range(EACH)])
        file = container.finish(manifest.data_name(shard, head.end, head.claim), container.end, 5.0)
        head = ledger.add(place, head, None, (file, container.path), 5.0, groups or {})
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


def run(prepared: list[PreparedRestore], asked: RestoreOrder, journal: Database) -> Restored:
    return restore.run(prepared, asked, Endpoint(cast(Any, None), cast(Any, Cluster())), journal, Rate())


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
