"""Another replication factor: which replicas come and go."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.cluster.replication_factor import with_replication
from asgard.core.errors import Refused
from asgard.kafka.model import Broker, Partition


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[Partition], list[Broker], int]:
    """A topic on brokers in racks, some brokers down, and a factor that the live ones can hold."""
    count = draw(st.integers(2, 9))
    racks = draw(st.integers(1, 4))
    down = draw(st.sets(st.integers(1, count), max_size=count - 1))
    brokers = [Broker(i, f"r{i % racks}", state="fenced" if i in down else "up") for i in range(1, count + 1)]
    partitions = []
    for number in range(draw(st.integers(1, 12))):
        replicas = draw(st.lists(st.sampled_from(range(1, count + 1)), min_size=1, max_size=min(5, count), unique=True))
        isr = draw(st.sets(st.sampled_from(replicas)))
        leader = replicas[0] if replicas[0] in isr else min(isr, default=-1)
        partitions.append(Partition("t", number, tuple(replicas), tuple(sorted(isr)), leader))
    return partitions, brokers, draw(st.integers(1, count - len(down)))


@given(layouts())
def test_every_partition_gets_the_factor_on_live_brokers_without_losing_what_is_in_sync(
    layout: tuple[list[Partition], list[Broker], int],
) -> None:
    partitions, brokers, factor = layout
    alive = {b.id for b in brokers if b.state == "up"}
    after = {p.partition: p.replicas for p in partitions}
    after |= {m.partition: m.replicas for m in with_replication(partitions, brokers, factor)}
    for p in partitions:
        replicas = after[p.partition]
        assert len(set(replicas)) == len(replicas) == factor
        added = set(replicas) - set(p.replicas)
        assert added <= alive
        assert not added or set(p.replicas) < set(replicas), "either replicas come or they go"
        gone = set(p.replicas) - set(replicas)
        if gone & set(p.isr):
            assert set(replicas) <= set(p.isr), "one in sync goes only when no other is left"
        if p.isr:
            assert set(replicas) & set(p.isr)
        if p.replicas[0] in p.isr:
            assert replicas[0] == p.replicas[0], "an in-sync preferred leader stays the preferred leader"


@given(layouts())
def test_the_same_cluster_gives_the_same_moves_in_any_order_of_brokers(
    layout: tuple[list[Partition], list[Broker], int],
) -> None:
    partitions, brokers, factor = layout
    assert with_replication(partitions, brokers, factor) == with_replication(partitions, brokers[::-1], factor)


def test_new_replicas_spread_over_racks_and_brokers() -> None:
    brokers = [Broker(i, f"r{i % 3}") for i in range(1, 10)]
    partitions = [Partition("t", n, (1 + n % 9,), (1 + n % 9,), 1 + n % 9) for n in range(18)]
    moves = with_replication(partitions, brokers, 3)
    assert len(moves) == 18
    assert all(len({r % 3 for r in m.replicas}) == 3 for m in moves), "one replica a rack"
    load = Counter(r for m in moves for r in m.replicas)
    assert max(load.values()) - min(load.values()) <= 1


def test_a_replica_goes_from_the_rack_that_has_two() -> None:
    brokers = [Broker(1, "a"), Broker(2, "b"), Broker(3, "b")]
    (move,) = with_replication([Partition("t", 0, (1, 2, 3), (1, 2, 3), 1)], brokers, 2)
    assert move.replicas[0] == 1 and len(move.replicas) == 2


def test_too_few_live_brokers_is_refused_with_the_numbers() -> None:
    brokers = [Broker(1), Broker(2, state="fenced"), Broker(3)]
    with pytest.raises(Refused, match="replication 3 of t needs 3 live brokers; there are 2"):
        with_replication([Partition("t", 0, (1,), (1,), 1)], brokers, 3)


def test_what_has_the_factor_already_makes_no_move() -> None:
    moving = Partition("t", 0, (1, 2, 3), (1, 2), 1, adding=(3,), removing=(1,))
    assert with_replication([moving], [Broker(2), Broker(3)], 2) == []
