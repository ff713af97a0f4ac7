"""`--throttle auto`: how fast moves may go, given the brokers' other traffic. Pure: two looks and limits in, a rate out.

A broker's headroom is its limit (`bytes_in`, `bytes_out`) minus the traffic that is not from moves. The throttle is one
rate for all brokers, so the tightest broker decides. It drops immediately but rises by at most half per look, so that
it does not chase short fluctuations.

A broker receives the growth of its replicas; it sends the growth of those it leads, once per follower. Consumer reads
can't be seen from outside: leave room for them in `bytes_out`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from asgard.cluster.limits import Limits
from asgard.kafka.model import Partition

AUTO: Literal["auto"] = "auto"
SHARE = 0.8
"""Share of the headroom that moves may take."""
LEAST_BYTES_PER_S = 1_000_000.0
_RISE = 1.5
_WORTH_IT = 0.1

Sizes = Mapping[int, Mapping[tuple[str, int], int]]
"""Broker to its replicas' bytes."""


@dataclass(frozen=True)
class Traffic:
    """Bytes per second of a broker, without those of moves."""

    bytes_in: float = 0.0
    bytes_out: float = 0.0


def traffic(before: Sizes, after: Sizes, seconds: float, partitions: Iterable[Partition]) -> dict[int, Traffic]:
    """Each broker's traffic between two looks, without the replicas being added. A log that shrank counts as
    unchanged."""
    into: dict[int, float] = defaultdict(float)
    out: dict[int, float] = defaultdict(float)
    for p in partitions:
        key = (p.topic, p.partition)
        there = [r for r in p.replicas if r not in p.adding]
        for r in there:
            if key in before.get(r, {}) and key in after.get(r, {}):
                into[r] += max(0, after[r][key] - before[r][key])
        if key in before.get(p.leader, {}) and key in after.get(p.leader, {}):
            out[p.leader] += max(0, after[p.leader][key] - before[p.leader][key]) * (len(there) - 1)
    return {b: Traffic(into[b] / seconds, out[b] / seconds) for b in after}


def head_room(carried: Mapping[int, Traffic], limits: Limits) -> float | None:
    """Bytes per second that the tightest broker has left; None if no broker has a traffic limit."""
    rooms = []
    for broker, now in carried.items():
        limit = limits.of(broker)
        if limit.bytes_in_per_s is not None:
            rooms.append(limit.bytes_in_per_s - now.bytes_in)
        if limit.bytes_out_per_s is not None:
            rooms.append(limit.bytes_out_per_s - now.bytes_out)
    return min(rooms, default=None)


def next_rate(now: float, room: float | None, most: float) -> float:
    """The throttle to set, in bytes per second and broker; the current one if a change would not be worth a write."""
    if room is None:
        return most
    wanted = max(LEAST_BYTES_PER_S, min(most, room * SHARE, now * _RISE))
    return wanted if abs(wanted - now) > now * _WORTH_IT else now
