"""A Kafka cluster as plain data: filled in by the adapters, used by the services for planning.

Sizes are bytes, rates per second. None means not measured, never 0. Broker ids, topic names and configs are Kafka's
own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

BrokerState = Literal["up", "fenced", "missing"]


@dataclass(frozen=True)
class LogDir:
    """One log directory of a broker. `capacity_bytes` and `used_bytes` are those of its volume."""

    path: str
    capacity_bytes: int | None = None
    used_bytes: int | None = None
    offline: bool = False
    cordoned: bool = False


@dataclass(frozen=True)
class Disk:
    """What a broker reports about its disks: its log directories, and bytes by (topic, partition), without future replicas.

    `directories` has the directory of each replica; `future` the directory that a replica is moving to, and the bytes
    there.
    """

    log_dirs: tuple[LogDir, ...]
    sizes: dict[tuple[str, int], int]
    directories: dict[tuple[str, int], str] = field(default_factory=dict)
    future: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Broker:
    """A broker; `missing` is one that only a replica list names."""

    id: int
    rack: str | None = None
    host: str = ""
    port: int = 0
    state: BrokerState = "up"
    log_dirs: tuple[LogDir, ...] = ()


@dataclass(frozen=True)
class Partition:
    """A partition; `replicas[0]` is the preferred leader, `leader` is -1 if there is none.

    `log_dirs` has the directory of each replica, in the order of `replicas`; `""` is unknown or the only one of its
    broker. Empty: no broker of the partition has several.
    """

    topic: str
    partition: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    elr: tuple[int, ...] = ()
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()
    size_bytes: int | None = None
    bytes_in_per_s: float | None = None
    bytes_out_per_s: float | None = None
    log_dirs: tuple[str, ...] = ()

    @property
    def replication(self) -> int:
        """How many replicas it has, not counting those being added."""
        return sum(1 for r in self.replicas if r not in self.adding)

    @property
    def target_replicas(self) -> tuple[int, ...]:
        """The replica list once a running reassignment is done."""
        return tuple(r for r in self.replicas if r not in self.removing)


@dataclass(frozen=True)
class Voter:
    """A voter (or observer) of the metadata quorum and how many records it is behind its leader.

    `directory` is the id of its metadata log directory; `last_fetch_ms` and `caught_up_ms` are UTC, as the leader saw them.
    """

    id: int
    lag: int
    directory: str | None = None
    last_fetch_ms: int | None = None
    caught_up_ms: int | None = None


@dataclass(frozen=True)
class Quorum:
    """The metadata quorum (KRaft)."""

    leader: int
    voters: tuple[Voter, ...] = ()
    observers: tuple[Voter, ...] = ()


@dataclass(frozen=True)
class TopicFacts:
    """What a snapshot has on a topic as a whole."""

    min_isr: int | None = None
    internal: bool = False


@dataclass(frozen=True)
class ClusterSnapshot:
    """The cluster at one moment; the format `asgard.cluster/v1` on disk.

    `silent` are brokers that count as up but did not answer in time: values that only they have are not measured.
    """

    taken_at: str
    cluster_id: str
    controller: int
    brokers: tuple[Broker, ...]
    partitions: tuple[Partition, ...]
    topics: dict[str, TopicFacts] = field(default_factory=dict)
    quorum: Quorum | None = None
    silent: tuple[int, ...] = ()


@dataclass(frozen=True)
class ClusterInfo:
    """The brokers: the answer to DescribeCluster. The leader of the metadata quorum is in `Quorum`."""

    cluster_id: str
    brokers: tuple[Broker, ...]


@dataclass(frozen=True)
class Topic:
    """A topic that exists, without its configs."""

    name: str
    id: str
    internal: bool
    partitions: tuple[Partition, ...]

    @property
    def replication(self) -> int:
        """The replication factor of most partitions, not counting replicas being added."""
        counts = Counter(p.replication for p in self.partitions)
        return max(counts, key=lambda factor: (counts[factor], factor))

    def unlike(self, factor: int) -> tuple[Partition, ...]:
        """The partitions that have another number of replicas, as an interrupted move leaves them."""
        return tuple(p for p in self.partitions if p.replication != factor)


@dataclass(frozen=True)
class NewTopic:
    """A topic to create; `config` holds only what differs from the cluster's defaults."""

    name: str
    partitions: int
    replication: int
    config: dict[str, str] = field(default_factory=dict)


ConfigResourceType = Literal["topic", "broker"]


