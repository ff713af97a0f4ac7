"""The blast radius: what may be taken away, on top of what is down already."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.kafka.model import Partition
from asgard.loki.chaos.limits import BlastRadius, ClusterState, refusal


def partition(isr: tuple[int, ...], replicas: tuple[int, ...] = (1, 2, 3), number: int = 0) -> Partition:
    return Partition("orders", number, replicas, isr, isr[0] if isr else -1)


def four(down: tuple[int, ...] = (), *partitions: Partition) -> ClusterState:
    """Four brokers, of which 1 and 4 share a rack; the first three are controllers."""
    racks = {1: "r0", 2: "r1", 3: "r2", 4: "r0"}
    return ClusterState(racks, frozenset(down), frozenset({1, 2, 3}), partitions or (partition((1, 2, 3)),))


@pytest.mark.parametrize(
    ("limits", "taking", "state_now", "why"),
    [
        (BlastRadius(), [2], four(), None),
        (BlastRadius(), [1, 4], four(), None),
        (BlastRadius(), [2, 4], four(), "one broker, or those of one rack"),
        (BlastRadius(), [2], four((3,)), "3 already"),
        (BlastRadius(brokers=1), [1, 4], four(), "allowed is 1"),
        (BlastRadius(brokers=2), [2, 4], four(), None),
        (BlastRadius(brokers=0), [2], four(), "allowed is 0"),
        (BlastRadius(brokers=2), [2, 3], four(), "not a majority"),
        (BlastRadius(brokers=2, quorum=False), [2, 3], four(), None),
        (BlastRadius(), [2], four((), partition((2,))), "0 in-sync replicas left"),
        (BlastRadius(), [2], four((), partition((1, 3))), None),
        (BlastRadius(in_sync=2), [2], four((), partition((1, 2))), "1 in-sync replica left"),
        (BlastRadius(in_sync=0), [2], four((), partition((2,))), None),
        (BlastRadius(), [2], four((), partition((3,))), None),
        (BlastRadius(), [], four((1, 2, 3)), None),
    ],
)
def test_what_may_be_taken(limits: BlastRadius, taking: list[int], state_now: ClusterState, why: str | None) -> None:
    said = refusal(limits, taking, state_now)
    assert (said is None) if why is None else (said is not None and why in said)


@st.composite
def clusters(draw: Any) -> tuple[ClusterState, set[int]]:
    ids = range(1, draw(st.integers(3, 7)) + 1)
    racks = {i: draw(st.sampled_from([None, "a", "b"])) for i in ids}
    isrs = draw(st.lists(st.sets(st.sampled_from(list(ids)), min_size=1, max_size=3), max_size=5))
    partitions = [Partition("t", n, tuple(isr), tuple(isr), -1) for n, isr in enumerate(isrs)]
    down = draw(st.sets(st.sampled_from(list(ids)), max_size=3))
    return ClusterState(racks, frozenset(down), frozenset(list(ids)[:3]), partitions), draw(
        st.sets(st.sampled_from(list(ids)), min_size=1, max_size=3)
    )


@given(clusters(), st.none() | st.integers(0, 3), st.integers(1, 2))
def test_what_it_lets_through_leaves_a_majority_and_enough_replicas(
    cluster: tuple[ClusterState, set[int]], brokers: int | None, in_sync: int
) -> None:
    state_now, taking = cluster
    if refusal(BlastRadius(brokers, in_sync), taking, state_now) is not None:
        return
    down = state_now.down | taking
    assert len(down) <= brokers if brokers is not None else len({state_now.racks[b] for b in down}) == 1
    assert not state_now.voters & taking or len(state_now.voters - down) >= 2
    for p in state_now.partitions:
        assert not taking.intersection(p.isr) or len(set(p.isr) - down) >= in_sync
