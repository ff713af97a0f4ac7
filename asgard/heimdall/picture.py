"""A cluster at a moment, as pages, metrics, alerts and the terminal view show it: looked at once for all of them.

`take` asks the cluster; the rest is pure. Sizes are bytes, rates records per second over the window, times seconds since 1970 (UTC).
None means not measured, never 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from asgard.cluster import health, look
from asgard.core.errors import AsgardError
from asgard.heimdall import collect
from asgard.heimdall.lag.model import STATUSES, GroupLag, OffsetSample, Thresholds
from asgard.heimdall.volume import ask as volume_ask
from asgard.kafka.model import Broker, ClusterSnapshot, Partition

if TYPE_CHECKING:
    from asgard.core.database import Database
    from asgard.kafka.ports import ControlPlane


@dataclass(frozen=True)
class TopicNow:
    """A topic. `records` are those it holds, `newest` is when its newest was written, `worst` the group with the highest time lag."""

    name: str
    partitions: int
    replicas: int
    records: int | None
    size_bytes: int | None
    rate_per_s: float | None
    newest: float | None
    under_replicated: int
    offline: int
    groups: tuple[str, ...] = ()
    worst: GroupLag | None = None


@dataclass(frozen=True)
class BrokerNow:
    """A broker with what it holds."""

    broker: Broker
    leaders: int
    replicas: int
    size_bytes: int | None
    used_bytes: int | None
    capacity_bytes: int | None


@dataclass(frozen=True)
class Picture:
    """The whole cluster. `window` are the samples that rates and lag are based on; `moving` are partitions that are being moved."""

    at: float
    cluster: str
    cluster_id: str
    snapshot: ClusterSnapshot
    topics: Mapping[str, TopicNow]
    groups: Mapping[str, GroupLag]
    brokers: tuple[BrokerNow, ...]
    under_replicated: int
    offline: int
    moving: tuple[Partition, ...]
    problems: Mapping[str, str] = field(default_factory=dict)
    window: tuple[OffsetSample, ...] = field(default=(), repr=False)
    seconds: float = 0.0
    part: bool = False
    """Only what one team may see: without brokers."""

    @property
    def behind(self) -> list[GroupLag]:
        """Groups that need attention, the most worrying first."""
        return [g for g in by_concern(self.groups.values()) if STATUSES.index(g.status) > 1]

    @property
    def rate_per_s(self) -> float | None:
        known = [t.rate_per_s for t in self.topics.values() if t.rate_per_s is not None]
        return sum(known) if known else None


def by_concern(groups: Iterable[GroupLag]) -> list[GroupLag]:
    """Groups, the most worrying first."""

    return sorted(groups, key=lambda g: (-STATUSES.index(g.status), -(g.time_lag_s or -1.0), -(g.lag or 0), g.name))


def take(
    control: ControlPlane,
    database: Database,
    *,
    cluster: str,
    thresholds: Callable[[str], Thresholds] = lambda group: Thresholds(),
    window: Sequence[OffsetSample] | None = None,
    clock: Callable[[], float] = time.time,
) -> Picture:
    """Look at the cluster, and keep the sample in the store. Raises Unreachable, NotAuthorised."""
    began = time.monotonic()
    done = collect.once(control, database, thresholds=thresholds, window=window, clock=clock)
    snapshot = look.take(control)
    problems = dict(done.problems)
    try:
        newest = volume_ask.newest_times(control, None)
    except AsgardError as error:
        newest = {}
        problems["newest records"] = error.what
    made = make(snapshot, done.window, done.groups, newest, cluster=cluster, problems=problems)
    return replace(made, seconds=round(time.monotonic() - began, 3))


def make(
    snapshot: ClusterSnapshot,
    window: Sequence[OffsetSample],
    groups: Sequence[GroupLag],
    newest: Mapping[str, float],
    *,
    cluster: str,
    problems: Mapping[str, str] | None = None,
) -> Picture:
    """The picture from its parts, at the time of the window's last sample. Pure."""
    readers: dict[str, list[GroupLag]] = {}
    for group in groups:
        for topic in group.topics:
            readers.setdefault(topic, []).append(group)
    by_topic: dict[str, list[Partition]] = {}
    for p in snapshot.partitions:
        by_topic.setdefault(p.topic, []).append(p)
    rates, held = _rates(window), _held(window)
    topics = {
        name: _topic(name, parts, held.get(name), rates.get(name), newest.get(name), readers.get(name, []))
        for name, parts in sorted(by_topic.items())
    }
    return Picture(
        at=window[-1].at,
        cluster=cluster,
        cluster_id=snapshot.cluster_id,
        snapshot=snapshot,
        topics=topics,
        groups={g.name: g for g in groups},
        brokers=_brokers(snapshot),
        under_replicated=sum(t.under_replicated for t in topics.values()),
        offline=sum(t.offline for t in topics.values()),
        moving=tuple(p for p in snapshot.partitions if p.adding or p.removing),
        problems=problems or {},
        window=tuple(window),
    )