@dataclass(frozen=True)
class ConfigChange:
    """An incremental change of the dynamic configs of a topic or a broker; the broker `""` is the cluster-wide default."""

    resource_type: ConfigResourceType
    name: str
    set: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Acl:
    """An ACL, identified by its content. Values are Kafka's names in upper case (`TOPIC`, `LITERAL`, `READ`,
    `ALLOW`)."""

    resource_type: str
    resource_name: str
    pattern_type: str
    principal: str
    operation: str
    permission: str = "ALLOW"
    host: str = "*"


ScramMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512"]


@dataclass(frozen=True)
class ScramCredential:
    """A SCRAM credential to write. `password` never leaves this object in the clear: it is salted before it is sent."""

    user: str
    password: str = field(repr=False)
    mechanism: ScramMechanism = "SCRAM-SHA-512"
    iterations: int = 8192


@dataclass(frozen=True)
class QuotaEntity:
    """The entity of a client quota. None: the dimension is not part of it; `""`: the default of that dimension."""

    user: str | None = None
    client_id: str | None = None
    ip: str | None = None


QuotaValues = dict[str, float]
"""Quota name (`producer_byte_rate`, `consumer_byte_rate`, `request_percentage`, `controller_mutation_rate`; of an IP
address `connection_creation_rate`) to value."""


@dataclass(frozen=True)
class Move:
    """A reassignment of one partition: its target replicas, preferred leader first. Empty: cancel."""

    topic: str
    partition: int
    replicas: tuple[int, ...]


@dataclass(frozen=True)
class DirMove:
    """The target log directory of a broker's replica, whether the replica exists already or comes later."""

    broker: int
    topic: str
    partition: int
    path: str


@dataclass(frozen=True)
class Offsets:
    """First and next offset of a partition (the next is the high watermark)."""

    start: int
    end: int

    @property
    def records(self) -> int:
        """The maximum number of records it holds (compacted and transactional topics hold fewer)."""
        return self.end - self.start


class BatchHead(NamedTuple):
    """The header of a record batch in a log: offsets `[first, last]`, of which compaction may have left `records`."""

    first: int
    last: int
    records: int
    transactional: bool
    control: bool


@dataclass(frozen=True)
class Node:
    """A broker node as seen by the machine that runs it, whatever Kafka reports."""

    id: int
    state: Literal["running", "paused", "stopped"]
    rack: str | None
    roles: tuple[str, ...]
    pid: int | None = None


HealState = Literal["healthy", "waiting", "held", "healed", "failed", "planned"]


@dataclass(frozen=True)
class Healed:
    """What a healing found and did. `cause`, `action` and `outcome` are sentences; `decision` is one word for the action.

    `waiting`: within a grace period, with `remaining_s` seconds left if known; `held`: nothing can or may be done, and
    people should know; `planned`: this would be done, in a dry run.
    """

    state: HealState
    decision: str
    cause: str
    action: str
    outcome: str = ""
    brokers: tuple[int, ...] = ()
    remaining_s: float | None = None
    seconds: float = 0.0

    @property
    def well(self) -> bool:
        """Whether the cluster is healthy, or was healed just now."""
        return self.state in ("healthy", "healed")

    def __str__(self) -> str:
        told = f"{self.action}: {self.cause}"
        return f"{told} -> {self.outcome}" if self.outcome else told


@dataclass(frozen=True)
class GateLoad:
    """A load that a cluster must handle: so many records per second of a given size, for a while.

    It goes to a scratch topic with the partitions and configs of `topic`, or with `in_place` to the topic itself.
    """

    topic: str
    rate_per_s: float
    size_bytes: int = 1024
    duration_s: float = 20.0
    in_place: bool = False


@dataclass(frozen=True)
class GateGoals:
    """The required results; None: not judged. Latencies count from the intended send time; `errors` is a share of 1."""

    p50_s: float | None = None
    p99_s: float | None = None
    p999_s: float | None = None
    errors: float | None = None
    rate_per_s: float | None = None
    lost: int | None = None
    duplicates: int | None = None


@dataclass(frozen=True)
class GateVerdict:
    """The result of a gate. `figures` are (goal, wanted, got, met) in words, the numbers included; `reason` is one line.

    `report` is the path of the page with the plots. The first `warm_up_s` are in no figure but the counts.
    """

    passed: bool
    reason: str | None
    figures: tuple[tuple[str, str, str, bool], ...]
    rate_per_s: float
    p50_s: float | None
    p99_s: float | None
    sent: int
    acknowledged: int
    report: str
    warm_up_s: float = 0.0


@dataclass(frozen=True)
class LossVerdict:
    """The result of a check of acknowledged records. `decided`: every one of them was looked for; `sentence` is for
    people."""

    acknowledged: int
    lost: int
    duplicates: int
    indeterminate: int
    decided: bool
    sentence: str
