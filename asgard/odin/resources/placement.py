"""Which brokers hold a topic's replicas when its replication factor changes. Pure: brokers and partitions in, moves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from asgard.core.errors import Refused
from asgard.kafka.model import Broker, Move, Partition


def with_replication(partitions: Sequence[Partition], brokers: Iterable[Broker], factor: int) -> list[Move]:
    """Moves that bring every partition to `factor` replicas; partitions that have it already make none.

    The preferred leader stays. A new replica goes to a rack that has none of the partition yet, then to the broker with the
    fewest replicas of the topic. One that goes is out of sync, else shares a rack, else is on the fullest broker. Raises
    Refused where there are too few live brokers.
    """
    alive = {broker.id: broker for broker in brokers if broker.state == "up"}
    racks = {broker.id: broker.rack or f"broker {broker.id}" for broker in alive.values()}
    load = Counter(replica for p in partitions for replica in p.target_replicas)
    moves = []
    for p in partitions:
        replicas = list(p.target_replicas)
        while len(replicas) > factor:
            others = [racks.get(r) for r in replicas]
            victim = max(
                replicas[1:],
                key=lambda r: (r not in p.isr, others.count(racks.get(r)) > 1, load[r], r),
            )
            replicas.remove(victim)
            load[victim] -= 1
        while len(replicas) < factor:
            held = {racks.get(r) for r in replicas}
            free = [broker for broker in alive if broker not in replicas]
            if not free:
                raise Refused(
                    f"replication {factor} of {p.topic} needs {factor} live brokers; there are {len(alive)}",
                    "Add brokers first, or heal those that are down.",
                )
            chosen = min(free, key=lambda b: (racks[b] in held, load[b], b))
            replicas.append(chosen)
            load[chosen] += 1
        if tuple(replicas) != p.target_replicas:
            moves.append(Move(p.topic, p.partition, tuple(replicas)))
    return moves
