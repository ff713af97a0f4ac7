"""Consumer groups as plain data, of every type that Kafka knows, and offsets of many partitions as arrays.

States are Kafka's own words (`Stable`, `Empty`, `PreparingRebalance`, `Reconciling`, …). A share group has no committed
offset like the others: its start offset is the first record that is not yet settled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ByPartition: TypeAlias = "dict[str, NDArray[np.int64]]"
"""Topic to an array with an offset (or a time in ms) for each partition; negative: not known, or there is none."""
UNANSWERED = -2
"""An offset that was asked for without an answer: the partition has no leader that answers. Kafka's own -1 means that there is none."""
GroupType = Literal["classic", "consumer", "share", "streams"]
TYPES: tuple[GroupType, ...] = ("classic", "consumer", "share", "streams")
INACTIVE = ("Empty", "Dead")
PROGRESS = ("asgard.replay.", "asgard.redrive.")
"""How the names of groups begin that hold a replay's progress: they consume nothing, so they have no lag."""
ARCHIVE = "asgard-archive-"
"""How the names of groups begin in which the processes of an archive share the partitions."""


@dataclass(frozen=True, slots=True)
class ListedGroup:
    """A group as its coordinator lists it. `protocol` is `consumer`, `connect`, `share`, `streams`, or empty."""

    name: str
    type: GroupType
    state: str
    coordinator: int
    protocol: str = "consumer"

    @property
    def active(self) -> bool:
        """Whether it has members, so that no other client may set its offsets."""
        return self.state not in INACTIVE


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A member and its current partitions: topic to partitions. Tasks of Kafka Streams are `<subtopology>`."""

    id: str
    client_id: str
    host: str
    instance_id: str | None = None
    assignment: dict[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DescribedGroup:
    """A group with its members; `assignor` is the agreed strategy, if Kafka reports it."""

    group: ListedGroup
    members: tuple[GroupMember, ...] = ()
    assignor: str = ""


@dataclass(frozen=True)
class Groups:
    """All groups that answered. `silent` are brokers whose groups are missing because they did not answer."""

    listed: dict[str, ListedGroup]
    silent: tuple[int, ...] = ()


@dataclass(frozen=True)
class TopicLayout:
    """Where a topic's partitions are: the leader of each partition (-1: none), and its numbers of replicas and in-sync
    replicas."""

    name: str
    id: str
    internal: bool
    leaders: NDArray[np.int64]
    replicas: NDArray[np.int64]
    in_sync: NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """The cluster in one response of one broker, however many partitions it has."""

    cluster_id: str
    controller: int
    brokers: tuple[int, ...]
    topics: dict[str, TopicLayout]


@dataclass(frozen=True)
class Listed:
    """The result of ListOffsets: offset and record time (ms) by partition, and why partitions have none (by topic).

    An offset is -1 if no record is that new, and `UNANSWERED` if that is not known; the time is -1 in both cases.
    """

    offsets: ByPartition
    times: ByPartition
    problems: dict[str, str]
