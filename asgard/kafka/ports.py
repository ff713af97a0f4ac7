"""Ports: what the services need from Kafka and the machines it runs on, using types of `core` and `kafka.model` only.

`kafka.admin` implements `ControlPlane`; odin's targets implement `NodeControl`. Bulk calls return a result for each
item: None if it worked, else the error as a sentence. Every call has a deadline (seconds) and raises `Unreachable` when
it passes, and `Refused` or `Failed` with Kafka's reason if the whole call fails.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from asgard.core.errors import AsgardError
from asgard.kafka.groups import ByPartition, DescribedGroup, Groups, Layout, Listed, ListedGroup
from asgard.kafka.model import (
    Acl,
    BatchHead,
    ClusterInfo,
    ConfigChange,
    DirMove,
    Disk,
    GateGoals,
    GateLoad,
    GateVerdict,
    LogDir,
    LossVerdict,
    Move,
    NewTopic,
    Node,
    Offsets,
    Partition,
    Quorum,
    QuotaEntity,
    QuotaValues,
    ScramCredential,
    Topic,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ControlPlane(Protocol):
    """Kafka's admin API, in bulk. `names=None` means all of them."""

    def close(self) -> None: ...

    def cluster(self) -> ClusterInfo: ...

    def quorum(self) -> Quorum: ...

    def unregister_broker(self, broker: int) -> None:
        """Unregister a broker that is gone for good; it must be down and hold no replicas."""
        ...

    def add_voter(self, voter: int, directory: str, listeners: dict[str, tuple[str, int]]) -> None:
        """Turn a controller that follows the quorum into a voter; `directory` is the id of its metadata log
        directory."""
        ...

    def remove_voter(self, voter: int, directory: str) -> None:
        """Remove a voter from the quorum."""
        ...

    def features(self) -> dict[str, int]:
        """Finalized feature levels (`metadata.version`, `eligible.leader.replicas.version`, …)."""
        ...

    def raise_features(self, levels: Mapping[str, int]) -> dict[str, int]:
        """Raise feature levels to these, lower none; what was raised. It can't be undone."""
        ...

    # topics
    def topics(self, names: Collection[str] | None = None, *, moves: bool = True) -> dict[str, Topic]:
        """The requested topics that exist.

        `moves=False`: without reassignments, which only the leader of the metadata quorum knows.
        """
        ...

    def leader_epochs(self, names: Collection[str]) -> dict[tuple[str, int], int]:
        """The leader epoch of each partition: it increases whenever the partition gets a leader, even the same one
        again."""
        ...

    def topic_configs(self, names: Collection[str] | None = None) -> dict[str, dict[str, str]]:
        """Only what was set on the topic itself (source DYNAMIC_TOPIC_CONFIG), for existing topics."""
        ...

    def effective_topic_configs(
        self, names: Collection[str], keys: Collection[str] | None = None
    ) -> dict[str, dict[str, str]]:
        """Effective topic configs, defaults included: those of `keys`, or all."""
        ...

    def create_topics(self, topics: Collection[NewTopic]) -> dict[str, AsgardError | None]: ...

    def delete_topics(self, names: Collection[str]) -> dict[str, AsgardError | None]: ...

    def create_partitions(self, totals: Mapping[str, int]) -> dict[str, AsgardError | None]: ...

    # dynamic configs
    def broker_configs(self, broker: str) -> dict[str, str]:
        """Dynamic configs of a broker id, or of `""`, the cluster-wide default: only those set there."""
        ...

    def effective_broker_configs(self, keys: Collection[str]) -> dict[str, str]:
        """Effective configs, defaults included, as a broker that is up reports them."""
        ...

    def alter_configs(self, changes: Collection[ConfigChange]) -> dict[tuple[str, str], AsgardError | None]:
        """By (resource type, name). Incremental; the broker refuses unknown keys."""
        ...

    # users, ACLs, quotas
    def users(self, broker: int | None = None) -> dict[str, tuple[str, ...]]:
        """User to its SCRAM mechanisms; as that broker knows them, if one is named."""
        ...

    def upsert_users(self, credentials: Collection[ScramCredential]) -> dict[str, AsgardError | None]: ...

    def delete_users(self, users: Mapping[str, Collection[str]]) -> dict[str, AsgardError | None]:
        """User to the mechanisms to delete."""
        ...

    def acls(self, broker: int | None = None) -> set[Acl]: ...

    def create_acls(self, acls: Collection[Acl]) -> dict[Acl, AsgardError | None]: ...

    def delete_acls(self, acls: Collection[Acl]) -> dict[Acl, AsgardError | None]: ...

    def quotas(self) -> dict[QuotaEntity, QuotaValues]: ...

    def alter_quotas(
        self, changes: Mapping[QuotaEntity, Mapping[str, float | None]]
    ) -> dict[QuotaEntity, AsgardError | None]:
        """A value of None removes that quota."""
        ...

    # placement
    def reassign(
        self, moves: Collection[Move], *, allow_replication_factor_change: bool = False
    ) -> dict[tuple[str, int], AsgardError | None]:
        """Submit reassignments; an empty replica list cancels one."""
        ...

    def reassignments(self) -> list[Partition]:
        """Partitions that are moving now."""
        ...

    def elect_preferred_leaders(
        self, partitions: Collection[tuple[str, int]] | None = None
    ) -> dict[tuple[str, int], AsgardError | None]: ...

    def elect_unclean_leaders(
        self, partitions: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], AsgardError | None]:
        """Any replica that is up, for partitions without a leader: records that it lacks are lost."""
        ...

    def log_dirs(self, brokers: Iterable[int], deadline_s: float | None = None) -> dict[int, tuple[LogDir, ...]]:
        """Of the brokers that answered; `deadline_s` as for `disks`."""
        ...

    def move_directories(self, moves: Collection[DirMove]) -> dict[DirMove, AsgardError | None]:
        """Move replicas between the log directories of their brokers; a replica that does not exist yet is created there.

        Naming the directory that it is already in cancels a move.
        """
        ...

    def replica_sizes(self, brokers: Iterable[int]) -> dict[tuple[int, str, int], int]:
        """(broker, topic, partition) to bytes, of the brokers that answered; without future replicas."""
        ...

    def disks(self, brokers: Iterable[int], deadline_s: float | None = None) -> dict[int, Disk]:
        """Log directories and replica sizes together, of the brokers that answered; one request per broker.

        Set `deadline_s` to give up a hung broker sooner than the deadline of other calls.
        """
        ...

    # groups
    def groups(self) -> Groups:
        """All groups that the user may see, with type and state; one request per broker."""
        ...

    def describe_groups(self, groups: Iterable[ListedGroup]) -> tuple[dict[str, DescribedGroup], dict[str, str]]:
        """Groups with members and assignments; and why some are missing."""
        ...

    def bulk(self) -> Bulk:
        """Monitoring's reads: every partition and every group in few requests, as arrays."""
        ...

    # offsets
    def offsets(
        self, partitions: Collection[tuple[str, int]], *, committed: bool = False
    ) -> dict[tuple[str, int], Offsets]:
        """For the partitions that have a leader. `committed`: up to the first open transaction."""
        ...

    def leader_offsets(
        self, partitions: Collection[Partition], *, first: bool = False, deadline_s: float | None = None
    ) -> dict[tuple[str, int], int]:
        """The next offset (or the first) of partitions whose leaders are known, one request per leader; no retries.

        Partitions whose leader does not answer or no longer leads are left out.
        """
        ...

    def offsets_at(self, partitions: Collection[tuple[str, int]], timestamp_ms: int) -> dict[tuple[str, int], int]:
        """The first offset whose record is not older than the timestamp; the end offset if there is none."""
        ...

    def group_offsets(self, names: Collection[str] | None = None) -> dict[str, dict[tuple[str, int], int]]:
        """Group to its committed offsets, for all groups or these."""
        ...

    def group_members(self, group: str) -> dict[str, str]:
        """Member id to its client id and host, of a group of the classic protocol."""
        ...

    def remove_members(self, group: str) -> int:
        """Remove every member of a group; they may join again. How many there were."""
        ...

    def commit_offsets(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        """Set a group's committed offsets. Kafka refuses this while the group has members."""
        ...

    def delete_offsets(self, group: str, partitions: Collection[tuple[str, int]]) -> None:
        """Delete a group's committed offsets for these partitions. Kafka refuses this while the group reads them."""
        ...


class Bulk(Protocol):
    """Reads for monitoring, on a control plane's connections. Arrays are by partition; negative is unknown, or none."""

    def layout(self, names: Collection[str] | None = None) -> Layout:
        """Topics with their leaders, in one response of one broker."""
        ...

    def list_offsets_at(
        self,
        layout: Layout,
        timestamps: Iterable[int],
        partitions: Mapping[str, NDArray[np.int64]] | None = None,
        *,
        read_committed: bool = False,
    ) -> list[Listed]:
        """By each time (ms, or -1: end, -2: start, -3: newest time) the first offset at or after it (-1: no record is
        that new, `groups.UNANSWERED`: not known); one request per leader and time."""
        ...

    def committed(self, groups: Iterable[ListedGroup]) -> tuple[dict[str, ByPartition], dict[str, str]]:
        """Group to topic to committed offsets, without share groups; and why groups are missing."""
        ...

    def share_starts(
        self, groups: Iterable[ListedGroup]
    ) -> tuple[dict[str, ByPartition], dict[str, ByPartition], dict[str, str]]:
        """Share groups: the first unsettled offset, Kafka's own lag; and why groups are missing."""
        ...

    def first_records(
        self, layout: Layout, positions: Mapping[str, Mapping[int, int]]
    ) -> tuple[dict[tuple[str, int], int | None], dict[str, str]]:
        """The timestamp (ms) of the first record at or after an offset (None: there is no record from there on); and why
        topics could not be read."""
        ...

    def batch_signs(self, layout: Layout, positions: Mapping[str, Mapping[int, int]]) -> dict[str, tuple[bool, bool]]:
        """By topic whether the batches at these offsets are transactional, and out of order of time."""
        ...

    def batch_heads(self, topic: str, partition: int, offset: int) -> list[BatchHead]:
        """Batch headers from the one that holds or follows an offset on; none if the log begins later. Raises
        Unreachable."""
        ...

    def leader_sizes(self, layout: Layout) -> dict[str, int]:
        """Bytes of each topic on the disks of its leaders; without topics that were only partly measured."""
        ...

    def requests_by_broker(self) -> dict[str, int]:
        """How many requests these connections have sent."""
        ...


class NodeControl(Protocol):
    """The machines or processes that brokers run on. Raises `Failed` if a node does not obey in time."""

    def nodes(self) -> list[Node]: ...

    def start(self, node: int) -> None: ...

    def stop(self, node: int) -> None:
        """Controlled shutdown: leaders move away first."""
        ...

    def kill(self, node: int) -> None:
        """SIGKILL, or the nearest equivalent."""
        ...

    def pause(self, node: int) -> None:
        """SIGSTOP: the node hangs."""
        ...

    def resume(self, node: int) -> None: ...

    def restart(self, node: int) -> None: ...

    def replace(self, node: int) -> None:
        """A new, empty node with the same id; its replicas are fetched again from the others."""
        ...


class LoadGate(Protocol):
    """Something that puts a load on a cluster and judges the result."""

    def run(self, load: GateLoad, goals: GateGoals) -> GateVerdict:
        """Run the load; the verdict. Raises Unreachable, Busy (another load runs there), and Failed if it can't be
        run."""
        ...


class LossWitness(Protocol):
    """Records the acknowledgements that one producer got, and later proves that no acknowledged record is lost.

    Its records outlive the process: a reopened witness continues where the previous one ended.
    """

    @property
    def run(self) -> bytes:
        """The 16 bytes that records are stamped with."""
        ...

    @property
    def producer(self) -> int:
        """The number that records are stamped with."""
        ...

    def take(self, topic: str) -> int:
        """The sequence of the next record to send."""
        ...

    def acked(self, topic: str, partition: int, sequence: int, offset: int) -> None: ...

    def refused(self, topic: str, sequence: int, reason: str) -> None:
        """The record is known not to be in Kafka."""
        ...

    def unanswered(self, topic: str, sequence: int, reason: str) -> None:
        """It is unknown whether the record is in Kafka."""
        ...

    def prove(self) -> LossVerdict:
        """Read everything back and compare. No more records are passed to it until it has answered. Raises
        Unreachable."""
        ...
