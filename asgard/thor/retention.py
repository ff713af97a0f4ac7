"""How much longer a topic may keep its records, so that a group can read what would expire: within disk limits. Pure.

The cost of a longer retention is estimated from what the topic holds now: bytes over the time they cover, or its write rate if that is
higher. Every broker with a replica must have room for it below its limit. Times are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from asgard.cluster.limits import Limits
from asgard.core.errors import Refused
from asgard.core.units import format_duration, format_size
from asgard.kafka.model import ClusterSnapshot, Partition

MS, BYTES = "retention.ms", "retention.bytes"
WORTH = 0.1
"""A gain below this fraction of the request is not worth a change."""


@dataclass(frozen=True)
class Longer:
    """`values` are the configs to set, `seconds` how much longer records are kept, `costs_bytes` the total on all brokers.

    `held_back` says what limits it, if it is less than requested.
    """

    topic: str
    values: Mapping[str, str]
    seconds: float
    costs_bytes: int
    held_back: str = ""


@dataclass
class Disks:
    """What brokers hold and may hold. `promised` are the bytes by broker that earlier retention raises will still add."""

    snapshot: ClusterSnapshot
    limits: Limits
    promised: dict[int, float] = field(default_factory=dict)

    def promise(self, topic: str, retention_s: float, seconds: float) -> int:
        """Reserve room for a topic that is kept this much longer. Returns the bytes on all brokers together."""
        rates = self.rates(topic, retention_s)
        for broker, rate in rates.items():
            self.promised[broker] = self.promised.get(broker, 0.0) + rate * seconds
        return int(sum(rates.values()) * seconds)

    def rates(self, topic: str, retention_s: float) -> dict[int, float]:
        """Bytes per second by broker that a longer retention adds. Raises Refused if sizes were not measured."""
        found: dict[int, float] = {}
        for p in self.snapshot.partitions:
            if p.topic == topic:
                for broker in {*p.replicas, *p.target_replicas}:
                    found[broker] = found.get(broker, 0.0) + _rate(p, retention_s)
        return found

    def room(self, topic: str, retention_s: float) -> tuple[int | None, float]:
        """The broker whose disk fills up first, and how many seconds of the topic it has room for. Raises Refused if unknown."""
        least: tuple[int | None, float] = (None, math.inf)
        by_id = {b.id: b for b in self.snapshot.brokers}
        for broker, rate in sorted(self.rates(topic, retention_s).items()):
            known = by_id.get(broker)
            if (
                known is None or known.state != "up"
            ):  # its disk can't be read; it has to catch up with the others anyway
                continue
            limit = self.limits.of(broker)
            capacity = limit.capacity_bytes or sum(d.capacity_bytes or 0 for d in known.log_dirs)
            if not capacity:
                raise Refused(f"how large the disks of broker {broker} are is not known", "Say it: limits.brokers in thor.yaml.")  # fmt: skip
            used = sum(d.used_bytes or 0 for d in known.log_dirs) + self.promised.get(broker, 0.0)
            if limit.disk is not None and rate > 0:
                room_s = max((limit.disk * capacity - used) / rate, 0.0)
                least = (broker, room_s) if room_s < least[1] else least
        return least


def plan(topic: str, in_force: Mapping[str, str], disks: Disks, extra_s: float, most_s: float) -> Longer:
    """Keep the topic's records longer by `extra_s`, or by what `most_s` and the disks allow. Raises Refused if that is too little.

    `in_force` are the topic's retention.ms and retention.bytes with defaults.
    """
    now_ms, size = int(in_force.get(MS, "-1")), int(in_force.get(BYTES, "-1"))
    if now_ms < 0:
        raise Refused(f"{topic} keeps its records for ever already: its retention.ms is -1")
    longer_s, held_back = extra_s, ""
    if most_s < longer_s:
        longer_s, held_back = max(most_s, 0.0), "at_most allows no more"
    broker, room_s = disks.room(topic, now_ms / 1000)
    if room_s < longer_s:
        longer_s, held_back = room_s, f"the disk limit of broker {broker} allows no more"
    if longer_s < extra_s * WORTH:
        raise Refused(
            f"{topic} can't be kept {format_duration(extra_s)} longer: {held_back} than {format_duration(longer_s)}",
            "Make room (`asgard thor plan balance`), raise limits.disk in thor.yaml, or let the group skip what it does not need.",
        )
    then_ms = now_ms + int(longer_s * 1000)
    values = {MS: str(then_ms)}
    if size >= 0:  # else the size limit would delete what the time limit keeps
        values[BYTES] = str(math.ceil(size * then_ms / max(now_ms, 1)))
    costs = disks.promise(topic, now_ms / 1000, longer_s)
    return Longer(topic, values, longer_s, costs, held_back)


def words(longer: Longer) -> str:
    """In a sentence."""
    text = f"{longer.topic} keeps its records {format_duration(longer.seconds)} longer (up to {format_size(longer.costs_bytes)} more on disks)"
    return f"{text}; {longer.held_back}" if longer.held_back else text


def _rate(p: Partition, retention_s: float) -> float:
    if p.size_bytes is None:
        raise Refused(f"the size of {p.topic}-{p.partition} is not known, so neither is what a longer retention costs")
    return max(p.size_bytes / max(retention_s, 1.0), p.bytes_in_per_s or 0.0)
