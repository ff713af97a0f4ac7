"""Asks a cluster for the lag of groups: samples, ages of unread records, retention. `report` puts it together.

Committed offsets are read before end offsets, so that a group that keeps up never seems ahead of the log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from asgard.core.errors import WrongUsage
from asgard.heimdall.lag import judge, times
from asgard.heimdall.lag.evaluate import group_lags
from asgard.heimdall.lag.model import STATUSES, GroupLag, GroupToJudge, LagReport, OffsetSample, Retention, Thresholds
from asgard.kafka.groups import PROGRESS, ByPartition, DescribedGroup, Layout, ListedGroup
from asgard.kafka.ports import ControlPlane

_RETENTION = ("cleanup.policy", "retention.ms", "retention.bytes")
_STARTS, _ENDS = -2, -1
Offsets: TypeAlias = "NDArray[np.int64]"


@dataclass(frozen=True)
class Look:
    """One look at groups: their offsets, and those of the topics that they read."""

    at: float
    groups: dict[str, ListedGroup]
    committed: dict[str, ByPartition]
    layout: Layout
    starts: ByPartition
    ends: ByPartition
    problems: dict[str, str]

    def problem(self, group: str) -> str | None:
        """Why a group's offsets could not be read; None if they were."""
        return None if group in self.committed else self.problems.get(group) or "its coordinator does not answer"

    def sample(self) -> OffsetSample:
        return OffsetSample(self.at, self.starts, self.ends, self.committed)


def look(
    control: ControlPlane,
    names: Collection[str] | None = None,
    clock: Callable[[], float] = time.time,
    *,
    every_topic: bool = False,
) -> Look:
    """Offsets of all groups, or of those named, and of their topics or of all. Raises WrongUsage for a group that does not exist."""
    bulk = control.bulk()
    listed = control.groups()
    problems = {f"broker {b}": "does not answer: the groups that it coordinates are missing" for b in listed.silent}
    groups = listed.listed
    if names is not None:
        missing = [name for name in names if name not in groups]
        if missing and not listed.silent:
            raise WrongUsage(f"there is no group {missing[0]}", "`asgard heimdall lag` lists the groups.")
        groups = {name: groups[name] for name in names if name in groups}
    else:
        groups = {name: group for name, group in groups.items() if not name.startswith(PROGRESS)}
    committed, refused = bulk.committed(groups.values())
    shares = [g for g in groups.values() if g.type == "share"]
    unsettled: dict[str, ByPartition] = {}
    if shares:
        starts, unsettled, not_told = bulk.share_starts(shares)
        committed.update(starts)
        refused |= not_told
    at = clock()
    layout = bulk.layout(None if every_topic else {topic for found in committed.values() for topic in found})
    first, end = bulk.list_offsets_at(layout, [_STARTS, _ENDS])
    for group, lags in unsettled.items():
        for topic, lag in lags.items():
            committed[group][topic] = settled_at(committed[group][topic], lag, end.offsets.get(topic))
    problems |= refused | first.problems | end.problems
    return Look(at, dict(groups), committed, layout, first.offsets, end.offsets, problems)


def settled_at(start: Offsets, lag: Offsets, ends: Offsets | None) -> Offsets:
    """Where a share group would be if it settled records in order.

    Kafka moves its start offset late: a group that settled everything may still start at 0, and only the lag that its coordinator counts
    (KIP-1226, Kafka 4.2) says so. Older brokers count none (-1).
    """
    if ends is None:
        return start
    known = min(len(start), len(ends))
    settled = start.copy()
    counted = (start[:known] >= 0) & (lag[:known] >= 0) & (ends[:known] >= 0)
    settled[:known][counted] = np.maximum(start[:known], ends[:known] - lag[:known])[counted]
    return settled


def report(
    control: ControlPlane,
    names: Collection[str] | None = None,
    *,
    thresholds: Callable[[str], Thresholds] = lambda group: Thresholds(),
    apart_s: float = 2.0,
    history: Sequence[OffsetSample] = (),
    shown: int = judge.WORST_SHOWN,
) -> LagReport:
    """The lag of all groups, or of those named with their members.

    `history` holds earlier samples, oldest first; without them two samples are taken, `apart_s` seconds apart.
    """
    window = list(history)
    if not window:
        window = [look(control, names).sample()]
        time.sleep(apart_s)
        basis = "two samples"
    else:
        basis = f"{len(window)} sample{'s' if len(window) > 1 else ''} and one taken now"
    now = look(control, names)
    window = [*window, now.sample()]
    members, refused = control.describe_groups(now.groups.values()) if names is not None else ({}, {})
    judged, not_measured = _judged(control, now, window, members, thresholds, shown)
    problems = {**now.problems, **refused, **not_measured}
    window_s = round(window[-1].at - window[0].at, 3)
    requests = control.bulk().requests_by_broker()
    return LagReport(now.at, basis, window_s, len(window), judged, problems, requests, tuple(window))


def _judged(
    control: ControlPlane,
    now: Look,
    window: Sequence[OffsetSample],
    members: Mapping[str, DescribedGroup],
    thresholds: Callable[[str], Thresholds],
    shown: int,
) -> tuple[tuple[GroupLag, ...], dict[str, str]]:
    """The groups of a look, the most worrying first, and why ages could not be measured."""
    lags = {name: group_lags(window, name) for name in now.groups}
    behind = {lag.topic for found in lags.values() for lag in found if (lag.lag > 0).any()}
    retention = retention_of(control, behind)
    measured = times.measure(control.bulk(), now.layout, lags, retention, time.time())
    window_s = window[-1].at - window[0].at
    judged: list[GroupLag] = []
    for name, group in now.groups.items():
        described = members.get(name)
        asked = GroupToJudge(
            described.group if described else group,
            thresholds(name),
            described.members if described else None,
            now.problem(name),
        )
        at_most = measured.at_most_s.get(name)
        found = measured.lags[name]
        judged.append(judge.judge_group(asked, found, window_s, retention, shown=shown, at_most_s=at_most))
    return tuple(sorted(judged, key=_concern)), measured.problems


def _concern(group: GroupLag) -> tuple[int, float, int, str]:
    return (
        -STATUSES.index(group.status),
        -(group.time_lag_s if group.time_lag_s is not None else -1.0),
        -(group.lag or 0),
        group.name,
    )


def retention_of(control: ControlPlane, topics: Iterable[str]) -> dict[str, Retention]:
    """How long records of these topics are kept; a topic that is only compacted loses none by retention."""
    return {
        topic: retention(config) for topic, config in control.effective_topic_configs(set(topics), _RETENTION).items()
    }


def retention(config: Mapping[str, str]) -> Retention:
    """The retention that the configs in force set."""
    if "delete" not in config.get("cleanup.policy", "delete"):
        return Retention()
    return Retention(_limit(config.get("retention.ms")), _limit(config.get("retention.bytes")))


def _limit(text: str | None) -> int | None:
    try:
        value = int(text or "")
    except ValueError:
        return None
    return value if value >= 0 else None
