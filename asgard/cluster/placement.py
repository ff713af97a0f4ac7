"""The cluster during planning: where every replica is, each broker's load and its limits (`directories`: its disks).

Brokers and partitions are numbered here (by id; by topic and partition), so that inner loops work on plain lists. A replica is
lost when its broker is not up, or when its broker has an offline log directory and the replica is out of sync. One without a
measured size counts as the mean of its topic, else of the cluster; one without a measured rate counts as 0.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

from asgard.cluster.directories import Directories
from asgard.cluster.limits import Limits
from asgard.cluster.plan import BrokerLoad, Unmet, brokers_named
from asgard.cluster.sizes import sizes
from asgard.kafka.model import Broker, ClusterSnapshot, Partition

_TOPIC = attrgetter("topic")
_KEEPING = ("not answering", "excluded", "cordoned")
"""Why a broker gets nothing new and keeps what it has."""


@dataclass
class Loads:
    """The brokers' loads, by their number: bytes, replicas, leaders, bytes per second in and out."""

    disk: list[int]
    count: list[int]
    leads: list[int]
    bytes_in: list[float]
    bytes_out: list[float]


def refusal(broker: Broker, silent: Collection[int], limits: Limits) -> str:
    """Why nothing may be placed on the broker; empty if it may."""
    if broker.state != "up":
        return "dead" if broker.state == "fenced" else "missing"
    if broker.id in silent:
        return "not answering"
    if broker.id in limits.exclude_brokers:
        return "excluded"
    if any(d.offline for d in broker.log_dirs):
        return "offline log directory"
    return "cordoned" if broker.log_dirs and all(d.cordoned for d in broker.log_dirs) else ""


