"""What is known about a group's lag. Offsets are Kafka's, times seconds since 1970 (UTC), durations seconds.

None means not measured, never 0. `because` says in a sentence why a status is what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from asgard.kafka.groups import ByPartition, GroupMember, ListedGroup

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Status = Literal["ok", "unknown", "slow", "rewound", "stalled", "stopped"]
STATUSES: tuple[Status, ...] = ("ok", "unknown", "slow", "rewound", "stalled", "stopped")
"""In order of concern; a group has the worst of its partitions."""
Measure = Literal["age", "lag", "pace"]
UNDATED: frozenset[Measure] = frozenset({"age", "lag"})
"""If one of these is not known, neither is how late the group is, and whether it loses data."""


@dataclass(frozen=True)
class Thresholds:
    """When a group counts as behind.

    `time_lag_s`: the oldest unread record may be this old. `lag`: if a time lag can't be measured, so many records may be
    unread. `stall_after_s`: without progress for so long it is stalled. `catch_up_s`: one that is behind but catches up within
    this time is fine. `loss_s`: data that retention deletes within this time is about to be lost.
    """

    time_lag_s: float = 300.0
    lag: int | None = None
    stall_after_s: float = 60.0
    catch_up_s: float = 1800.0
    loss_s: float = 6 * 3600.0


@dataclass(frozen=True)
class OffsetSample:
    """Offsets of groups and partitions at one moment, as closely as they can be read."""

    at: float
    starts: ByPartition
    ends: ByPartition
    committed: dict[str, ByPartition]


@dataclass(frozen=True)
class Retention:
    """When a topic's records are deleted; None: not by time (or size), or not known."""

    ms: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class TopicLag:
    """One group in one topic: arrays over the partitions that have a committed offset, and how it moved in the window.

    `quiet_s`: for how long no commit moved; `waited`: records were unread all that time. `time_lag_s` and the rates are NaN
    if not measured. `uncommitted` partitions have no committed offset; `silent` ones have one, and no leader that answers.
    """

    topic: str
    partitions: NDArray[np.int64]
    committed: NDArray[np.int64]
    position: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    lag: NDArray[np.int64]
    expired: NDArray[np.int64]
    read_per_s: NDArray[np.float64]
    written_per_s: NDArray[np.float64]
    trend_per_s: NDArray[np.float64]
    went_back: NDArray[np.int64]
    quiet_s: NDArray[np.float64]
    waited: NDArray[np.bool_]
    uncommitted: int
    silent: int
    time_lag_s: NDArray[np.float64]
    exact: NDArray[np.bool_]


@dataclass(frozen=True)
class PartitionLag:
    """One partition of a group, judged. `catch_up_s` None with `lag` > 0: never at this rate, or not known."""

    topic: str
    partition: int
    status: Status
    because: str
    committed: int
    end: int
    lag: int
    expired_unread: int
    time_lag_s: float | None
    trend_per_s: float | None
    catch_up_s: float | None
    loses_data_in_s: float | None
    member: str | None = None


@dataclass(frozen=True)
class GroupLag:
    """A group, judged by its worst partition.

    `time_lag_s` is that of the oldest unread record that was read; `time_lag_at_most_s` bounds what was not read. `uncommitted`
    partitions have no committed offset: their lag is not measured. `catching_up` is False if some partition never will.

    `unmeasured` says what is not known of some partition that has a committed offset: its `lag` (no leader answers, or the
    offsets could not be read), the `age` of its oldest unread record, or its `pace` (too few samples to tell whether the group reads).
    """

    name: str
    type: str
    state: str
    status: Status
    because: str
    partitions: int
    uncommitted: int
    lag: int | None
    expired_unread: int
    time_lag_s: float | None
    time_lag_at_most_s: float | None
    trend_per_s: float | None
    catch_up_s: float | None
    catching_up: bool
    loses_data_in_s: float | None
    topics: tuple[str, ...]
    slowest: str | None = None
    members: tuple[GroupMember, ...] = ()
    worst: tuple[PartitionLag, ...] = ()
    unmeasured: frozenset[Measure] = frozenset()


@dataclass(frozen=True)
class LagReport:
    """All groups that were asked for. `basis` says what the figures are based on: two samples, or the store's window.

    `window` are the samples themselves, for the next look.
    """

    at: float
    basis: str
    window_s: float
    samples: int
    groups: tuple[GroupLag, ...]
    problems: dict[str, str] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    window: tuple[OffsetSample, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class GroupToJudge:
    """A group as listed, and what to judge it by. `problem`: why its offsets could not be read."""

    group: ListedGroup
    thresholds: Thresholds
    members: tuple[GroupMember, ...] | None = None
    problem: str | None = None
