"""Which brokers hold a topic's replicas when its replication factor changes. Pure: brokers and partitions in, a plan out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from asgard.cluster.limits import Limits
from asgard.cluster.plan import Batch, Change, Plan, Spread
from asgard.core.errors import Refused
from asgard.kafka.model import Broker, ClusterSnapshot, Move, Partition

_NOT_MEASURED = Spread(1.0, 1.0, 1.0, 1.0)


def with_replication(partitions: Sequence[Partition], brokers: Iterable[Broker], factor: int) -> list[Move]:
    """Moves that bring every partition to `factor` replicas; partitions that have it already get none.

    A new replica goes to the rack with the fewest replicas of the partition, then to the broker with the fewest
    replicas of these partitions, then to the lowest id. The replica to remove is one out of sync, else one whose rack
    holds most of the partition's replicas, else one on the fullest broker; an in-sync preferred leader stays, and so
    does the last in-sync replica. The remaining ones keep their order. Raises Refused if there are too few live
    brokers.
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
                    "Add brokers first, or bring back those that are down.",
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


def plan(
    cluster_id: str,
    partitions: Iterable[Partition],
    brokers: Iterable[Broker],
    wanted: Mapping[str, int],
    sizes: Mapping[tuple[str, int], int],
) -> Plan:
    """The plan that brings topics to these factors. `sizes` are bytes by partition. Raises Refused like
    `with_replication`."""
    by_topic: dict[str, dict[int, Partition]] = {}
    for p in partitions:
        if p.topic in wanted:
            by_topic.setdefault(p.topic, {})[p.partition] = p
    alive = tuple(brokers)
    changes = tuple(
        _change(by_topic[topic][move.partition], move.replicas, sizes.get((topic, move.partition), 0))
        for topic in sorted(by_topic)
        for move in with_replication(list(by_topic[topic].values()), alive, wanted[topic])
    )
    arguments = tuple(f"{topic}={factor}" for topic, factor in sorted(wanted.items()))
    batch = Batch(1, len(changes), sum(c.bytes_moved for c in changes), 0.0)
    return Plan("set-rf", arguments, cluster_id, "", changes, (batch,), (), _NOT_MEASURED, _NOT_MEASURED)


def replan(made: Plan, left: Iterable[Change], snapshot: ClusterSnapshot, limits: Limits) -> Plan:
    """The same factors for the current cluster."""
    wanted = {topic: int(factor) for topic, _, factor in (a.rpartition("=") for a in made.arguments)}
    sizes = {(p.topic, p.partition): p.size_bytes or 0 for p in snapshot.partitions if p.topic in wanted}
    return plan(made.cluster_id, snapshot.partitions, snapshot.brokers, wanted, sizes)


def _change(p: Partition, after: tuple[int, ...], size_bytes: int) -> Change:
    new = sum(1 for r in after if r not in p.replicas)
    why = f"replication factor {len(after)}"
    return Change(p.topic, p.partition, p.target_replicas, after, size_bytes * new, 1, why)
