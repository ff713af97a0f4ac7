"""What a drill breaks and when: drawn from a seed, and fit for the cluster."""

from __future__ import annotations

import itertools

import pytest

from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import Broker, Partition
from asgard.loki.drill.preview import preview
from asgard.loki.drill.scenarios import HEAL_S, KINDS, DrilledCluster, aimed, load_of, plan

THREE = DrilledCluster(tuple(Broker(i, f"r{i}") for i in (1, 2, 3)), controller=2)
SIX = DrilledCluster(tuple(Broker(i, f"r{i % 3}") for i in range(1, 7)), controller=1)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_seed_gives_the_same_plan_and_others_give_others(name: str) -> None:
    assert plan(name, 7, SIX, 500) == plan(name, 7, SIX, 500)
    assert len({str(plan(name, seed, SIX, 500).steps) for seed in range(20)}) > 10


@pytest.mark.parametrize(("name", "cluster"), [*itertools.product(KINDS, (THREE, SIX))])
def test_faults_hit_brokers_that_are_there_one_after_the_other(name: str, cluster: DrilledCluster) -> None:
    for seed in range(50):
        made = plan(name, seed, cluster, 500)
        assert made.steps and all(0 < step.after_s <= 6 for step in made.steps)
        for step in made.steps:
            assert step.arguments.get("broker", 1) in {b.id for b in cluster.brokers}
            assert step.arguments.get("broker") != cluster.controller, "the controller has a scenario of its own"
            assert step.arguments.get("rack", "r1") in cluster.racks
        alone = [step.alone and step.lasts_s is None for step in made.steps]
        assert all(alone) != KINDS[name].loses, "only the scenario that is made to lose has two faults at a time"


def test_everything_has_each_of_the_others_once_in_an_order_of_the_seed() -> None:
    each = {"kill_broker", "pause_broker", "kill_controller", "rolling_restart", "lose_rack"}
    orders = {tuple(step.action for step in plan("everything", seed, SIX, 500).steps) for seed in range(20)}
    assert all(set(order) == each and len(order) == len(each) for order in orders) and len(orders) > 10
    bare = DrilledCluster(tuple(Broker(i) for i in (1, 2, 3)), 1)
    assert {step.action for step in plan("everything", 1, bare, 500).steps} == each - {"lose_rack"}


def test_records_are_truly_lost_where_the_leader_dies_while_its_follower_hangs() -> None:
    drawn = plan("acks1-unclean", 3, THREE, 500)
    where = [(2, (2, 1)), (1, (1, 2)), (3, (3, 1)), (1, (1, 3)), (1, (1, 3)), (-1, (3, 1))]
    partitions = [Partition("t", i, replicas, replicas, leader) for i, (leader, replicas) in enumerate(where)]
    follower, leader = aimed(drawn, partitions, controller=2).steps
    assert (leader.arguments["broker"], follower.arguments["broker"]) == (1, 3), (
        "they share most, and none leads the quorum"
    )
    assert (follower.action, leader.action) == ("pause_broker", "kill_broker")
    assert follower.lasts_s is not None
    assert 0 < follower.lasts_s - leader.after_s < 1, (
        "the follower goes on once the leader is dead, before it is fenced"
    )
    assert follower.lasts_s < 9
    with pytest.raises(Refused, match="broker 2, the active controller"):
        aimed(drawn, partitions[:2], controller=2)
    safe = plan("everything", 3, THREE, 500)
    assert aimed(safe, partitions, controller=2) == safe


def test_a_cluster_that_is_too_small_is_told_what_it_lacks() -> None:
    with pytest.raises(Refused, match="2 brokers are up"):
        plan("broker-dies", 1, DrilledCluster(THREE.brokers[:2], 1), 500)
    with pytest.raises(Refused, match="1 racks"):
        plan("rack-lost", 1, DrilledCluster(tuple(Broker(i, "r") for i in (1, 2, 3)), 1), 500)
    with pytest.raises(WrongUsage, match="there is no scenario nothing") as told:
        plan("nothing", 1, THREE, 500)
    assert "rack-lost" in str(told.value)


def test_the_load_asks_for_what_keeps_records_unless_it_is_made_to_lose_them() -> None:
    safe, unsafe = load_of(plan("broker-dies", 1, THREE, 500)), load_of(plan("acks1-unclean", 1, THREE, 500))
    assert (safe.producers[0].acks, safe.producers[0].idempotence, safe.topics[0].replication) == ("all", True, 3)
    assert safe.topics[0].config == {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
    assert (unsafe.producers[0].acks, unsafe.topics[0].replication) == ("1", 2)
    assert unsafe.topics[0].config == {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}
    for load in (safe, unsafe):
        assert not load.topics[0].in_place and load.check and load.row_s == 0.25
        assert load.duration_s > HEAL_S, "it lasts as long as the slowest healing; the drill ends it"


def test_what_would_be_done_is_shown() -> None:
    told = "\n".join(preview(plan("acks1-unclean", 3, THREE, 500), "orders", 4))
    assert "drill acks1-unclean on orders, seed 3: loses records on purpose" in told
    assert "acks=1 to a scratch topic of 12 partitions, 2 replicas, min.insync.replicas=1; deleted afterwards" in told
    assert "a follower hangs (SIGSTOP) for " in told and "after that began: the broker that leads" in told
    assert "3 more with the seeds up to 6" in told
    told = "\n".join(preview(plan("everything", 3, THREE, 500), "orders", 1))
    assert told.count("after that is healed") == 4 and "{" not in told
