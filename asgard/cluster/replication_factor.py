"""Which brokers hold a topic's replicas when its replication factor changes. Pure: brokers and partitions in, moves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from asgard.core.errors import Refused
from asgard.kafka.model import Broker, Move, Partition


def with_replication(partitions: Sequence[Partition], brokers: Iterable[Broker], factor: int) -> list[Move]:
    """Moves that bring every partition to `factor` replicas; partitions that have it already make none.

    A new replica goes to the rack with the fewest replicas of the partition, then to the broker with the fewest replicas of
    these partitions, then to the lowest id. A replica that goes is one out of sync, else one whose rack holds most of the
    partition's replicas, else one on the fullest broker; an in-sync preferred leader stays, and so does the last in-sync
    replica. The order of those that stay is kept. Raises Refused where there are too few live brokers.
    """
    alive = {broker.id for broker in brokers if broker.state == "up"}
    racks = {broker.id: broker.rack or f"broker {broker.id}" for broker in brokers}
    load = Counter(replica for p in partitions for replica in p.target_replicas)
    moves = []
    for p in partitions:
        replicas = list(p.target_replicas)
        while len(replicas) > factor:
            victim = _victim(p, replicas, racks, load)
            replicas.remove(victim)
            load[victim] -= 1
        while len(replicas) < factor:
            free = alive.difference(replicas)
            if not free:
                raise Refused(
                    f"replication {factor} of {p.topic} needs {factor} live brokers; there are {len(alive)}",
                    "Add brokers first, or heal those that are down.",
                )
            held = Counter(racks.get(r) for r in replicas)
            chosen = min(free, key=lambda b: (held[racks[b]], load[b], b))
            replicas.append(chosen)
            load[chosen] += 1
        if tuple(replicas) != p.target_replicas:
            moves.append(Move(p.topic, p.partition, tuple(replicas)))
    return moves


def _victim(p: Partition, replicas: list[int], racks: dict[int, str], load: Counter[int]) -> int:
    held = Counter(racks.get(r) for r in replicas)
    preferred = replicas[0]
    return max(
        replicas,
        key=lambda r: (r not in p.isr, r != preferred, held[racks.get(r)], load[r], r),
    )
