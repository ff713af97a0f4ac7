"""What a plan reaches on a middling cluster, and what it says where it can't."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgard.cluster.limits import BrokerLimit, Limits
from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition
from asgard.thor.plan import planner
from tests.benchmarks.thor_clusters import cluster_for, generate, without
from tests.benchmarks.thor_plans import GOAL_HEALED_DISK, GOAL_SPREAD
from tests.unit.thor.rules import applied, broken_rules

COARSE = 1.02
"""Bytes over the least: with fewer partitions a broker than in the benchmarks the last pieces are coarser."""


@pytest.fixture(scope="module")
def even() -> ClusterSnapshot:
    return generate(30, 1500)


def small(*replicas: tuple[int, ...], brokers: int = 4, size: int = 100, capacity: int = 1000) -> ClusterSnapshot:
    """One topic `t` with these replica lists; each broker is a rack of its own."""
    parts = tuple(Partition("t", i, r, r, r[0], size_bytes=size) for i, r in enumerate(replicas))
    used = {b: sum(size for r in replicas if b in r) for b in range(1, brokers + 1)}
    nodes = tuple(Broker(b, f"r{b}", log_dirs=(LogDir("/d", capacity, used[b]),)) for b in used)
    return ClusterSnapshot("2026-11-24T09:00:00Z", "c", 1, nodes, parts)


def test_healing_moves_the_bytes_of_the_dead_broker_and_no_more(even: ClusterSnapshot) -> None:
    dead = without(even, 7)
    plan = planner.heal(dead)
    assert plan.bytes_moved == sum(p.size_bytes or 0 for p in even.partitions if 7 in p.replicas)
    assert plan.unmet == ()
    stay = [b for b in plan.brokers if not b.note]
    fullest = max(b.before.bytes for b in stay) / (sum(b.after.bytes for b in stay) / len(stay))
    assert plan.spread_after.disk == pytest.approx(fullest, abs=1e-4), "no receiver becomes the fullest broker"


def test_a_healing_spreads_leaders_without_a_byte_and_after_all_copies() -> None:
    plan = planner.heal(without(generate(50, 5000), 7))
    assert plan.bytes_moved == plan.lower_bound_bytes
    assert plan.spread_after.leaders <= GOAL_SPREAD < plan.spread_before.leaders
    copies = max(c.batch for c in plan.changes if c.bytes_moved)
    orders = [c for c in plan.changes if not c.bytes_moved]
    assert orders and all(set(c.before) == set(c.after) and c.batch > copies for c in orders)


def test_a_healing_of_a_balanced_cluster_leaves_it_balanced() -> None:
    cluster = generate(50, 5000)
    plan = planner.heal(without(applied(cluster, planner.balance(cluster)), 7))
    assert plan.bytes_moved == plan.lower_bound_bytes
    assert plan.spread_after.disk <= GOAL_HEALED_DISK
    assert plan.spread_after.leaders <= GOAL_SPREAD


def test_filling_brings_new_brokers_to_the_lower_limit_and_hardly_more() -> None:
    snapshot = generate(30, 3000, empty=3)
    plan = planner.fill(snapshot, [27, 28, 29])
    assert plan.lower_bound_bytes is not None
    assert plan.lower_bound_bytes <= plan.bytes_moved <= COARSE * plan.lower_bound_bytes
    mean = sum(b.after.bytes for b in plan.brokers) / 30
    assert all(b.after.bytes >= 0.9 * mean for b in plan.brokers if b.id >= 27)
    assert plan.spread_after.leaders <= GOAL_SPREAD < plan.spread_before.leaders


def test_a_balance_reaches_the_tolerance_with_hardly_more_than_the_least_bytes() -> None:
    snapshot, _ = cluster_for("balance", 50, 5000)
    plan = planner.balance(snapshot)
    assert plan.lower_bound_bytes is not None
    assert plan.bytes_moved <= COARSE * plan.lower_bound_bytes
    assert plan.spread_after.disk <= GOAL_SPREAD
    assert plan.spread_after.leaders <= GOAL_SPREAD
    assert broken_rules(snapshot, plan, Limits()) == []
    assert planner.balance(applied(snapshot, plan)).changes == ()


def test_leaders_are_spread_without_a_byte() -> None:
    snapshot, _ = cluster_for("balance", 30, 3000)
    plan = planner.leaders(snapshot)
    assert plan.bytes_moved == 0
    assert plan.spread_after.leaders <= GOAL_SPREAD < plan.spread_before.leaders
    assert all(set(c.before) == set(c.after) for c in plan.changes)


def test_a_bigger_broker_carries_more() -> None:
    base = generate(6, 600, racks=6)
    brokers = tuple(
        replace(b, log_dirs=(replace(b.log_dirs[0], capacity_bytes=(2 if b.id == 0 else 1) * 10**12),))
        for b in base.brokers
    )
    plan = planner.balance(replace(base, brokers=brokers))
    fills = [b.after.disk or 0 for b in plan.brokers]
    assert max(fills) / min(fills) < 1.25


def test_an_offline_partition_is_named_with_the_broker_to_bring_back_first() -> None:
    cluster = small((1, 2), (2, 3))
    lost = replace(cluster.partitions[0], isr=(2,), leader=-1)
    dead = replace(
        cluster,
        brokers=tuple(replace(b, state="fenced") if b.id in (1, 2) else b for b in cluster.brokers),
        partitions=(lost, replace(cluster.partitions[1], isr=(3,), leader=3)),
    )
    plan = planner.heal(dead)
    assert [(c.name, c.after) for c in plan.changes] == [("t-1", (3, 4))] or plan.changes[0].after[0] in (3, 4)
    offline = next(u for u in plan.unmet if u.subjects == ("t-0",))
    assert "broker 2 first" in offline.would_help
    assert plan.failed


def test_a_replica_that_has_no_broker_left_is_named_with_what_would_help() -> None:
    cluster = small((1, 2, 3), brokers=3)
    plan = planner.heal(without(cluster, 3))
    assert plan.changes == ()
    assert plan.unmet[0].subjects == ("t-0",)
    assert "it needs 3" in plan.unmet[0].would_help


def test_a_full_disk_is_never_filled_further() -> None:
    cluster = small((1, 2), (1, 2), (3, 4), (3, 4), capacity=260)
    plan = planner.heal(without(cluster, 1), Limits(disk=0.8))
    assert plan.changes == ()
    assert "disk limit of 80%" in plan.unmet[0].why
    roomy = planner.heal(without(cluster, 1), Limits(disk=0.8, brokers={3: BrokerLimit(disk=1.0, capacity_bytes=300)}))
    copied = [c for c in roomy.changes if c.bytes_moved]
    assert len(copied) == 1, "one of two fits; it is moved although the other can't be"
    assert all(set(c.before) == set(c.after) for c in roomy.changes if c not in copied), "leaders alone"
    assert roomy.failed


def test_what_is_placed_on_a_full_disk_waits_until_room_was_made() -> None:
    # 1 and 2 are full; 1 can only give to 2's place after 2 gave to 3.
    cluster = small((1,), (1,), (1,), (1,), (2,), (2,), brokers=3, capacity=500)
    plan = planner.balance(cluster, Limits(disk=0.8, tolerance=0.01))
    assert broken_rules(cluster, plan, Limits(disk=0.8, tolerance=0.01)) == []
    assert plan.spread_after.disk == 1.0


def test_batches_last_about_a_minute() -> None:
    snapshot = generate(30, 3000, empty=3)
    plan = planner.fill(snapshot, [27, 28, 29], Limits(throttle_bytes_per_s=500e6))
    assert len(plan.batches) > 5
    largest = max(c.bytes_moved for c in plan.changes) / 500e6
    assert all(b.seconds <= max(60.0, largest) + 0.1 for b in plan.batches)
    short = planner.fill(snapshot, [27, 28, 29], Limits(throttle_bytes_per_s=500e6, moves_per_broker=2))
    for batch in short.batches:
        moves = [c for c in short.changes if c.batch == batch.number]
        assert all(sum(b in c.after and b not in c.before for c in moves) <= 2 for b in (27, 28, 29))


def test_a_replication_factor_below_min_isr_is_refused() -> None:
    with pytest.raises(Refused, match=r"min\.insync\.replicas is 2"):
        planner.set_rf(generate(6, 20), {"topic-00000": 1})


def test_a_broker_or_topic_that_is_not_there_is_wrong_usage(even: ClusterSnapshot) -> None:
    with pytest.raises(WrongUsage, match="broker 99 is not in the snapshot"):
        planner.drain(even, [99])
    with pytest.raises(WrongUsage, match="topic nope"):
        planner.set_rf(even, {"nope": 3})


def test_the_way_back_of_another_cluster_is_refused(even: ClusterSnapshot) -> None:
    plan = planner.drain(even, [3])
    with pytest.raises(Refused, match="is for the cluster"):
        planner.undo(replace(even, cluster_id="other"), plan)


def test_racks_are_repaired_with_one_move_a_replica_that_stands_wrong() -> None:
    cluster = small((1, 2), (1, 3), (3, 4))
    brokers = tuple(replace(b, rack="a" if b.id < 3 else "b") for b in cluster.brokers)
    plan = planner.rack_repair(replace(cluster, brokers=brokers))
    assert {c.name for c in plan.changes} == {"t-0", "t-2"}
    assert plan.bytes_moved == 200


def test_excluded_topics_stay_but_are_healed() -> None:
    snapshot, _ = cluster_for("balance", 20, 1000)
    limits = Limits(exclude_topics=("topic-*",))
    assert planner.balance(snapshot, limits).changes == ()
    assert planner.heal(without(snapshot, 3), limits).changes


def test_a_broker_that_does_not_answer_gets_nothing_and_keeps_what_it_has(even: ClusterSnapshot) -> None:
    plan = planner.heal(replace(without(even, 7), silent=(12,)))
    assert plan.unmet == ()
    assert not [c.name for c in plan.changes if 12 in set(c.after) - set(c.before)]
    assert not [c.name for c in plan.changes if 12 in set(c.before) - set(c.after)]
    assert next(b.note for b in plan.brokers if b.id == 12) == "not answering"


def test_several_dead_brokers_are_healed_together_where_the_rest_can_hold_it(even: ClusterSnapshot) -> None:
    dead = without(even, 3, 7, 11)
    plan = planner.heal(dead)
    offline = [p for p in dead.partitions if p.leader < 0]
    left = [p for p in applied(dead, plan).partitions if p.leader >= 0 and {3, 7, 11} & set(p.replicas)]
    assert (left, plan.failed) == ([], bool(offline))
    assert sum(u.count for u in plan.unmet) == len(offline)


def test_a_partition_with_two_replicas_that_cannot_go_is_named_once() -> None:
    plan = planner.drain(small((1, 2), (1, 2), brokers=2), [1, 2])
    (unmet,) = plan.unmet
    assert (unmet.subjects, unmet.count) == (("t-0", "t-1"), 2)
    assert str(unmet).count("t-0") == 1


def test_set_rf_of_an_offline_partition_names_the_broker_to_bring_back() -> None:
    snapshot = small((1, 2), (3, 4))
    offline = replace(snapshot.partitions[0], leader=-1, isr=(2,))
    brokers = tuple(replace(b, state="fenced") if b.id in (1, 2) else b for b in snapshot.brokers)
    plan = planner.set_rf(replace(snapshot, brokers=brokers, partitions=(offline, snapshot.partitions[1])), {"t": 1})
    (unmet,) = plan.unmet
    assert (unmet.subjects, unmet.would_help) == (("t-0",), "bring back broker 2 first: it was in sync last")
    assert [c.name for c in plan.changes] == ["t-1"]
    failed = (brokers[0], replace(brokers[1], state="up", log_dirs=(LogDir("/d", offline=True),)), *brokers[2:])
    plan = planner.set_rf(replace(snapshot, brokers=failed, partitions=(offline,)), {"t": 1})
    assert plan.unmet[0].would_help == "repair the log directory of broker 2 first: it was in sync last"


def test_set_rf_mends_only_the_partition_that_has_another_factor() -> None:
    plan = planner.set_rf(small((1, 2, 3), (2, 3), (3, 4, 1)), {"t": 3})
    ((name, after),) = ((c.name, c.after) for c in plan.changes)
    assert name == "t-1" and set(after) >= {2, 3} and len(after) == 3