class Placement:
    """See the module. Loads (`disk`, `count`, `leads`, `bytes_in`, `bytes_out`) and their caps are lists by broker number."""

    def __init__(self, snapshot: ClusterSnapshot, limits: Limits, draining: Collection[int] = ()) -> None:
        self.snapshot = snapshot
        self.limits = limits
        self.brokers: list[Broker] = sorted(snapshot.brokers, key=lambda b: b.id)
        self.ids = [b.id for b in self.brokers]
        self.index = {b: i for i, b in enumerate(self.ids)}
        self.parts: list[Partition] = sorted(snapshot.partitions, key=attrgetter("topic", "partition"))
        self.notes: list[str] = []
        self.unmet: list[Unmet] = []
        self.edits = 0
        self._take_brokers(set(draining))
        self._take_partitions()
        self._take_loads()
        self._take_caps()
        self.start = self.loads()

    # What is there ------------------------------------------------------------------------------------------------

    def _take_brokers(self, draining: set[int]) -> None:
        named = any(b.rack is not None for b in self.brokers)
        # Without racks all brokers form one rack; with racks, a broker without one is its own rack.
        names = sorted({b.rack for b in self.brokers if b.rack is not None})
        rack_of: dict[str, int] = {name: i for i, name in enumerate(names)}
        self.rack: list[int] = []
        count = max(1, len(names))
        for b in self.brokers:
            if b.rack is not None:
                self.rack.append(rack_of[b.rack])
            elif named:
                self.rack.append(count)
                count += 1
            else:
                self.rack.append(0)
        self.rack_count = count
        self.up = [b.state == "up" for b in self.brokers]
        self.draining = [b.id in draining for b in self.brokers]
        self.hurt = [any(d.offline for d in b.log_dirs) for b in self.brokers]
        self.sound = all(self.up) and not any(self.hurt)  # no replica is lost
        self.refusal = [
            "draining" if b.state == "up" and b.id in draining else refusal(b, self.snapshot.silent, self.limits)
            for b in self.brokers
        ]
        self.accepts = [not r for r in self.refusal]
        self.rack_accepting = [0] * self.rack_count
        for rack, accepts in zip(self.rack, self.accepts, strict=True):
            self.rack_accepting[rack] += accepts

    def _take_partitions(self) -> None:
        index = self.index
        self.before: list[tuple[int, ...]] = []
        self.moving: set[int] = set()
        for p, part in enumerate(self.parts):
            replicas = part.replicas
            if part.adding or part.removing:
                self.moving.add(p)
                replicas = part.target_replicas
            self.before.append(tuple(map(index.__getitem__, replicas)))
        self.reps: list[list[int]] = list(map(list, self.before))
        self.offline = {p for p, part in enumerate(self.parts) if part.leader < 0}
        verdict: dict[str, bool] = {}
        self.excluded: set[int] = set()
        if self.limits.exclude_topics:
            for p, part in enumerate(self.parts):
                if part.topic not in verdict:
                    verdict[part.topic] = self.limits.excludes_topic(part.topic)
                if verdict[part.topic]:
                    self.excluded.add(p)
        self.log: dict[int, list[tuple[int, int, str]]] = {}
        """By partition: (from, to, why) of each replica that the plan moved; -1 is no broker."""

    def _take_loads(self) -> None:
        n = len(self.brokers)
        self.size, unmeasured = sizes(self.parts)
        if unmeasured:
            self.notes.append(
                f"{unmeasured} partitions have no measured size; the mean of their topic or of the cluster is used"
            )
        self.rate_in = [p.bytes_in_per_s or 0.0 for p in self.parts]
        self.rate_out = [
            (p.bytes_out_per_s or 0.0) + (p.bytes_in_per_s or 0.0) * (len(self.before[i]) - 1)
            for i, p in enumerate(self.parts)
        ]
        on: list[list[int]] = [[] for _ in range(n)]
        self.disk = disk = [0] * n
        self.leads = [0] * n
        self.bytes_in = bytes_in = [0.0] * n
        self.bytes_out = [0.0] * n
        for p, (replicas, size, rate) in enumerate(zip(self.before, self.size, self.rate_in, strict=True)):
            for b in replicas:
                on[b].append(p)
                disk[b] += size
                bytes_in[b] += rate
        self.on = list(map(set, on))
        self.lead = [replicas[0] for replicas in self.before]
        if not self.sound:
            for p, part in enumerate(self.parts):
                if self.lost(p, self.lead[p]):
                    self.lead[p] = self.index.get(part.leader, -1)
        for lead, rate in zip(self.lead, self.rate_out, strict=True):
            if lead >= 0:
                self.leads[lead] += 1
                self.bytes_out[lead] += rate
        self.dirs = Directories(self.brokers, self.limits)
        self.dirs.take(self.brokers, self.parts, self.size)
        self.split = [b in self.dirs.of for b in range(n)]  # whether the broker's directories are judged too
        self.count = list(map(len, self.on))
        self._topic_on: dict[str, Counter[int]] = {}

    def _take_caps(self) -> None:
        self.capacity: list[int | None] = []
        self.disk_cap: list[float] = []
        self.base: list[int] = []
        self.count_cap: list[float] = []
        self.leads_cap: list[float] = []
        self.in_cap: list[float] = []
        self.out_cap: list[float] = []
        unknown = []
        for b, broker in enumerate(self.brokers):
            limit = self.limits.of(broker.id)
            sizes = [(d.capacity_bytes, d.used_bytes or 0) for d in broker.log_dirs if not d.offline]
            if self.split[b]:
                sizes = [(d.capacity, d.used) for d in self.dirs.of[b] if not d.offline]
            capacities, used = [c for c, _ in sizes], sum(u for _, u in sizes)
            capacity = limit.capacity_bytes
            if capacity is None and capacities and None not in capacities:
                capacity = sum(c or 0 for c in capacities)
            # Other data on the volume counts against the limit, and no plan moves it.
            base = max(0, used - self.disk[b]) if limit.capacity_bytes is None else 0
            self.capacity.append(capacity)
            self.base.append(base)
            allowed = math.inf if capacity is None else (limit.disk or 1.0) * capacity
            if self.split[b] and limit.capacity_bytes is None and capacity is not None:
                allowed = sum(d.disk * (d.capacity or 0) for d in self.dirs.of[b] if not d.offline)
            self.disk_cap.append(allowed - base)
            self.count_cap.append(math.inf if limit.replicas is None else limit.replicas)
            self.leads_cap.append(math.inf if limit.leaders is None else limit.leaders)
            self.in_cap.append(math.inf if limit.bytes_in_per_s is None else limit.bytes_in_per_s)
            self.out_cap.append(math.inf if limit.bytes_out_per_s is None else limit.bytes_out_per_s)
            if capacity is None and self.accepts[b]:
                unknown.append(broker.id)
        if unknown:
            self.notes.append(
                f"the capacity of {brokers_named(unknown)} is unknown: the disk limit is not checked there"
                " (`limits: brokers: ID: capacity:` names it)"
            )
        limited = any(v != math.inf for v in self.in_cap + self.out_cap)
        if limited and any(p.bytes_in_per_s is None for p in self.parts):
            self.notes.append("some rates are not measured: limits of bytes in and out are not checked for them")
        self._take_shares()

    def _take_shares(self) -> None:
        """The target load of each participating broker: disk by capacity, replicas and leaders equally."""
        self.active = [b for b in range(len(self.brokers)) if self.accepts[b]]
        active = set(self.active)
        kept = {b for b in range(len(self.brokers)) if self.refusal[b] in _KEEPING}
        movers = [b for b in range(len(self.brokers)) if b in active or b not in kept]
        total = sum(self.disk[b] for b in movers)
        capacities = [self.capacity[b] for b in self.active]
        whole = sum(c or 0 for c in capacities)
        by_capacity = all(c is not None for c in capacities) and whole > 0
        n = max(1, len(self.active))
        self.share = [0.0] * len(self.brokers)
        for b in self.active:
            self.share[b] = total * ((self.capacity[b] or 0) / whole if by_capacity else 1 / n)
        self.mean_count = sum(self.count[b] for b in movers) / n
        self.mean_leads = sum(self.leads[b] for b in movers) / n
        self.mean_out = sum(self.bytes_out[b] for b in movers) / n

    # What may be --------------------------------------------------------------------------------------------------

    def lost(self, p: int, b: int) -> bool:
        """Whether the replica of partition `p` on broker `b` no longer serves."""
        if not self.up[b]:
            return True
        return self.hurt[b] and self.parts[p].leader >= 0 and self.ids[b] not in self.parts[p].isr

    def movable(self, p: int) -> bool:
        """Whether an optional plan may touch the partition: led, all replicas there, not moving, not excluded."""
        if p in self.moving or p in self.offline or p in self.excluded:
            return False
        return self.sound or not any(self.lost(p, b) for b in self.reps[p])

    def immovable(self) -> set[int]:
        """All partitions that are not `movable`."""
        broken = [b for b in range(len(self.brokers)) if not self.up[b] or self.hurt[b]]
        lost = {p for b in broken for p in self.on[b] if self.lost(p, b)}
        return lost | self.moving | self.offline | self.excluded

    def fits(self, p: int, b: int) -> bool:
        """Whether broker `b` may get a replica of `p` (racks and leadership apart)."""
        return (
            self.accepts[b]
            and p not in self.on[b]
            and self.disk[b] + self.size[p] <= self.disk_cap[b]
            and self.count[b] + 1 <= self.count_cap[b]
            and self.bytes_in[b] + self.rate_in[p] <= self.in_cap[b]
            and not (self.split[b] and not self.dirs.room(b, self.size[p]))
        )

    def may_lead(self, p: int, b: int) -> bool:
        """Whether broker `b` may become the preferred leader of `p`."""
        if self.lead[p] == b:
            return True
        return self.leads[b] + 1 <= self.leads_cap[b] and self.bytes_out[b] + self.rate_out[p] <= self.out_cap[b]

    def why_not(self, p: int, b: int) -> str:
        """Why broker `b` may not get a replica of `p`; empty if it may (racks apart)."""
        if self.refusal[b]:
            return self.refusal[b]
        if p in self.on[b]:
            return "already has a replica of it"
        if self.disk[b] + self.size[p] > self.disk_cap[b]:
            return f"over its disk limit of {(self.limits.of(self.ids[b]).disk or 1.0):.0%}"
        if self.split[b] and not self.dirs.room(b, self.size[p]):
            return "without a log directory that has room for it"
        if self.count[b] + 1 > self.count_cap[b]:
            return f"over its limit of {self.count_cap[b]:.0f} replicas"
        if self.bytes_in[b] + self.rate_in[p] > self.in_cap[b]:
            return "over its limit of bytes in"
        return ""

    def neighbours(self, p: int, but: int, b: int) -> int:
        """How many replicas of `p`, not counting the one on `but`, are in the rack of broker `b`."""
        rack, home = self.rack, self.rack[b]
        return sum(1 for r in self.reps[p] if r != but and rack[r] == home)

    def x(self, b: int) -> float:
        """How far the broker's disk usage is above its target."""
        return self.disk[b] / self.share[b] if self.share[b] else (math.inf if self.disk[b] else 0.0)

    def topic_on(self, p: int, b: int) -> int:
        """How many replicas of the partition's topic broker `b` has."""
        topic = self.parts[p].topic
        found = self._topic_on.get(topic)
        if found is None:  # counted when first needed: most topics of a large cluster never are
            first = bisect_left(self.parts, topic, key=_TOPIC)
            last = bisect_right(self.parts, topic, key=_TOPIC)
            found = self._topic_on[topic] = Counter(chain.from_iterable(self.reps[first:last]))
        return found.get(b, 0)

    def _on_topic(self, p: int, b: int, more: int) -> None:
        if (found := self._topic_on.get(self.parts[p].topic)) is not None:
            found[b] += more

    # What is done -------------------------------------------------------------------------------------------------

    def move(self, p: int, src: int, dst: int, why: str) -> None:
        """Replace the replica on `src` with one on `dst`, in the same position of the list."""
        self.reps[p][self.reps[p].index(src)] = dst
        self._take(p, src)
        self._give(p, dst)
        if self.lead[p] == src:
            self.set_lead(p, dst)
        self.log.setdefault(p, []).append((src, dst, why))

    def add(self, p: int, dst: int, why: str) -> None:
        """One more replica."""
        self.reps[p].append(dst)
        self._give(p, dst)
        self.log.setdefault(p, []).append((-1, dst, why))

    def remove(self, p: int, src: int, why: str) -> None:
        """One replica less."""
        self.discard(p, src, why)
        if self.lead[p] == src:
            self.set_lead(p, self.reps[p][0])

    def discard(self, p: int, src: int, why: str) -> None:
        """One replica less, even if it leads: the caller sets the leader."""
        self.reps[p].remove(src)
        self._take(p, src)
        self.log.setdefault(p, []).append((src, -1, why))

    def put_first(self, p: int, b: int) -> None:
        """Make the replica on `b` the preferred leader; the order of the others stays."""
        if self.reps[p][0] != b:
            self.reps[p].remove(b)
            self.reps[p].insert(0, b)
        self.set_lead(p, b)

    def set_lead(self, p: int, b: int) -> None:
        """Count the leadership of `p` for broker `b`."""
        self.edits += 1
        old = self.lead[p]
        if old >= 0:
            self.leads[old] -= 1
            self.bytes_out[old] -= self.rate_out[p]
        self.lead[p] = b
        self.leads[b] += 1
        self.bytes_out[b] += self.rate_out[p]

    def revert(self, p: int) -> None:
        """Restore the partition to its state before the plan."""
        lead = self.before[p][0]
        for b in self.reps[p]:
            self._take(p, b)
        self.reps[p] = list(self.before[p])
        for b in self.reps[p]:
            self._give(p, b)
        if self.lost(p, lead):
            lead = self.index.get(self.parts[p].leader, lead)
        if self.lead[p] != lead:
            self.set_lead(p, lead)
        self.log.pop(p, None)

    def _take(self, p: int, b: int) -> None:
        self.on[b].discard(p)
        self.disk[b] -= self.size[p]
        self.count[b] -= 1
        self.bytes_in[b] -= self.rate_in[p]
        if self.split[b]:
            self.dirs.take_away(p, b, self.size[p])
        self._on_topic(p, b, -1)

    def _give(self, p: int, b: int) -> None:
        self.edits += 1
        self.on[b].add(p)
        self.disk[b] += self.size[p]
        self.count[b] += 1
        self.bytes_in[b] += self.rate_in[p]
        if self.split[b]:
            self.dirs.give(p, b, self.size[p])
        self._on_topic(p, b, 1)

    # What is said -------------------------------------------------------------------------------------------------

    def loads(self) -> Loads:
        """The brokers' current loads."""
        return Loads(list(self.disk), list(self.count), list(self.leads), list(self.bytes_in), list(self.bytes_out))

    def load(self, b: int, loads: Loads) -> BrokerLoad:
        """The load of one broker, in readable form."""
        capacity = self.capacity[b]
        return BrokerLoad(
            loads.disk[b],
            loads.count[b],
            loads.leads[b],
            round(max(0.0, loads.bytes_in[b]), 1),
            round(max(0.0, loads.bytes_out[b]), 1),
            round((loads.disk[b] + self.base[b]) / capacity, 4) if capacity else None,
        )

    def name(self, p: int) -> str:
        """`topic-3`."""
        return f"{self.parts[p].topic}-{self.parts[p].partition}"
