"""The blast radius: how much may be broken at a time. Pure: the state of the cluster and its machines in, a refusal out.

Everything that is down counts, whatever the reason, not only what this run broke: a fault on top of an accident makes
the accident worse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from asgard.kafka.model import Partition


@dataclass(frozen=True)
class BlastRadius:
    """Limits set by the caller; an experiment can't lift them.

    `brokers`: at most so many are down at a time; None: one, or the brokers of one rack. `in_sync`: every partition keeps so
    many in-sync replicas. `quorum`: a majority of the controllers keeps running. `processes`: processes other than brokers.
    `machines`: instances and containers, which Asgard can't match with brokers.
    """

    brokers: int | None = None
    in_sync: int = 1
    quorum: bool = True
    processes: int = 0
    machines: int = 0


@dataclass(frozen=True)
class ClusterState:
    """The current state: `racks` of all brokers, those that are `down` (dead, hanging, or fenced), voters, partitions."""

    racks: Mapping[int, str | None]
    down: frozenset[int]
    voters: frozenset[int]
    partitions: Collection[Partition]


def refusal(limits: BlastRadius, taking: Iterable[int], state_now: ClusterState) -> str | None:
    """Why these brokers must not be taken away now, in a sentence; None: they may."""
    taken = frozenset(taking)
    if not taken:
        return None
    down = state_now.down | taken
    most = limits.brokers
    racks = {state_now.racks.get(broker) for broker in down}
    one_rack = len(racks) == 1 and None not in racks
    if (most is None and len(down) > 1 and not one_rack) or (most is not None and len(down) > most):
        allowed = "one broker, or those of one rack" if most is None else str(most)
        already = f" ({_ids(state_now.down - taken)} already)" if state_now.down - taken else ""
        return f"broker {_ids(down)} would be down at once{already}; allowed is {allowed}"
    if limits.quorum and state_now.voters & taken:
        left, needed = len(state_now.voters - down), len(state_now.voters) // 2 + 1
        if left < needed:
            return f"{left} of {len(state_now.voters)} controllers would be left, which is not a majority"
    if limits.in_sync > 0:
        for p in state_now.partitions:
            left_in_sync = len(set(p.isr) - down)
            if taken.intersection(p.isr) and left_in_sync < limits.in_sync:
                few = f"{left_in_sync} in-sync replica{'' if left_in_sync == 1 else 's'}"
                return f"{p.topic}-{p.partition} would have {few} left; at least {limits.in_sync} must stay"
    return None


def _ids(brokers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(brokers)))
