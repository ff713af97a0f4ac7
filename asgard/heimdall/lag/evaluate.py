"""How a group moved in a window of samples: lag, expired records, rates and trend by partition, as arrays. Pure.

Lag counts from where reading continues: the committed offset, or the log's start if retention has overtaken it; what was in
between is `expired`, not lag. The trend is the slope of a least-squares line through the window, so that a saw-tooth of
commits and refreshes does not hide growing lag.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asgard.heimdall.lag.model import OffsetSample, TopicLag

Numbers = NDArray[np.int64]
Reals = NDArray[np.float64]


def group_lags(window: Sequence[OffsetSample], group: str) -> list[TopicLag]:
    """The group's topics; `window` is oldest first and its last sample is now."""
    committed = window[-1].committed.get(group, {})
    found = []
    for topic, offsets in committed.items():
        if topic in window[-1].ends:
            found.append(topic_lag(window, group, topic, offsets))
    return found


def topic_lag(window: Sequence[OffsetSample], group: str, topic: str, offsets: Numbers) -> TopicLag:
    """One topic of a group."""
    last = window[-1]
    size, there = len(offsets), len(last.ends[topic])
    ends_now = _fitted(last.ends, topic, size)
    known = np.flatnonzero((offsets >= 0) & (ends_now >= 0))
    committed, end = offsets[known], ends_now[known]
    start = np.maximum(_fitted(last.starts, topic, size)[known], 0)
    position = np.minimum(np.maximum(committed, start), end)
    lag = end - position
    # A committed offset beyond the end (the topic was recreated, or a leader was elected uncleanly) has no lag, but is a step back.
    rows = [
        (
            s.at,
            _fitted(s.committed.get(group, {}), topic, size)[known],
            _fitted(s.ends, topic, size)[known],
            _start(s, topic, size)[known],
        )
        for s in window
    ]
    at = np.array([row[0] for row in rows])
    commits, ends, starts = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
    measured = (commits >= 0) & (ends >= 0)
    positions = np.minimum(np.maximum(commits, starts), ends)
    lags = np.where(measured, ends - positions, 0)
    count = measured.sum(axis=0)
    quiet_s, waited = _quiet(at, commits, ends, measured, count)
    return TopicLag(
        topic=topic,
        partitions=known,
        committed=committed,
        position=position,
        start=start,
        end=end,
        lag=lag,
        expired=np.maximum(start - committed, 0),
        read_per_s=_rate(at, commits, measured),
        written_per_s=_rate(at, ends, measured),
        trend_per_s=_slope(at, lags, measured, count),
        went_back=_back(commits, measured),
        quiet_s=quiet_s,
        waited=waited,
        uncommitted=there - int((offsets[:there] >= 0).sum()),
        silent=int(((offsets >= 0) & (ends_now < 0))[:there].sum()),
        time_lag_s=np.where(lag == 0, 0.0, np.nan),
        exact=lag == 0,
    )


def _fitted(by_topic: dict[str, Numbers], topic: str, size: int) -> Numbers:
    found = by_topic.get(topic)
    if found is None:
        return np.full(size, -1, np.int64)
    if len(found) >= size:
        return found[:size]
    return np.concatenate([found, np.full(size - len(found), -1, np.int64)])


def _start(sample: OffsetSample, topic: str, size: int) -> Numbers:
    return np.maximum(_fitted(sample.starts, topic, size), 0)


def _first_and_last(measured: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    first = measured.argmax(axis=0)
    last = len(measured) - 1 - measured[::-1].argmax(axis=0)
    return first, last


def _rate(at: Reals, values: Numbers, measured: NDArray[np.bool_]) -> Reals:
    """Per second between the first and the last measured sample; NaN if there are not two."""
    first, last = _first_and_last(measured)
    columns = np.arange(values.shape[1])
    span = at[last] - at[first]
    moved = values[last, columns] - values[first, columns]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(span > 0, moved / span, np.nan)


def _slope(at: Reals, lags: Numbers, measured: NDArray[np.bool_], count: Numbers) -> Reals:
    weights = measured.astype(float)
    times = (at - at[-1])[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_t = (weights * times).sum(axis=0) / count
        mean_l = (weights * lags).sum(axis=0) / count
        off = weights * (times - mean_t)
        slope = (off * (lags - mean_l)).sum(axis=0) / (off * (times - mean_t)).sum(axis=0)
    return np.where(count >= 2, slope, np.nan)


def _back(commits: Numbers, measured: NDArray[np.bool_]) -> Numbers:
    """By how many records the committed offset went back between two samples of the window, at most."""
    if len(commits) < 2:
        return np.zeros(commits.shape[1], np.int64)
    both = measured[1:] & measured[:-1]
    steps: Numbers = np.where(both, np.maximum(commits[:-1] - commits[1:], 0), 0)
    return np.asarray(steps.max(axis=0), np.int64)


def _quiet(
    at: Reals, commits: Numbers, ends: Numbers, measured: NDArray[np.bool_], count: Numbers
) -> tuple[Reals, NDArray[np.bool_]]:
    """For how long no commit moved (NaN: one sample), and whether records were unread all that time."""
    since, last = _first_and_last(measured)
    columns = np.arange(commits.shape[1])
    if len(commits) > 1:
        moved = measured[1:] & measured[:-1] & (commits[1:] != commits[:-1])
        since = np.where(moved.any(axis=0), len(moved) - moved[::-1].argmax(axis=0), since)
    quiet_s = np.where(count >= 2, at[last] - at[since], np.nan)
    return quiet_s, ends[since, columns] > commits[last, columns]
