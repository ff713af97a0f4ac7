"""What a rewind sets and what its undo restores, on a cluster of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from asgard.core.errors import Failed, WrongUsage
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.groups import Groups, ListedGroup
from asgard.kafka.model import Broker, ClusterInfo, Offsets, Partition, Topic
from asgard.thor.rewind import rewind
from asgard.thor.rewind.goal import Goal
from asgard.thor.rewind.rewind import PreparedRewind

Key = tuple[str, int]
TO_START, TO_TIME = Goal("start", "to the start"), Goal("time", "to noon", at_ms=1)


@dataclass
class Cluster:
    """A group with offsets in two partitions of 100 records; it may refuse to set them."""

    journal: Database
    at: dict[Key, int] = field(default_factory=lambda: {("t", 0): 100, ("t", 1): 100})
    led: tuple[int, ...] = (0, 1)
    refuses: bool = False

    def cluster(self) -> ClusterInfo:
        return ClusterInfo("c1", (Broker(1),))

    def topics(self, names: object = None) -> dict[str, Topic]:
        parts = (Partition("t", p, (1,), (1,), 1 if p in self.led else -1) for p in (0, 1))
        return {"t": Topic("t", "id", False, tuple(parts))}

    def offsets(self, keys: list[Key], *, committed: bool = False) -> dict[Key, Offsets]:
        return {key: Offsets(0, 100) for key in keys if key[1] in self.led}

    def offsets_at(self, keys: list[Key], at_ms: int) -> dict[Key, int]:
        return {key: 40 for key in keys if key[1] in self.led}

    def groups(self) -> Groups:
        return Groups({"g": ListedGroup("g", "classic", "Empty", 1)})

    def group_offsets(self, names: object) -> dict[str, dict[Key, int]]:
        return {"g": dict(self.at)}

    def commit_offsets(self, group: str, offsets: dict[Key, int]) -> None:
        if self.refuses:
            raise Failed("can't set the offsets of group g: unknown member id")
        self.at |= offsets

    def prepare(self, goal: Goal) -> PreparedRewind:
        return rewind.prepare(cast(Any, self), "g", goal, [])

    def run(self, goal: Goal) -> None:
        rewind.run(cast(Any, self), self.prepare(goal), self.journal)

    def undo(self) -> PreparedRewind:
        prepared = rewind.prepare_undo(cast(Any, self), "g", self.journal)
        rewind.run(cast(Any, self), prepared, self.journal)
        return prepared


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    with open_journal() as journal:
        yield Cluster(journal)


def test_an_undo_that_failed_is_tried_again_and_undoes_the_same_rewind(cluster: Cluster) -> None:
    cluster.run(TO_TIME)
    cluster.run(TO_START)
    cluster.refuses = True
    with pytest.raises(Failed, match="unknown member id"):
        cluster.undo()
    cluster.refuses = False
    assert cluster.undo().words == "back to before the rewind to the start"
    assert set(cluster.at.values()) == {40}
    cluster.undo()
    assert set(cluster.at.values()) == {100}
    with pytest.raises(WrongUsage, match="left to undo"):
        cluster.undo()


def test_an_undo_with_nothing_to_set_leads_to_the_rewind_before(cluster: Cluster) -> None:
    cluster.run(TO_TIME)
    cluster.refuses = True
    with pytest.raises(Failed):
        cluster.run(TO_START)
    cluster.refuses = False
    assert cluster.undo().changes == [], "that rewind set nothing"
    cluster.undo()
    assert set(cluster.at.values()) == {100}


def test_a_partition_without_a_leader_is_not_left_out_silently(cluster: Cluster) -> None:
    cluster.led = (0,)
    for goal in (TO_START, TO_TIME):
        with pytest.raises(Failed, match="t-1 has no leader"):
            cluster.prepare(goal)
    assert set(cluster.at.values()) == {100}
