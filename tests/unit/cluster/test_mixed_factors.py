"""A topic whose partitions have different numbers of replicas, as a move that was cut short leaves it."""

from __future__ import annotations

from asgard.kafka.model import Partition, Topic
from asgard.odin.lifecycle.drift import Drift
from asgard.odin.resources.kinds import TOPIC


def topic(*replicas: tuple[int, ...]) -> Topic:
    return Topic("t", "id", False, tuple(Partition("t", n, r, r, r[0]) for n, r in enumerate(replicas)))


def test_the_factor_is_that_of_most_partitions_and_the_others_are_named() -> None:
    mixed = topic((1, 2), (1, 2, 3), (2, 3, 1))
    assert mixed.replication == 3
    assert [p.partition for p in mixed.unlike(3)] == [0]
    assert [p.partition for p in mixed.unlike(2)] == [1, 2]
    assert topic((1, 2, 3)).unlike(3) == ()


def test_replicas_that_are_being_added_do_not_count() -> None:
    moving = Partition("t", 0, (1, 2, 3), (1, 2), 1, adding=(3,), removing=(1,))
    assert moving.replication == 2


def test_drift_names_the_partition() -> None:
    some = Drift("changed", TOPIC, "orders", "urn", {"replication": (3, 2)}, partitions=(4,))
    assert str(some) == "topic orders: replication is 2, was 3 (partition 4)"
    many = Drift("changed", TOPIC, "orders", "urn", {"replication": (3, 2)}, partitions=tuple(range(7)))
    assert str(many).endswith("(partitions 0, 1, 2, 3, 4 and 2 more)")
    assert str(Drift("changed", TOPIC, "orders", "urn", {"replication": (3, 2)})).endswith("was 3")
