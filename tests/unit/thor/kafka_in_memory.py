"""A cluster in memory behind the control plane's port: enough of it for looks, plans, moves and their temporary settings."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from asgard.cluster.held import HeldCluster
from asgard.journal import leases
from asgard.journal.rules import Priority
from asgard.journal.store.database import Database
from asgard.kafka.model import (
    Broker,
    ClusterInfo,
    ConfigChange,
    DirMove,
    Disk,
    LogDir,
    Move,
    Partition,
    Quorum,
    Topic,
    Voter,
)

CLUSTER = "cluster-in-memory"


@dataclass
class KafkaInMemory:
    """Brokers by id, partitions by name, configs by resource. Moves finish at once; `slow` ones are in flight until `land`.

    `dirs`: (broker, topic, partition) to the directory of a replica; else it is in the first one of its broker.
    `futures`: the directory that a replica is on its way to.
    """

    brokers: dict[int, Broker]
    partitions: dict[tuple[str, int], Partition]
    slow: bool = False
    configs: dict[tuple[str, str], dict[str, str]] = field(default_factory=lambda: defaultdict(dict))
    dirs: dict[tuple[int, str, int], str] = field(default_factory=dict)
    futures: dict[tuple[int, str, int], str] = field(default_factory=dict)

    def cluster(self) -> ClusterInfo:
        return ClusterInfo(CLUSTER, tuple(replace(b, log_dirs=()) for b in self.brokers.values()))

    def topics(self, names: Collection[str] | None = None, moves: bool = True) -> dict[str, Topic]:
        found: dict[str, list[Partition]] = defaultdict(list)
        for p in self.partitions.values():
            if names is None or p.topic in names:
                found[p.topic].append(p)
        return {name: Topic(name, name, False, tuple(parts)) for name, parts in found.items()}

    def quorum(self) -> Quorum:
        return Quorum(1, (Voter(1, 0),))

    def features(self) -> dict[str, int]:
        return {}

    def reassignments(self) -> list[Partition]:
        return [p for p in self.partitions.values() if p.adding or p.removing]

    def reassign(
        self, moves: Collection[Move], allow_replication_factor_change: bool = False
    ) -> dict[tuple[str, int], None]:
        for m in moves:
            p = self.partitions[m.topic, m.partition]
            old = tuple(r for r in p.replicas if r not in p.adding)
            after = m.replicas or old
            adding = tuple(r for r in after if r not in old)
            removing = tuple(r for r in old if r not in after)
            if self.slow and adding:
                now = replace(p, replicas=(*after, *removing), adding=adding, removing=removing)
            else:
                leader = p.leader if p.leader in after else after[0]
                now = replace(p, replicas=after, isr=after, leader=leader, adding=(), removing=())
            self.partitions[m.topic, m.partition] = now
        return {(m.topic, m.partition): None for m in moves}

    def elect_preferred_leaders(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], None]:
        for key in wanted:
            self.partitions[key] = replace(self.partitions[key], leader=self.partitions[key].replicas[0])
        return dict.fromkeys(wanted)

    def topic_configs(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        return {name: dict(self.configs["topic", name]) for name in names}

    def effective_topic_configs(self, names: Collection[str], keys: Any = None) -> dict[str, dict[str, str]]:
        return self.topic_configs(names)

    def broker_configs(self, broker: str) -> dict[str, str]:
        return dict(self.configs["broker", broker])

    def alter_configs(self, changes: Collection[ConfigChange]) -> dict[tuple[str, str], None]:
        for c in changes:
            there = self.configs[c.resource_type, c.name]
            there.update(c.set)
            for key in c.unset:
                there.pop(key, None)
        return {(c.resource_type, c.name): None for c in changes}

    def set_configs(self) -> dict[tuple[str, str], dict[str, str]]:
        """The configs that are set, without empty resources."""
        return {resource: dict(there) for resource, there in self.configs.items() if there}

    def disks(self, brokers: Iterable[int], deadline_s: float | None = None) -> dict[int, Disk]:
        return {b: self._disk(b) for b in brokers if self.brokers[b].state == "up"}

    def log_dirs(self, brokers: Iterable[int], deadline_s: float | None = None) -> dict[int, tuple[LogDir, ...]]:
        return {b: disk.log_dirs for b, disk in self.disks(brokers).items()}

    def _disk(self, broker: int) -> Disk:
        dirs = self.brokers[broker].log_dirs or (LogDir("/d1", 1000, 0),)
        held = [p for p in self.partitions.values() if broker in p.replicas]
        where = {(p.topic, p.partition): self.dirs.get((broker, p.topic, p.partition), dirs[0].path) for p in held}
        there = {key: path for key, path in where.items() if not any(d.offline and d.path == path for d in dirs)}
        sizes = {(p.topic, p.partition): p.size_bytes or 0 for p in held if (p.topic, p.partition) in there}
        future = {(topic, n): (path, 0) for (b, topic, n), path in self.futures.items() if b == broker}
        return Disk(dirs, sizes, there, future)

    def move_directories(self, moves: Collection[DirMove]) -> dict[DirMove, None]:
        for m in moves:
            self.futures.pop((m.broker, m.topic, m.partition), None)
            (self.futures if self.slow else self.dirs)[m.broker, m.topic, m.partition] = m.path
        return dict.fromkeys(moves)

    def land(self) -> None:
        """What is in flight arrives."""
        self.slow = False
        self.reassign([Move(p.topic, p.partition, p.target_replicas) for p in self.reassignments()])
        self.dirs |= self.futures
        self.futures = {}


def partitions(topic: str, *replicas: tuple[int, ...], size: int = 10) -> dict[tuple[str, int], Partition]:
    """The partitions of a topic, all in sync, led by their first replica."""
    return {(topic, n): Partition(topic, n, r, r, r[0], size_bytes=size) for n, r in enumerate(replicas)}


@contextlib.contextmanager
def held(kafka: Any, journal: Database, priority: Priority, doing: str = "a test") -> Iterator[HeldCluster]:
    """The cluster under its lease."""
    with leases.hold(journal, leases.cluster_change(CLUSTER), priority=priority, doing=doing) as lease:
        yield HeldCluster(CLUSTER, "test", kafka, journal, lease)