def _topic(
    name: str,
    parts: Sequence[Partition],
    records: int | None,
    rate: float | None,
    newest: float | None,
    readers: Sequence[GroupLag],
) -> TopicNow:
    known = [p.size_bytes for p in parts if p.size_bytes is not None]
    late = [g for g in readers if g.time_lag_s is not None]
    return TopicNow(
        name=name,
        partitions=len(parts),
        replicas=len(parts[0].target_replicas),
        records=records,
        size_bytes=sum(known) if len(known) == len(parts) else None,
        rate_per_s=rate,
        newest=newest,
        under_replicated=sum(health.under_replicated(p) for p in parts),
        offline=sum(health.offline(p) for p in parts),
        groups=tuple(g.name for g in readers),
        worst=max(late, key=lambda g: g.time_lag_s or 0.0, default=None),
    )


def _rates(window: Sequence[OffsetSample]) -> dict[str, float]:
    """Records per second by topic over the window; a topic that was recreated in it has none."""
    if len(window) < 2 or window[-1].at <= window[0].at:
        return {}
    first, last = window[0], window[-1]
    found = {}
    for topic, ends in last.ends.items():
        before = first.ends.get(topic)
        if before is None or not len(before):
            continue
        both = min(len(before), len(ends))
        gained = ends[:both] - before[:both]
        known = (ends[:both] >= 0) & (before[:both] >= 0)
        if known.any() and (gained[known] >= 0).all():
            found[topic] = float(gained[known].sum()) / (last.at - first.at)
    return found


def _held(window: Sequence[OffsetSample]) -> dict[str, int]:
    """The number of records that each topic holds."""
    if not window:
        return {}
    last = window[-1]
    found = {}
    for topic, ends in last.ends.items():
        starts = last.starts.get(topic)
        if starts is not None and len(starts) == len(ends) and (ends >= 0).all():
            found[topic] = int((ends - np.maximum(starts, 0)).sum())
    return found


def _brokers(snapshot: ClusterSnapshot) -> tuple[BrokerNow, ...]:
    leaders: dict[int, int] = {}
    replicas: dict[int, int] = {}
    sizes: dict[int, int] = {}
    measured = all(p.size_bytes is not None for p in snapshot.partitions)
    for p in snapshot.partitions:
        leaders[p.leader] = leaders.get(p.leader, 0) + 1
        for broker in p.replicas:
            replicas[broker] = replicas.get(broker, 0) + 1
            sizes[broker] = sizes.get(broker, 0) + (p.size_bytes or 0)
    return tuple(
        BrokerNow(
            b,
            leaders.get(b.id, 0),
            replicas.get(b.id, 0),
            sizes.get(b.id, 0) if measured else None,
            _sum([d.used_bytes for d in b.log_dirs]),
            _sum([d.capacity_bytes for d in b.log_dirs]),
        )
        for b in sorted(snapshot.brokers, key=lambda b: b.id)
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [v for v in values if v is not None]
    return sum(known) if known and len(known) == len(values) else None
