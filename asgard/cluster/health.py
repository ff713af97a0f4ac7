"""Whether a partition is healthy: one definition shared by status, healing, moves, restarts, probes and drills. Pure.

A replica that a reassignment is adding does not count as missing while it copies: the partition has what it had before.
A replica that a reassignment is removing counts until it is gone. Kafka's own UnderReplicatedPartitions counts the same
way, with one difference: here replicas are compared, not their number, so a new in-sync replica does not make up for an
old one that is out of sync.

Callers that need a stricter check say so. `awaited` is the one for restarts and "recovered": which replicas of the
final list are out of sync, including those being added.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from asgard.kafka.model import ClusterSnapshot, Partition


def expected(p: Partition) -> tuple[int, ...]:
    """The replicas that should be in sync now: all but those being added."""
    return tuple(r for r in p.replicas if r not in p.adding) if p.adding else p.replicas


def missing(p: Partition) -> tuple[int, ...]:
    """The expected replicas that are out of sync."""
    return tuple(r for r in expected(p) if r not in p.isr)


def awaited(p: Partition) -> tuple[int, ...]:
    """The replicas of the final list that are out of sync, those being added included."""
    return tuple(r for r in p.target_replicas if r not in p.isr)


def offline(p: Partition) -> bool:
    """No leader: nothing can be read or written."""
    return p.leader < 0


def under_replicated(p: Partition) -> bool:
    """An expected replica is out of sync. Offline partitions count too: nothing can be copied from them."""
    return p.leader < 0 or any(r not in p.isr for r in p.replicas if r not in p.adding)


def spare(p: Partition, min_isr: int) -> int:
    """How many in-sync replicas may be lost before acks=all is refused; negative: it is refused now.

    A partition with fewer replicas than min.insync.replicas takes writes once all of them are in sync.
    """
    return len(p.isr) - min(min_isr, len(expected(p)))


def under_min_isr(p: Partition, min_isr: int) -> bool:
    """Fewer in-sync replicas than min.insync.replicas, or no leader: acks=all is refused."""
    return p.leader < 0 or spare(p, min_isr) < 0


def at_min_isr(p: Partition, min_isr: int) -> bool:
    """Acks=all works now, but would be refused with one replica less."""
    return p.leader >= 0 and spare(p, min_isr) == 0


def preferred_leader(p: Partition) -> int:
    """The first replica of the final list."""
    return p.target_replicas[0]


def led_by_preferred(p: Partition) -> bool:
    """Whether the preferred leader leads; False without a leader."""
    return p.leader == preferred_leader(p)


def electable(p: Partition, up: Collection[int] | None = None) -> bool:
    """Whether an election of preferred leaders would change the leader. `up`: the brokers that could lead; None: any."""
    first = preferred_leader(p)
    return p.leader not in (-1, first) and first in p.isr and (up is None or first in up)


def moving(p: Partition) -> bool:
    """Whether a reassignment of it is under way."""
    return bool(p.adding or p.removing)


def recovered(p: Partition) -> bool:
    """It has a leader, every replica is in sync, and no reassignment is under way."""
    return p.leader >= 0 and not moving(p) and all(r in p.isr for r in p.replicas)


def all_recovered(partitions: Iterable[Partition]) -> bool:
    """Whether every partition is `recovered`."""
    return all(recovered(p) for p in partitions)


def stuck_on(p: Partition, up: Collection[int]) -> tuple[int, ...]:
    """The down brokers that a move adds a replica on: it can't finish until one of them is back."""
    return tuple(r for r in p.adding if r not in up)


def as_if_ended(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """The snapshot as it would be without the moves that add a replica on a down broker."""
    up = {b.id for b in snapshot.brokers if b.state == "up"}
    if not any(p.adding and stuck_on(p, up) for p in snapshot.partitions):
        return snapshot
    return replace(snapshot, partitions=tuple(_ended(p, up) for p in snapshot.partitions))


def _ended(p: Partition, up: Collection[int]) -> Partition:
    if not p.adding or not stuck_on(p, up):
        return p
    kept = expected(p)
    dirs = dict(zip(p.replicas, p.log_dirs, strict=False))
    log_dirs = tuple(dirs[r] for r in kept) if dirs else ()
    return replace(p, replicas=kept, log_dirs=log_dirs, adding=(), removing=())
