"""Move a consumer group's coordinator to another broker for a while: the leader of one partition of `__consumer_offsets`.

A stuck coordinator (a group that never leaves its rebalance, commits that time out) is replaced by electing another replica of
that partition: the replica order is rotated, nothing is copied. Once the group works again, the former order is restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgard.cluster import leaders
from asgard.core.errors import Refused
from asgard.kafka.model import Partition
from asgard.kafka.ports import ControlPlane

TOPIC = "__consumer_offsets"
KIND = "asgard.coordinator/v1"
_WELL = ("Stable", "Empty")


def partition_of(group: str, partitions: int) -> int:
    """The partition of `__consumer_offsets` that a group belongs to: Java's hash of its name, as Kafka computes it."""
    found = 0
    for unit in _utf16(group):
        found = (31 * found + unit) & 0xFFFFFFFF
    signed = found - (1 << 32) if found >= 1 << 31 else found
    return (0 if signed == -(1 << 31) else abs(signed)) % partitions


def _utf16(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


def find(control: ControlPlane, group: str) -> Partition:
    """The group's partition, as it is now. Raises Refused if no other broker could be its coordinator."""
    topic = control.topics([TOPIC]).get(TOPIC)
    if topic is None:
        raise Refused("no group has ever committed an offset in this cluster", "Is the name of the cluster right?")
    p = next(p for p in topic.partitions if p.partition == partition_of(group, len(topic.partitions)))
    if p.adding or p.removing:
        raise Refused(f"{TOPIC}-{p.partition} is being moved", "Try again when that is done: asgard thor status.")
    if len([r for r in p.isr if r != p.leader]) == 0:
        raise Refused(
            f"no other replica of {TOPIC}-{p.partition} (the coordinator of {group}) is in sync",
            "Heal the cluster first, or raise the topic's replication: asgard thor plan set-rf.",
        )
    return p


def turned(p: Partition) -> tuple[int, ...]:
    """The replicas with another in-sync one first; the current leader last."""
    others = [r for r in p.replicas if r in p.isr and r != p.leader]
    rest = [r for r in p.replicas if r not in others and r != p.leader]
    return (*others, *rest, p.leader) if p.leader in p.replicas else (*others, *rest)


def undo_of(p: Partition) -> dict[str, Any]:
    """How to put it back, for the journal."""
    return {"partition": p.partition, "replicas": list(p.replicas)}


def put_back(control: ControlPlane, undo: Mapping[str, Any]) -> str:
    """Restore the replicas' former order; doing it twice is harmless."""
    before = tuple(int(r) for r in undo["replicas"])
    changed = leaders.order(control, {(TOPIC, int(undo["partition"])): before})
    name = f"{TOPIC}-{undo['partition']}"
    return f"{name} has its former replica order" if changed else f"{name} already had its former replica order"


def health(control: ControlPlane, group: str) -> tuple[bool, str]:
    """Whether its coordinator answers and the group is not rebalancing; and its state in words."""
    listed = control.groups().listed.get(group)
    if listed is None:
        return False, f"{group} is unknown to every coordinator"
    return listed.state in _WELL, f"{group} is {listed.state}, its coordinator is broker {listed.coordinator}"
