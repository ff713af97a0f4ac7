"""Reverts moves: each partition gets its earlier replicas back, in their earlier order."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from asgard.cluster.moves.record import Flight
from asgard.kafka.model import Move
from asgard.kafka.ports import ControlPlane

_DONE_WITHIN_S = 10.0


def take_back(control: ControlPlane, flights: Collection[Flight]) -> None:
    """Stop these moves; finished ones stay. Raises what the control plane raises. Safe to repeat.

    Kafka's cancel keeps the target's order, and with it another preferred leader; so the old order is requested
    afterwards. (Requesting the old replicas directly does not end a move before its new replica is in sync.)
    """
    if not flights:
        return
    control.reassign([Move(f.topic, f.partition, ()) for f in flights])
    keys = {f.key for f in flights}
    give_up = time.monotonic() + _DONE_WITHIN_S
    while keys & {(p.topic, p.partition) for p in control.reassignments()} and time.monotonic() < give_up:
        time.sleep(0.05)
    before = {f.key: f.before for f in flights}
    while wrong := _out_of_order(control, before):
        control.reassign(wrong)
        if time.monotonic() > give_up:
            break
        time.sleep(0.05)


def _out_of_order(control: ControlPlane, before: Mapping[tuple[str, int], tuple[int, ...]]) -> list[Move]:
    """Moves that restore the order of partitions that have their earlier replicas in another order."""
    topics = control.topics({topic for topic, _ in before})
    there = {(p.topic, p.partition): p.replicas for t in topics.values() for p in t.partitions}
    return [
        Move(*key, replicas)
        for key, replicas in before.items()
        if key in there and there[key] != replicas and set(there[key]) == set(replicas)
    ]
