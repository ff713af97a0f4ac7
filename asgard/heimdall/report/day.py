"""A day of a cluster: what arrived, what is missing, which groups lagged, what happened. Pure.

Sizes are bytes, durations seconds, times seconds since 1970 (UTC). None means not measured, never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

from asgard.heimdall.incidents import Happening
from asgard.heimdall.lag.model import STATUSES, GroupLag, Status
from asgard.heimdall.owners import Owners
from asgard.heimdall.store.read import ClusterPoint, GroupPoint
from asgard.heimdall.volume.model import Compared, Verdict

CONCERN: tuple[Verdict, ...] = ("as usual", "unknown", "high", "late", "low", "missing")
"""Verdicts of hours in order of concern; a topic has the worst of its hours."""
WRONG: frozenset[Verdict] = frozenset({"late", "low", "missing"})


@dataclass(frozen=True)
class TopicDay:
    """A topic's day by hour. `usual`: what the hours that can be compared usually hold; `compared`: what they held."""

    topic: str
    owner: str
    hours: tuple[Compared, ...]
    records: int | None
    bytes: int | None
    compared: int | None
    usual: float | None
    verdict: Verdict
    approximate: tuple[str, ...]

    @property
    def unusual(self) -> tuple[Compared, ...]:
        """Hours that are missing, late, low or high."""
        return tuple(h for h in self.hours if h.verdict not in ("as usual", "unknown"))


@dataclass(frozen=True)
class GroupDay:
    """A group's day: its worst moments, and its state now (None if it was not asked)."""

    name: str
    owner: str
    status: Status
    lag_max: int | None
    time_lag_max_s: float | None
    expired_unread: int
    points: tuple[GroupPoint, ...]
    now: GroupLag | None = None

    @property
    def loses_data_in_s(self) -> float | None:
        """When retention begins to delete what it has not read; None: nothing is in danger, or not known."""
        return self.now.loses_data_in_s if self.now is not None else None


@dataclass(frozen=True)
class Day:
    """The whole day. `over`: it had ended when this was created. `gaps`: when nothing was collected."""

    cluster: str
    date: date
    tz: ZoneInfo
    begin: float
    end: float
    made_at: float
    topics: tuple[TopicDay, ...]
    groups: tuple[GroupDay, ...]
    happenings: tuple[Happening, ...] = ()
    points: tuple[ClusterPoint, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    collected: bool = True
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        return self.made_at >= self.end

    @property
    def records(self) -> int:
        return sum(t.records or 0 for t in self.topics)

    @property
    def bytes(self) -> int | None:
        known = [t.bytes for t in self.topics if t.bytes is not None]
        return sum(known) if known else None

    @property
    def wrong(self) -> tuple[TopicDay, ...]:
        """Topics with hours that are missing, late or low, the worst first."""
        found = (t for t in self.topics if t.verdict in WRONG)
        return tuple(sorted(found, key=lambda t: (-CONCERN.index(t.verdict), -len(t.unusual), t.topic)))

    @property
    def high(self) -> tuple[TopicDay, ...]:
        """Topics for which unusually much arrived."""
        return tuple(t for t in self.topics if t.verdict == "high")

    @property
    def comparable(self) -> bool:
        """Whether any hour could be compared with earlier weeks."""
        return any(h.verdict != "unknown" for t in self.topics for h in t.hours)

    @property
    def behind(self) -> tuple[GroupDay, ...]:
        """Groups that were behind at some time of the day."""
        return tuple(g for g in self.groups if STATUSES.index(g.status) > STATUSES.index("unknown"))

    @property
    def losing(self) -> tuple[GroupDay, ...]:
        """Groups whose unread data is in danger, the nearest first."""
        found = [g for g in self.groups if g.loses_data_in_s is not None and g.now and g.now.lag]
        return tuple(sorted(found, key=lambda g: g.loses_data_in_s or 0.0))


def topic_day(topic: str, owner: str, hours: Sequence[Compared]) -> TopicDay:
    """One topic from its hours."""
    records = [h.count.records for h in hours if h.count.records is not None]
    sizes = [h.count.bytes for h in hours if h.count.bytes is not None]
    usual = [h for h in hours if h.usual is not None and h.verdict != "unknown"]
    return TopicDay(
        topic=topic,
        owner=owner,
        hours=tuple(hours),
        records=sum(records) if records else None,
        bytes=sum(sizes) if sizes else None,
        compared=sum(h.count.records or 0 for h in usual) if usual else None,
        usual=sum(h.usual or 0.0 for h in usual) if usual else None,
        verdict=_of_topic(hours),
        approximate=tuple(dict.fromkeys(why for h in hours for why in h.count.approximate)),
    )


def _of_topic(hours: Sequence[Compared]) -> Verdict:
    """The worst of its hours; unknown only if no hour is known."""
    known = [h.verdict for h in hours if h.verdict != "unknown"]
    return max(known, key=CONCERN.index) if known else "unknown"


def topic_days(compared: Iterable[Compared], owners: Owners) -> tuple[TopicDay, ...]:
    """All topics, by name."""
    by_topic: dict[str, list[Compared]] = {}
    for one in compared:
        by_topic.setdefault(one.count.topic, []).append(one)
    return tuple(topic_day(name, owners.of_topic(name), hours) for name, hours in sorted(by_topic.items()))


def group_days(
    series: Mapping[str, Sequence[GroupPoint]], now: Mapping[str, GroupLag], owners: Owners
) -> tuple[GroupDay, ...]:
    """All groups that were seen on the day or are there now, the most worrying first."""
    found = []
    for name in sorted({*series, *now}):
        points, current = tuple(series.get(name, ())), now.get(name)
        statuses: list[Status] = [p.status for p in points]
        if not points and current is not None:
            statuses = [current.status]
        ages = [p.time_lag_s for p in points if p.time_lag_s is not None]
        lags = [p.lag_max for p in points if p.lag_max is not None]
        if not points and current is not None:
            ages = [current.time_lag_s] if current.time_lag_s is not None else []
            lags = [current.lag] if current.lag is not None else []
        expired = max((p.expired_unread for p in points), default=current.expired_unread if current else 0)
        found.append(
            GroupDay(
                name,
                owners.of_group(name),
                max(statuses, key=STATUSES.index, default="unknown"),
                max(lags, default=None),
                max(ages, default=None),
                expired,
                points,
                current,
            )
        )
    return tuple(sorted(found, key=lambda g: (-STATUSES.index(g.status), -(g.time_lag_max_s or -1.0), g.name)))
