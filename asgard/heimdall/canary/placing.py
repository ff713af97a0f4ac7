"""Where the canary's partitions should be (one led by each broker), and which group each broker coordinates. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from asgard.kafka.model import Broker, Move, Partition

GROUP = "asgard-canary"
_TRIES = 10_000


@dataclass(frozen=True)
class Placement:
    """`of` says which partition is a broker's. `add` more partitions are needed; `moves` and `elections` bring leaders home."""

    of: Mapping[int, int]
    add: int = 0
    moves: tuple[Move, ...] = ()
    elections: tuple[tuple[str, int], ...] = ()

    @property
    def done(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.add or self.moves or self.elections)


def place(partitions: Sequence[Partition], brokers: Collection[Broker], replication: int) -> Placement:
    """The changes that give each broker that is up one partition to lead.

    A broker keeps the partition that it is the preferred leader of, the one with the lowest number; a broker without one takes over
    an unneeded partition, else a new one. A broker that is down keeps its partition for when it comes back.
    A partition that is moving already is left alone.
    """
    up = sorted(broker.id for broker in brokers if broker.state == "up")
    known = {broker.id for broker in brokers}
    of: dict[int, int] = {}
    spare: list[Partition] = []
    for p in sorted(partitions, key=lambda p: p.partition):
        home = p.target_replicas[0] if p.target_replicas else -1
        if home in known and home not in of:
            of[home] = p.partition
        elif not (p.adding or p.removing):
            spare.append(p)
    moves: list[Move] = []
    add = 0
    for broker in up:
        if broker in of:
            continue
        if not spare:
            add += 1
            continue
        p = spare.pop(0)
        of[broker] = p.partition
        moves.append(Move(p.topic, p.partition, replicas(broker, up, replication)))
    by_number = {p.partition: p for p in partitions}
    elections = tuple(
        (p.topic, p.partition)
        for broker in up
        if broker in of
        and (p := by_number[of[broker]]).leader != broker
        and p.replicas[0] == broker
        and broker in p.isr
        and not (p.adding or p.removing)
    )
    return Placement(of, add, tuple(moves), elections)


def replicas(leader: int, up: Sequence[int], replication: int) -> tuple[int, ...]:
    """A broker and the next ones in the circle of brokers."""
    ring = sorted(up)
    at = ring.index(leader)
    return tuple((ring[at:] + ring[:at])[:replication])


def coordinator_partition(group: str, partitions: int) -> int:
    """The partition of `__consumer_offsets` whose leader coordinates a group: Java's `hashCode`, as Kafka takes it."""
    value = 0
    for unit in group.encode("utf-16-be").hex(" ", 2).split():
        value = (31 * value + int(unit, 16)) & 0xFFFFFFFF
    # Utils.abs: the smallest number of 32 bits counts as 0
    signed = value - (1 << 32) if value >= 1 << 31 else value
    return (0 if signed == -(1 << 31) else abs(signed)) % partitions


def groups(offsets_leaders: Mapping[int, int], brokers: Collection[int], prefix: str = GROUP) -> dict[int, str]:
    """A group that each broker coordinates; `offsets_leaders`: partition of `__consumer_offsets` to its leader. None for brokers that lead none."""
    found: dict[int, str] = {}
    wanted = set(brokers) & set(offsets_leaders.values())
    for number in range(_TRIES):
        if not wanted:
            break
        group = f"{prefix}-{number}"
        leader = offsets_leaders.get(coordinator_partition(group, len(offsets_leaders)), -1)
        if leader in wanted:
            wanted.discard(leader)
            found[leader] = group
    return found
