"""What one person may see of a cluster: the topics and groups that a scope lets through, and what happened to them. Pure but for `Scoped`.

Of the rest not even the names are shown. What concerns the whole cluster stays (a lost broker, a drill), unless it names
something hidden; the brokers with their disks are not part of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from asgard.core.errors import Failed

if TYPE_CHECKING:
    from datetime import date
    from zoneinfo import ZoneInfo

    from asgard.heimdall.alerts.model import AlertState
    from asgard.heimdall.lag.model import GroupLag
    from asgard.heimdall.picture import Picture, TopicNow
    from asgard.heimdall.report.day import Day
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.heimdall.store.read import ClusterStore
    from asgard.heimdall.web.source import MonitoredCluster
    from asgard.journal.events import Event

CLUSTER = "cluster"
"""The subject of an alert about the cluster as a whole."""
_WORD = re.compile(r"[A-Za-z0-9._-]+")
_ALERTS = "heimdall.alert."


@dataclass(frozen=True)
class Scope:
    """Which topics and groups may be seen."""

    topic: Callable[[str], bool]
    group: Callable[[str], bool]


def picture(whole: Picture, scope: Scope) -> Picture:
    """The part of a picture. A group is in it if it may be seen, or if every topic that it reads may."""
    topics = {name for name in whole.topics if scope.topic(name)}
    groups = {n: g for n, g in whole.groups.items() if scope.group(n) or (g.topics and topics.issuperset(g.topics))}
    seen = {name: _topic(whole.topics[name], groups) for name in sorted(topics)}
    return replace(
        whole,
        snapshot=replace(whole.snapshot, brokers=(), partitions=tuple(p for p in whole.snapshot.partitions if p.topic in topics)),
        topics=seen,
        groups=groups,
        brokers=(),
        under_replicated=sum(t.under_replicated for t in seen.values()),
        offline=sum(t.offline for t in seen.values()),
        moving=tuple(p for p in whole.moving if p.topic in topics),
        problems={what: why for what, why in whole.problems.items() if what.startswith("broker ")},
        part=True,
    )  # fmt: skip


def _topic(topic: TopicNow, groups: Mapping[str, GroupLag]) -> TopicNow:
    late = [groups[g] for g in topic.groups if g in groups and groups[g].time_lag_s is not None]
    worst = max(late, key=lambda g: g.time_lag_s or 0.0, default=None)
    return replace(topic, groups=tuple(g for g in topic.groups if g in groups), worst=worst)


def raised(states: Sequence[AlertState], part: Picture) -> list[AlertState]:
    """Alerts about what may be seen, and about the cluster as a whole."""
    return [s for s in states if _about(s.labels, s.subject, part)]


def events(found: Sequence[Event], whole: Picture, part: Picture) -> list[Event]:
    """Events that name nothing that is hidden; alerts only about what may be seen."""
    hidden = _hidden(whole, part)
    out = []
    for event in found:
        if event.kind.startswith(_ALERTS):
            keep = _about(event.data, event.subject, part)
        else:
            keep = not _names(" ".join([event.subject, *(v for v in event.data.values() if isinstance(v, str))]), hidden)  # fmt: skip
        if keep:
            out.append(event)
    return out


def day(whole_day: Day, whole: Picture, part: Picture, scope: Scope) -> Day:
    """The part of a day."""
    hidden = _hidden(whole, part)
    happened = tuple(
        h for h in whole_day.happenings
        if (_about({}, h.subject, part) if h.kind == "alert" else not _names(f"{h.subject} {h.text} {h.ended}", hidden))
    )  # fmt: skip
    return replace(
        whole_day,
        topics=tuple(t for t in whole_day.topics if scope.topic(t.topic)),
        groups=tuple(g for g in whole_day.groups if g.name in part.groups or scope.group(g.name)),
        happenings=happened,
        problems={what: why for what, why in whole_day.problems.items() if what.startswith("broker ")},
    )


def _about(labels: Mapping[str, Any], subject: str, part: Picture) -> bool:
    group, topic = labels.get("group"), labels.get("topic")
    if group or topic:
        return group in part.groups or (not group and topic in part.topics)
    return subject == CLUSTER or subject in part.groups or subject in part.topics


def _hidden(whole: Picture, part: Picture) -> frozenset[str]:
    return frozenset((whole.topics.keys() - part.topics.keys()) | (whole.groups.keys() - part.groups.keys()))


def _names(text: str, hidden: frozenset[str]) -> bool:
    """Whether a text names any of these, as it is or with the number of a partition."""
    for word in _WORD.findall(text):
        bare = word.rstrip(".-")
        if word in hidden or bare in hidden or bare.rpartition("-")[0] in hidden:
            return True
    return False


class Scoped:
    """A source as the person who asks may see it; `scope` is that of the current request, None for those who may see everything."""

    def __init__(self, source: MonitoredCluster, scope: Callable[[], Scope | None]) -> None:
        self._source = source
        self._scope = scope
        self._last: tuple[Picture, Scope, Picture] | None = None

    @property
    def settings(self) -> HeimdallSettings:
        return self._source.settings

    @property
    def picture(self) -> Picture | None:
        return self._both()[1]

    @property
    def problem(self) -> str:
        return self._source.problem

    def history(self) -> ClusterStore:
        """Pages ask it only for what is in the picture."""
        return self._source.history()

    def events(self, since: float) -> list[Event]:
        """Those that may be seen."""
        found, (whole, part, scope) = self._source.events(since), self._both()
        if scope is None:
            return found
        return [] if whole is None or part is None else events(found, whole, part)

    def raised(self) -> Sequence[AlertState]:
        """Those that may be seen."""
        found, (_, part, scope) = self._source.raised(), self._both()
        if scope is None:
            return found
        return [] if part is None else raised(found, part)

    def day(self, date: date, tz: ZoneInfo) -> Day:
        """The part of the day that may be seen. Raises Failed before the first look: until then it is not known what to hide."""
        whole, part, scope = self._both()
        if scope is not None and (whole is None or part is None):
            raise Failed(self.problem or "the first look at the cluster is under way")
        found = self._source.day(date, tz)
        return found if scope is None or whole is None or part is None else day(found, whole, part, scope)

    def _both(self) -> tuple[Picture | None, Picture | None, Scope | None]:
        whole, scope = self._source.picture, self._scope()
        if whole is None or scope is None:
            return whole, whole, scope
        last = self._last  # usually of this request; threads may overwrite each other's
        if last is None or last[0] is not whole or last[1] is not scope:
            last = self._last = (whole, scope, picture(whole, scope))
        return whole, last[2], scope
