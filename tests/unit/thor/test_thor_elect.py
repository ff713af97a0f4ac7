"""What is said before an unclean leader is elected, and when that is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from asgard.cluster.leaders import away, danger, dangers, parse
from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import Broker, ClusterInfo, Disk, LogDir, Partition, Topic


def brokers(*up: int) -> list[Broker]:
    return [Broker(b, state="up" if b in up else "fenced") for b in (1, 2, 3)]


def partition(isr: tuple[int, ...], elr: tuple[int, ...] = (), leader: int = -1) -> Partition:
    return Partition("orders", 3, (1, 2, 3), isr, leader, elr)


def test_it_says_what_would_be_lost_and_whom_to_bring_back_instead() -> None:
    found = danger(partition((1,)), brokers(2, 3), {(2, "orders", 3): 1024, (9, "orders", 3): 7})
    assert str(found) == (
        "broker 2 or 3 would lead orders-3: every record acknowledged while it was out of sync is lost, for good"
        " (broker 2 holds 1.0 KiB). Better bring back broker 1 first: it was in sync last, so it has every acknowledged record."
    )


def test_eligible_leader_replicas_are_as_safe_as_replicas_in_sync() -> None:
    assert danger(partition((), (2,)), brokers(3), {}).safe == (2,)
    assert "no replica of orders-3 is known to hold all records" in danger(partition(()), brokers(3), {}).instead


def test_a_replica_on_a_failed_log_directory_of_a_broker_that_is_up_does_not_lead() -> None:
    p, others = partition((3,)), {(1, "orders", 3): 5, (2, "orders", 3): 6}
    there = [replace(b, log_dirs=(LogDir("/d1", offline=b.id == 3), LogDir("/d2"))) for b in brokers(1, 2, 3)]
    found = danger(p, there, others)
    assert (found.safe, found.candidates) == ((3,), ((1, 5), (2, 6)))
    assert found.instead.startswith("repair the log directory /d1 of broker 3 first: it was in sync last")
    with pytest.raises(Refused, match="broker 3 is up and has every acknowledged record"):
        danger(p, there, {**others, (3, "orders", 3): 7})
    alone = [replace(b, state="up" if b.id == 3 else "fenced") for b in there]
    with pytest.raises(Refused, match="no replica of orders-3 is up\\nRepair the log directory /d1 of broker 3 first"):
        danger(p, alone, {})


def test_each_broker_is_asked_for_its_log_directories_once() -> None:
    asked: list[set[int]] = []
    topic = Topic("orders", "id", False, tuple(replace(partition((3,)), partition=n) for n in range(2)))

    def disks(brokers: set[int]) -> dict[int, Disk]:
        asked.append(set(brokers))
        sound = Disk((LogDir("/d1"),), {("orders", 0): 5, ("orders", 1): 5})
        failed = Disk((LogDir("/d1", offline=True), LogDir("/d2")), {("orders", 1): 5})
        return {1: sound, 3: failed}  # broker 2 does not answer

    control: Any = SimpleNamespace(
        topics=lambda names: {"orders": topic},
        cluster=lambda: ClusterInfo("c", tuple(brokers(1, 2, 3))),
        disks=disks,
    )
    (found,) = dangers(control, [("orders", 0)])
    assert (found.safe, found.candidates, asked) == ((3,), ((1, 5), (2, None)), [{1, 2, 3}])
    with pytest.raises(Refused, match="broker 3 is up and has every acknowledged record of orders-1"):
        dangers(control, [("orders", 1)])


@pytest.mark.parametrize(
    ("p", "up", "why"),
    [
        (partition((1, 2), leader=1), (1, 2, 3), "orders-3 has a leader, broker 1"),
        (partition((1,)), (1, 2), "broker 1 is up and has every acknowledged record of orders-3"),
        (partition((), (2,)), (2,), "broker 2 is up and has every acknowledged record of orders-3"),
        (partition((1,)), (), "no replica of orders-3 is up"),
    ],
)
def test_it_is_refused_where_it_would_be_for_nothing(p: Partition, up: tuple[int, ...], why: str) -> None:
    with pytest.raises(Refused) as refused:
        danger(p, brokers(*up), {})
    assert refused.value.what == why


def test_a_partition_is_named_as_everywhere() -> None:
    assert parse("orders.created-12") == ("orders.created", 12)
    assert parse("a-b-0") == ("a-b", 0)
    for wrong in ("orders", "orders-", "-1", "orders-x"):
        with pytest.raises(WrongUsage, match="as in orders-3"):
            parse(wrong)


def test_only_preferred_leaders_that_are_in_sync_can_lead_again() -> None:
    partitions = [
        Partition("t", 0, (1, 2), (1, 2), 1),
        Partition("t", 1, (1, 2), (1, 2), 2),
        Partition("t", 2, (1, 2), (2,), 2),
        Partition("t", 3, (1, 2), (), -1),
        Partition("t", 4, (3, 1, 2), (1, 2, 3), 1, removing=(3,)),
    ]
    assert [p.partition for p in away(partitions)] == [1]
