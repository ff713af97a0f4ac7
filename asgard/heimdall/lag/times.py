"""How old the oldest unread record of each partition is: asked from Kafka, never guessed from rates.

A fetch of the next record answers exactly, one batch per partition. If too many groups are at too many places for that, the
time index is asked first: for a few ages, where the first record of at most that age is (one ListOffsets per leader and age, for all
groups together). That bounds every partition from both sides; then the oldest of each group are fetched. If retention may be near, the
index is also asked for ages just before it, so that data about to be lost is never taken for much younger than it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from asgard.heimdall.lag.model import Retention, TopicLag
from asgard.kafka.groups import UNANSWERED

if TYPE_CHECKING:
    from asgard.kafka.groups import ByPartition, Layout
    from asgard.kafka.ports import Bulk

AGES_S = (10, 60, 300, 1800, 7200, 43200, 172800, 604800)
NEAR_S = (86400, 43200, 21600, 10800, 3600, 900)
"""The index is asked this long before retention, for topics with unread records that may be as old as the first of these."""
FETCHES = 5_000
ROUNDS = 8
A_GROUP = 3
"""How many partitions of a group are fetched if not all are."""

Lags = Mapping[str, Sequence[TopicLag]]
Place = tuple[str, int, int]
"""Topic, partition, and the offset of the next unread record."""


@dataclass(frozen=True)
class Times:
    """Lags with their time lags; by group the age that none of its unread records exceeds, if not all were read."""

    lags: dict[str, list[TopicLag]]
    at_most_s: dict[str, float]
    problems: dict[str, str]


def measure(bulk: Bulk, layout: Layout, lags: Lags, retention: Mapping[str, Retention], now: float) -> Times:
    """Ask Kafka how old the next unread records are."""
    places = {place for found in lags.values() for lag in found for place in unread(lag, FETCHES)}
    count = sum(int((lag.lag > 0).sum()) for found in lags.values() for lag in found)
    at_most: dict[str, float] = {}
    if count > FETCHES or len(rounds(places)) > ROUNDS:
        topics = {lag.topic for found in lags.values() for lag in found if (lag.lag > 0).any()}
        lags = _bounded(bulk, layout, lags, topics, AGES_S, now)
        for near, some in near_retention(lags, retention).items():
            lags = _bounded(bulk, layout, lags, some, near, now)
        chosen = {group: oldest(found, A_GROUP) for group, found in lags.items()}
        at_most = {group: bound for group, found in lags.items() if (bound := upper_bound(found)) is not None}
        places = {place for some in chosen.values() for place in some}
    ages, problems = fetch(bulk, layout, places, now)
    return Times({group: [aged(lag, ages) for lag in found] for group, found in lags.items()}, at_most, problems)


def unread(lag: TopicLag, most: int) -> Iterable[Place]:
    """Where the unread records of a topic begin, up to `most` places."""
    rows = np.flatnonzero(lag.lag > 0)[:most]
    return [(lag.topic, int(p), int(o)) for p, o in zip(lag.partitions[rows], lag.position[rows], strict=True)]


def rounds(places: Iterable[Place]) -> list[dict[str, dict[int, int]]]:
    """The fetches that read all places: Kafka takes one offset a partition in each."""
    out: list[dict[str, dict[int, int]]] = []
    nth: dict[tuple[str, int], int] = defaultdict(int)
    for topic, partition, offset in sorted(places):
        n = nth[topic, partition]
        nth[topic, partition] += 1
        if n == len(out):
            out.append({})
        out[n].setdefault(topic, {})[partition] = offset
    return out


def fetch(bulk: Bulk, layout: Layout, places: Iterable[Place], now: float) -> tuple[dict[Place, float], dict[str, str]]:
    """The age of the records at these places, in seconds (0: there is no record, so nothing is unread); and why some could not be read."""
    ages: dict[Place, float] = {}
    problems: dict[str, str] = {}
    for positions in rounds(places)[:ROUNDS]:
        found, refused = bulk.first_records(layout, positions)
        problems.update(refused)
        for (topic, partition), at_ms in found.items():
            if at_ms is None or at_ms > 0:  # Kafka writes -1 if a record has no time
                age = 0.0 if at_ms is None else max(now - at_ms / 1000, 0.0)
                ages[topic, partition, positions[topic][partition]] = age
    return ages, problems


def aged(lag: TopicLag, ages: Mapping[Place, float]) -> TopicLag:
    """The lag with the ages that were read."""
    if not ages:
        return lag
    time_lag, exact = lag.time_lag_s.copy(), lag.exact.copy()
    for i in np.flatnonzero((lag.lag > 0) & ~exact).tolist():
        age = ages.get((lag.topic, int(lag.partitions[i]), int(lag.position[i])))
        if age is not None:
            time_lag[i], exact[i] = age, True
    return replace(lag, time_lag_s=time_lag, exact=exact)


def _bounded(
    bulk: Bulk, layout: Layout, lags: Lags, topics: Collection[str], ages: Sequence[float], now: float
) -> dict[str, list[TopicLag]]:
    wanted = {topic: np.arange(len(layout.topics[topic].leaders)) for topic in topics if topic in layout.topics}
    stamps = [int((now - age) * 1000) for age in ages]
    listed = [found.offsets for found in bulk.list_offsets_at(layout, stamps, wanted)]
    return {
        group: [bounded(lag, listed, ages) if lag.topic in wanted else lag for lag in found]
        for group, found in lags.items()
    }


def near_retention(lags: Lags, retention: Mapping[str, Retention]) -> dict[tuple[float, ...], set[str]]:
    """Ages to ask for, each with its topics: those with unread records that retention may reach within a day."""
    asked: dict[tuple[float, ...], set[str]] = defaultdict(set)
    for found in lags.values():
        for lag in found:
            keeps = retention.get(lag.topic, Retention()).ms
            if keeps is None or keeps <= 0 or not (lag.lag > 0).any():
                continue
            least = float(np.nan_to_num(np.where(lag.lag > 0, lag.time_lag_s, 0.0)).max())
            most = next((float(age) for age in AGES_S if age > least), np.inf)
            if most > keeps / 1000 - NEAR_S[0]:
                asked[tuple(keeps / 1000 - near for near in NEAR_S if keeps / 1000 > near)].add(lag.topic)
    asked.pop((), None)
    return asked


def bounded(lag: TopicLag, listed: Sequence[ByPartition], ages: Sequence[float] = AGES_S) -> TopicLag:
    """The lag with the age that each oldest unread record has at least; `listed` is where records of at most these ages begin.

    Partitions whose leader did not answer for all of these ages keep what was known before.
    """
    if any(lag.topic not in offsets for offsets in listed):
        return lag
    begins = [offsets[lag.topic][lag.partitions] for offsets in listed]
    asked = np.logical_and.reduce([lag.lag > 0, *(begin != UNANSWERED for begin in begins)])
    age = np.where(asked, np.nan_to_num(lag.time_lag_s), lag.time_lag_s)
    for seconds, begin in zip(ages, begins, strict=True):
        older = asked & ((begin < 0) | (lag.position < begin))
        age[older] = np.maximum(age[older], seconds)
    return replace(lag, time_lag_s=age)


def oldest(lags: Sequence[TopicLag], count: int) -> list[Place]:
    """Where the oldest unread records of a group may be: partitions with the highest bound, those with most lag first."""
    found: list[tuple[float, int, Place]] = []
    for lag in lags:
        behind = np.flatnonzero((lag.lag > 0) & ~np.isnan(lag.time_lag_s))
        order = behind[np.lexsort((lag.lag[behind], lag.time_lag_s[behind]))[::-1][:count]]
        found += [
            (float(lag.time_lag_s[i]), int(lag.lag[i]), (lag.topic, int(lag.partitions[i]), int(lag.position[i])))
            for i in order
        ]
    return [place for _, _, place in sorted(found, reverse=True)[:count]]


def upper_bound(lags: Sequence[TopicLag]) -> float | None:
    """The age that no unread record of the group exceeds; None if there is no such bound, or nothing is unread."""
    tops = [float(lag.time_lag_s[lag.lag > 0].max()) for lag in lags if (lag.lag > 0).any()]
    if not tops or any(np.isnan(top) for top in tops):
        return None
    return next((float(age) for age in AGES_S if age > max(tops)), None)
