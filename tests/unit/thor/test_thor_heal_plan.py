"""Which replicas a healing moves: those of brokers whose time has come, and to whom."""

from __future__ import annotations

from dataclasses import replace

from asgard.cluster.limits import Limits
from asgard.thor.heal.act import heal_plan
from tests.unit.thor.test_thor_decide import cluster


def test_only_brokers_whose_grace_is_over_lose_their_replicas_and_nobody_else_is_touched() -> None:
    snapshot = cluster(gone=[3, 4], brokers=8)
    plan = heal_plan(snapshot, Limits(), [3])
    assert {c.partition for c in plan.changes} == {p.partition for p in snapshot.partitions if 3 in p.replicas}
    for change in plan.changes:
        assert 3 not in change.after
        assert (4 in change.after) == (4 in change.before), "broker 4 keeps what it has, and gets nothing new"


def test_a_broker_that_does_not_answer_gets_nothing_new() -> None:
    snapshot = cluster(gone=[3], brokers=5)
    free = heal_plan(snapshot, Limits(), [3])
    assert any(5 in set(c.after) - set(c.before) for c in free.changes)
    careful = heal_plan(replace(snapshot, silent=(5,)), Limits(), [3])
    assert len(careful.changes) == len(free.changes)
    assert not any(5 in set(c.after) - set(c.before) for c in careful.changes)


def test_an_offline_disk_of_another_broker_in_its_grace_is_left_alone() -> None:
    snapshot = cluster(gone=[3], offline_disk=[2], behind=[2], brokers=6)
    plan = heal_plan(snapshot, Limits(), [3])
    assert all((2 in c.after) == (2 in c.before) for c in plan.changes)
    assert all(3 in c.before for c in plan.changes)


def test_where_no_other_broker_is_there_nothing_moves_and_it_is_said_what_would_help() -> None:
    plan = heal_plan(cluster(gone=[3], brokers=3), Limits(), [3])
    assert plan.changes == ()
    assert plan.unmet[0].would_help
