"""What a restore brings back, without a cluster: continued ones, damaged files, groups, protected clusters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from asgard.cluster.limits import Limits
from asgard.compose import restore
from asgard.compose.restore import PreparedRestore, RestoreOrder
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, ClusterInfo, Offsets, Partition, Topic
from asgard.thor.archive import ledger, location, manifest
from asgard.thor.archive.container import Container
from asgard.thor.archive.model import File, Shard, fresh
from asgard.thor.archive.restore import ArchiveSource
from asgard.thor.replay import history
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


def source(one: PreparedRestore) -> ArchiveSource:
    return ArchiveSource(one.files, one.life, one.plan.window, one.brought)


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
