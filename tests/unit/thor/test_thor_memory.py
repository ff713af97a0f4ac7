"""What is remembered of a cluster between looks: from the journal alone, also by another process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asgard.cluster import findings
from asgard.cluster.limits import Limits
from asgard.journal import events
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, ClusterSnapshot, Partition, Quorum, Voter
from asgard.thor.heal import memory as remembered
from asgard.thor.heal.memory import Memory, following, observe, remember

NOW = 1_795_510_800.0


class Cluster:
    """A cluster with a journal, whose clock goes on by hand."""

    def __init__(self, home: Path) -> None:
        self.now = NOW
        self.journal: Database = open_journal(f"sqlite:///{home}/journal.db", clock=lambda: self.now)
        self.memory = Memory()
        self.brokers = dict.fromkeys((1, 2, 3, 4), "up")
        self.isr: dict[int, tuple[int, ...]] = {}
        self.quorum: Quorum | None = None
        self.silent: tuple[int, ...] = ()

    def snapshot(self) -> ClusterSnapshot:
        nodes = tuple(Broker(b, state=s) for b, s in self.brokers.items())  # type: ignore[arg-type]
        up = [b for b, s in self.brokers.items() if s == "up"]
        parts = tuple(
            Partition("t", i, r, self.isr.get(i, tuple(b for b in r if b in up)), r[0])
            for i, r in enumerate([(1, 2, 3), (2, 3, 4)])
        )
        return ClusterSnapshot("", "c", 1, nodes, parts, {}, self.quorum, self.silent)

    def look(self, after_s: float = 0, **states: str) -> list[str]:
        """Time goes on, brokers change (`b3="fenced"`), and somebody looks; the kinds of what is new."""
        self.now += after_s
        self.brokers |= {int(name[1:]): state for name, state in states.items()}
        snapshot = self.snapshot()
        news = observe(snapshot, findings.findings(snapshot, Limits()), self.recall(), self.now, "orders")
        for new in news:
            events.record(self.journal, new.kind, new.subject, new.data, correlation=new.incident)
        self.recall()
        return [new.kind for new in news]

    def heal(self, kind: str, decision: str, *brokers: int, **more: Any) -> None:
        data = {"cluster_id": "c", "decision": decision, "brokers": list(brokers), **more}
        events.record(self.journal, f"thor.heal.{kind}", "orders", data)
        self.recall()

    def recall(self) -> Memory:
        fresh = events.read(self.journal, events.EventFilter(kind="thor.*", after_id=self.memory.seen))
        self.memory = remember(self.memory, fresh, "c")
        return self.memory

    def another_process(self) -> Memory:
        return remember(Memory(), events.read(self.journal, events.EventFilter(kind="thor.*")), "c")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    yield made
    made.journal.close()


def test_a_broker_is_missed_once_and_the_first_sight_stays(cluster: Cluster) -> None:
    assert cluster.look() == []
    assert cluster.look(b3="fenced") == ["thor.broker.missed"]
    assert cluster.look(after_s=60) == []
    assert cluster.memory.absent[3].since == NOW
    assert cluster.memory.absent[3].incident == "c/broker-3/1795510800"
    assert cluster.another_process() == cluster.memory


def test_a_broker_that_is_back_and_lost_again_has_a_new_grace(cluster: Cluster) -> None:
    cluster.look(b3="fenced")
    assert cluster.look(after_s=10, b3="up") == ["thor.broker.returned"]
    assert (dict(cluster.memory.absent), dict(cluster.memory.returned)) == ({}, {3: NOW + 10})
    cluster.look(after_s=10, b3="fenced")
    assert cluster.memory.absent[3].since == NOW + 20
    assert cluster.memory.returned == {}
    assert cluster.memory.losses(3, since=NOW) == 2
    assert cluster.memory.losses(3, since=NOW + 1) == 1
    assert cluster.another_process() == cluster.memory


def test_a_broker_that_nobody_names_any_more_is_forgotten(cluster: Cluster) -> None:
    cluster.look(b7="missing")
    del cluster.brokers[7]
    assert cluster.look() == ["thor.broker.removed"]
    assert cluster.memory.absent == {}


def test_a_broker_was_gone_before_anybody_looked_where_the_controllers_know_it(cluster: Cluster) -> None:
    clock = 5_000_000
    cluster.quorum = Quorum(1, (Voter(1, 0, None, clock),), (Voter(3, 0, None, clock - 42_000), Voter(4, 0)))
    assert following(3, cluster.quorum) == 42.0
    assert following(4, cluster.quorum) is None
    cluster.look(b3="fenced", b4="fenced")
    assert cluster.memory.absent[3].since == NOW - 42
    assert cluster.memory.absent[4].since == NOW


def test_a_broker_that_was_silent_before_it_was_fenced_is_gone_since_then(cluster: Cluster) -> None:
    cluster.silent = (3,)
    assert cluster.look() == ["thor.finding.noted"]
    cluster.silent = ()
    assert cluster.look(after_s=7, b3="fenced") == ["thor.broker.missed", "thor.finding.cleared"]
    assert cluster.memory.absent[3].since == NOW


def test_two_that_look_at_once_note_one_loss(cluster: Cluster) -> None:
    for _ in range(2):
        news = observe(cluster_with(cluster, b3="fenced"), (), Memory(), NOW, "orders")
        for new in news:
            events.record(cluster.journal, new.kind, new.subject, new.data, correlation=new.incident)
    assert cluster.recall().losses(3, 0) == 1


def cluster_with(cluster: Cluster, **states: str) -> ClusterSnapshot:
    cluster.brokers |= {int(name[1:]): state for name, state in states.items()}
    return cluster.snapshot()


def test_starts_of_a_node_are_counted_for_one_absence(cluster: Cluster) -> None:
    cluster.look(b3="fenced")
    cluster.heal("started", "restart", 3)
    cluster.heal("failed", "restart", 3)
    cluster.now += 5
    cluster.heal("started", "restart", 3)
    absence = cluster.memory.absent[3]
    assert (absence.restarts, absence.restarted_at, absence.failures) == (2, NOW + 5, 0)
    cluster.look(after_s=5, b3="up")
    cluster.look(after_s=5, b3="fenced")
    assert cluster.memory.absent[3].restarts == 0


def test_failed_moves_are_counted_and_a_killed_healer_left_its_start(cluster: Cluster) -> None:
    cluster.look(b3="fenced")
    cluster.heal("started", "reassign", 3)
    cluster.heal("failed", "reassign", 3)
    absence = cluster.memory.absent[3]
    assert (absence.failures, absence.failed_at) == (1, NOW)
    assert cluster.memory.emptied == {3}, "what was moved in part is to be filled again"
    cluster.look(after_s=5, b3="up")
    cluster.heal("finished", "resume", 3)
    assert (cluster.memory.emptied, dict(cluster.memory.returned)) == (frozenset(), {})


def test_findings_that_pass_by_themselves_have_a_first_sight_too(cluster: Cluster) -> None:
    cluster.isr = {0: (1, 2)}
    assert cluster.look() == ["thor.finding.noted"]
    assert cluster.look(after_s=30) == []
    assert cluster.memory.noted == {("under-replicated", "broker 3"): NOW}
    cluster.isr = {}
    assert cluster.look(after_s=30) == ["thor.finding.cleared"]
    assert cluster.memory.noted == {}


def test_a_slow_broker_is_noted_also_while_another_is_gone(cluster: Cluster) -> None:
    cluster.isr = {0: (1,)}
    assert cluster.look(b3="fenced") == ["thor.broker.missed", "thor.finding.noted"]
    assert list(cluster.memory.noted) == [("under-replicated", "broker 2")]


def test_what_was_escalated_is_remembered_until_it_is_over(cluster: Cluster) -> None:
    cluster.heal("held", "hold", key="outage")
    assert cluster.memory.held == "outage"
    events.record(cluster.journal, remembered.RECOVERED, "orders", {"cluster_id": "c"})
    assert cluster.recall().held == ""


def test_other_clusters_of_the_same_journal_are_somebody_elses(cluster: Cluster) -> None:
    events.record(cluster.journal, remembered.MISSED, "x", {"cluster_id": "other", "broker": 3, "since": 1})
    events.record(cluster.journal, "thor.recipe.started", "x", {"cluster_id": "c"})
    assert replace(cluster.recall(), seen=0) == Memory()
