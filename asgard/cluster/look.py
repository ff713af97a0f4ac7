"""A snapshot of a live cluster, with few requests: one per broker, or one for thousands of partitions, in parallel.

Sizes are bytes, rates bytes per second over the window, times UTC. What could not be measured is None, never 0. A hung
broker blocks nothing: it is given up after `BROKER_DEADLINE_S` and listed in `silent`; data on its replicas comes from
the others. `thor.rates` computes a partition's rates.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from asgard.cluster import rates
from asgard.cluster.rates import RateSample
from asgard.core.errors import Unreachable
from asgard.kafka.admin.errors import NotAuthorised
from asgard.kafka.model import Broker, ClusterSnapshot, Disk, Partition, Quorum, Topic, TopicFacts
from asgard.kafka.ports import ControlPlane

BROKER_DEADLINE_S = 5.0
_MIN_ISR = "min.insync.replicas"


def take(
    control: ControlPlane, *, window_s: float = 0.0, unasked: Collection[int] = (), quorum: bool = True
) -> ClusterSnapshot:
    """The cluster now. With a window it is read twice, that far apart, and rates are measured in between.

    `unasked` brokers are skipped: they did not answer a moment ago, and are listed in `silent` again. `quorum=False`:
    only what brokers know by themselves, so neither the quorum nor running moves; if its leader hangs, brokers wait
    long for it.

    Raises Unreachable if no broker answers, NotAuthorised if the user may not look.
    """
    with ThreadPoolExecutor(5, "snapshot") as pool:
        look = _Looker(control, pool, frozenset(unasked), quorum)
        before = None
        if window_s > 0:
            first = look.structure()
            before = look.sample(first)
            time.sleep(window_s)
        return _snapshot(look, before)


@dataclass(frozen=True)
class _Structure:
    """Brokers, topics and quorum at a moment."""

    cluster_id: str
    brokers: tuple[Broker, ...]
    topics: dict[str, Topic]
    quorum: Quorum | None

    @property
    def partitions(self) -> Iterable[Partition]:
        return (p for topic in self.topics.values() for p in topic.partitions)

    @property
    def up(self) -> list[int]:
        return [b.id for b in self.brokers if b.state == "up"]


@dataclass(frozen=True)
class _Looker:
    """Sends several requests at a time; one waiting for a hung broker does not hold up the others."""

    control: ControlPlane
    pool: ThreadPoolExecutor
    unasked: frozenset[int] = frozenset()
    asks_quorum: bool = True

    def structure(self) -> _Structure:
        info = self.control.cluster()
        quorum = self._quorum() if self.asks_quorum else None
        # Without a quorum leader, running moves are unknown; what brokers know of topics is still worth having.
        topics = self.control.topics(moves=self.asks_quorum and (quorum is None or quorum.leader >= 0))
        return _Structure(info.cluster_id, info.brokers, topics, quorum)

    def _quorum(self) -> Quorum | None:
        try:
            return self.control.quorum()
        except NotAuthorised:
            return None
        except Unreachable:
            # Brokers answer (they just did), but none of them finds the quorum leader.
            return Quorum(-1)

    def min_isr(self, names: Collection[str]) -> dict[str, int]:
        """Topic to its effective min.insync.replicas."""
        found = self.control.effective_topic_configs(names, [_MIN_ISR])
        return {name: int(config[_MIN_ISR]) for name, config in found.items() if config.get(_MIN_ISR, "").isdecimal()}

    def disks(self, structure: _Structure) -> dict[int, Disk]:
        return self.control.disks([b for b in structure.up if b not in self.unasked], BROKER_DEADLINE_S)

    def sample(self, structure: _Structure, disks: dict[int, Disk] | None = None) -> RateSample:
        """Sizes, end offsets and committed offsets, as close to one moment as possible."""
        partitions = list(structure.partitions)
        ends = self.pool.submit(self.control.leader_offsets, partitions, deadline_s=BROKER_DEADLINE_S)
        committed = self.pool.submit(self.control.group_offsets)
        found = self.disks(structure) if disks is None else disks
        sizes = {broker: disk.sizes for broker, disk in found.items()}
        return RateSample(time.monotonic(), ends.result(), sizes, committed.result())

    def starts(self, partitions: Collection[Partition]) -> dict[tuple[str, int], int]:
        return self.control.leader_offsets(partitions, first=True, deadline_s=BROKER_DEADLINE_S)


def _snapshot(look: _Looker, before: RateSample | None) -> ClusterSnapshot:
    structure = look.structure()
    min_isr = look.pool.submit(look.min_isr, list(structure.topics))
    disks = look.disks(structure)
    several = {b for b, disk in disks.items() if len(disk.log_dirs) > 1}
    partitions = [_placed(_sized(p, disks), disks, several) for p in structure.partitions]
    if before is not None:
        after = look.sample(structure, disks)
        needed = rates.needs_record_size(before, after, partitions)
        partitions = rates.measured(before, after, look.starts(needed), partitions)
    isr = min_isr.result()
    quorum = structure.quorum
    return ClusterSnapshot(
        taken_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        cluster_id=structure.cluster_id,
        controller=quorum.leader if quorum else -1,
        brokers=_brokers(structure, disks),
        partitions=tuple(partitions),
        topics={name: TopicFacts(isr.get(name), topic.internal) for name, topic in structure.topics.items()},
        quorum=quorum,
        silent=tuple(b for b in structure.up if b not in disks),
    )


def _brokers(structure: _Structure, disks: dict[int, Disk]) -> tuple[Broker, ...]:
    """With log directories, and with brokers that only a replica list names."""
    known = {b.id for b in structure.brokers}
    named = {r for p in structure.partitions for r in p.replicas}
    found = [replace(b, log_dirs=disks[b.id].log_dirs) if b.id in disks else b for b in structure.brokers]
    return (*found, *(Broker(b, state="missing") for b in sorted(named - known)))


def _placed(p: Partition, disks: dict[int, Disk], several: set[int]) -> Partition:
    """With the directory of each replica on a broker that has several."""
    if not several or several.isdisjoint(p.replicas):
        return p
    key = (p.topic, p.partition)
    return replace(p, log_dirs=tuple(disks[r].directories.get(key, "") if r in several else "" for r in p.replicas))


def _sized(p: Partition, disks: dict[int, Disk]) -> Partition:
    """With the size of its leader's replica, else of the largest that a broker reported."""
    key = (p.topic, p.partition)
    leader = disks.get(p.leader)
    size = leader.sizes.get(key) if leader else None
    if size is None:
        size = max((s for r in p.replicas if r in disks and (s := disks[r].sizes.get(key)) is not None), default=None)
    return p if size is None else replace(p, size_bytes=size)
