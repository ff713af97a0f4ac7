"""A cluster in memory that answers as a control plane: for tests of what Odin decides and remembers, without Kafka.

What Kafka itself makes of a call is tested against a real broker.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asgard.core.errors import AsgardError, Refused
from asgard.journal.operations import Leftovers
from asgard.kafka.model import (
    Acl,
    Broker,
    ClusterInfo,
    ConfigChange,
    NewTopic,
    Offsets,
    Partition,
    QuotaEntity,
    QuotaValues,
    Topic,
)
from asgard.odin.resources.configs import definitions
from asgard.odin.spec.model import StackSpec
from asgard.odin.spec.read import load

NO_LEFTOVERS = Leftovers({}, lambda done: None, lambda found: None)
"""Nothing was left by a dead run."""
HOUR_MS = 3_600_000


class MemoryCluster:
    """Three brokers. `static` are the lines of their server.properties, `dynamic` is the cluster-wide default, `rates` are
    the quotas, `refuses` the topics that Kafka's policy refuses to create, change or delete, `first_at` the first offset
    at or after a time (ms), by partition."""

    def __init__(self, cluster_id: str = "cluster-in-memory") -> None:
        self.cluster_id = cluster_id
        self.known: dict[str, Topic] = {}
        self.config: dict[str, dict[str, str]] = {}
        self.static: dict[str, str] = {}
        self.dynamic: dict[str, str] = {}
        self.rates: dict[QuotaEntity, QuotaValues] = {}
        self.refuses: set[str] = set()
        self.held: dict[tuple[str, int], Offsets] = {}
        self.first_at: dict[tuple[str, int], Callable[[int], int]] = {}

    def install(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        """Every connection that Asgard opens leads here; what it writes goes below `home`."""
        monkeypatch.setenv("ASGARD_HOME", str(home))
        monkeypatch.setattr("asgard.kafka.admin.connect", lambda connection, **how: self)

    def close(self) -> None:
        pass

    def cluster(self) -> ClusterInfo:
        return ClusterInfo(self.cluster_id, (Broker(1), Broker(2), Broker(3)))

    def topics(self, names: Collection[str] | None = None, *, moves: bool = True) -> dict[str, Topic]:
        return {name: topic for name, topic in self.known.items() if names is None or name in names}

    def topic_configs(self, names: Collection[str] | None = None) -> dict[str, dict[str, str]]:
        return {name: dict(config) for name, config in self.config.items() if names is None or name in names}

    def effective_topic_configs(
        self, names: Collection[str], keys: Collection[str] | None = None
    ) -> dict[str, dict[str, str]]:
        kafkas = {name: found.default or "" for name, found in definitions("topic", None).items()}
        hours = self.static.get("log.retention.hours", "168")
        retention = self.dynamic.get("log.retention.ms", str(int(hours) * HOUR_MS))
        inherited = kafkas | {"retention.ms": retention}
        return {name: inherited | self.config[name] for name in names if name in self.config}

    def create_topics(self, topics: Collection[NewTopic]) -> dict[str, AsgardError | None]:
        for topic in topics:
            if topic.name not in self.refuses:
                self.config[topic.name] = dict(topic.config)
                self.known[topic.name] = Topic(topic.name, f"id-of-{topic.name}", False, _partitions(topic))
        return self._answer([topic.name for topic in topics])

    def delete_topics(self, names: Collection[str]) -> dict[str, AsgardError | None]:
        for name in set(names) - self.refuses:
            del self.known[name], self.config[name]
        return self._answer(names)

    def create_partitions(self, totals: Mapping[str, int]) -> dict[str, AsgardError | None]:
        for name, total in totals.items():
            topic = NewTopic(name, total, self.known[name].replication)
            self.known[name] = replace(self.known[name], partitions=_partitions(topic))
        return dict.fromkeys(totals)

    def broker_configs(self, broker: str) -> dict[str, str]:
        return {} if broker else dict(self.dynamic)

    def effective_broker_configs(self, keys: Collection[str]) -> dict[str, str]:
        brokers = {**self.static, **self.dynamic}
        kafkas = definitions("broker", None)
        return {key: brokers.get(key, kafkas[key].default or "") for key in keys}

    def alter_configs(self, changes: Collection[ConfigChange]) -> dict[tuple[str, str], AsgardError | None]:
        for change in changes:
            if change.name not in self.refuses:
                held = self.dynamic if change.resource_type == "broker" else self.config[change.name]
                held.update(change.set)
                for key in change.unset:
                    held.pop(key, None)
        answers = self._answer([change.name for change in changes])
        return {(change.resource_type, change.name): answers[change.name] for change in changes}

    def users(self, broker: int | None = None) -> dict[str, tuple[str, ...]]:
        return {}

    def acls(self, broker: int | None = None) -> set[Acl]:
        return set()

    def quotas(self) -> dict[QuotaEntity, QuotaValues]:
        return {entity: dict(values) for entity, values in self.rates.items()}

    def offsets(self, partitions: Collection[tuple[str, int]], *, committed: bool = False) -> dict[Any, Offsets]:
        return {partition: self.held.get(partition, Offsets(0, 0)) for partition in partitions}

    def offsets_at(self, partitions: Collection[tuple[str, int]], timestamp_ms: int) -> dict[tuple[str, int], int]:
        ends = self.offsets(partitions)
        return {p: self.first_at[p](timestamp_ms) if p in self.first_at else ends[p].end for p in partitions}

    def replica_sizes(self, brokers: Collection[int]) -> dict[tuple[int, str, int], int]:
        return {}

    def group_offsets(self, names: Collection[str] | None = None) -> dict[str, dict[tuple[str, int], int]]:
        return {}

    def _answer(self, names: Collection[str]) -> dict[str, AsgardError | None]:
        return {name: Refused(f"a policy refuses {name}") if name in self.refuses else None for name in names}


def _partitions(topic: NewTopic) -> tuple[Partition, ...]:
    replicas = tuple(range(1, topic.replication + 1))
    return tuple(Partition(topic.name, number, replicas, replicas, 1) for number in range(topic.partitions))


def external_stack(file: Path, *topics: str, kafka: str = "") -> StackSpec:
    """The stack `orders` on a cluster that exists, from a stack file: a line of YAML for each topic."""
    file.write_text(
        "stack: orders\ntarget: external\ncluster: {bootstrap_servers: 'broker:9092'}\nsecurity: {sasl: none}\n"
        + (f"kafka: {kafka}\n" if kafka else "")
        + (
            "topics:\n" + "".join(f"  - {{partitions: 1, replication: 3, {topic}}}\n" for topic in topics)
            if topics
            else ""
        )
    )
    return load(file)
