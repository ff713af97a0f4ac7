"""From how a group moved to a status with its reason. Pure.

The statuses are Burrow's, judged on the lag now, the trend of the window and the time lag that Kafka was asked for:

- ok: nothing is unread, or the oldest unread record is young enough, or the group catches up in good time.
- slow: it reads, but too late, and does not catch up in good time.
- stalled: it has members, and no commit moved for a while although records waited.
- stopped: it has no members, and records wait.
- rewound: its committed offset went back within the window (a reset, a replay, or a committer that is out of order).
- unknown: how far it is behind is not known: its offsets could not be read, a partition has no leader that answers, the age of
  unread records could not be measured, or one sample does not tell whether it reads. What was not measured never counts as ok.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asgard.core.units import format_duration
from asgard.heimdall.lag.model import (
    STATUSES,
    UNDATED,
    GroupLag,
    GroupToJudge,
    Measure,
    PartitionLag,
    Retention,
    Status,
    Thresholds,
    TopicLag,
)

OK, UNKNOWN, SLOW, REWOUND, STALLED, STOPPED = range(len(STATUSES))
WORST_SHOWN = 5
Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A topic of a group with status, catch-up time and time until data is lost, as arrays over its partitions."""

    lag: TopicLag
    status: NDArray[np.int64]
    catch_up_s: Reals
    loses_in_s: Reals
    unmeasured: frozenset[Measure]


def judge_topic(lag: TopicLag, active: bool, thresholds: Thresholds, window_s: float, retention: Retention) -> Judged:
    """Status by partition."""
    t = thresholds
    catch_up = _catch_up(lag)
    behind = lag.lag > 0
    too_old = behind & (lag.time_lag_s > t.time_lag_s)
    undated = behind & np.isnan(lag.time_lag_s)
    if t.lag is not None:
        too_old |= undated & (lag.lag > t.lag)
    # Records that have waited less than the patience may just be between two commits, whatever the window shows.
    waited = np.where(np.isnan(lag.time_lag_s), lag.waited, lag.time_lag_s > t.stall_after_s)
    still = behind & waited & (lag.quiet_s >= min(t.stall_after_s, window_s))
    one_sample = behind & waited & np.isnan(lag.quiet_s)
    too_short = still & active & (window_s < t.stall_after_s)
    status = np.zeros(len(lag.lag), np.int64)
    status[one_sample | (undated & (t.lag is None))] = UNKNOWN
    in_good_time = catch_up <= t.catch_up_s
    status[too_old & ~in_good_time] = SLOW
    status[(lag.went_back > 0) | (lag.committed > lag.end)] = REWOUND
    if active:
        status[still & ~too_short] = STALLED
        status[too_short & too_old] = SLOW
    else:
        status[still] = STOPPED
    gaps: dict[Measure, bool] = {
        "age": bool(undated.any()),
        "lag": lag.silent > 0,
        "pace": bool((one_sample | too_short).any()),
    }
    unmeasured = frozenset(measure for measure, gap in gaps.items() if gap)
    return Judged(lag, status, catch_up, _loses_in(lag, retention), unmeasured)


def _catch_up(lag: TopicLag) -> Reals:
    """Seconds until nothing is unread, at the window's rates; infinite if never, NaN if not known."""
    gain = lag.read_per_s - lag.written_per_s
    with np.errstate(divide="ignore", invalid="ignore"):
        seconds = np.where(gain > 0, lag.lag / gain, np.inf)
    seconds = np.where(np.isnan(gain), np.nan, seconds)
    return np.where(lag.lag == 0, 0.0, seconds)


def _loses_in(lag: TopicLag, retention: Retention) -> Reals:
    """Seconds until retention may delete the oldest unread record: by its age. 0: it deletes unread records already."""
    if retention.ms is None or retention.ms < 0:
        loses = np.full(len(lag.lag), np.nan)
    else:
        loses = np.maximum(retention.ms / 1000 - lag.time_lag_s, 0.0)
    loses = np.where(lag.lag > 0, loses, np.nan)
    return np.where((lag.expired > 0) & (lag.lag > 0), 0.0, loses)


def judge_group(
    asked: GroupToJudge,
    lags: Sequence[TopicLag],
    window_s: float,
    retention: Mapping[str, Retention],
    *,
    shown: int = WORST_SHOWN,
    at_most_s: float | None = None,
) -> GroupLag:
    """A group by its worst partition. `shown`: how many of its partitions to give as `worst`, the most worrying first."""
    judged = [
        judge_topic(lag, asked.group.active, asked.thresholds, window_s, retention.get(lag.topic, Retention()))
        for lag in lags
    ]
    silent = sum(lag.silent for lag in lags)
    base = _empty(asked, silent)
    if not judged or not any(len(j.status) for j in judged):
        return replace(base, uncommitted=sum(lag.uncommitted for lag in lags))
    owner = _owners(asked)
    worst = [_partition(j, i, asked, owner, window_s) for j, i in _most_worrying(judged, max(shown, 1))]
    total = sum(int(j.lag.lag.sum()) for j in judged)
    trend = _sum(j.lag.trend_per_s for j in judged)
    catch_up = _max(j.catch_up_s for j in judged)
    slowest = _slowest(judged)
    status = STATUSES[max(UNKNOWN if silent else OK, *(int(j.status.max(initial=0)) for j in judged))]
    unmeasured = frozenset[Measure]().union(*(j.unmeasured for j in judged))
    dated = any((~np.isnan(j.lag.time_lag_s[j.lag.lag > 0])).any() for j in judged)
    return replace(
        base,
        status=status,
        because=next((p.because for p in worst if p.status == status), base.because if silent else worst[0].because),
        partitions=sum(len(j.status) for j in judged),
        uncommitted=sum(j.lag.uncommitted for j in judged),
        lag=total,
        expired_unread=sum(int(j.lag.expired.sum()) for j in judged),
        time_lag_s=_max(j.lag.time_lag_s for j in judged) if dated or not unmeasured & UNDATED else None,
        time_lag_at_most_s=at_most_s,
        trend_per_s=trend,
        catch_up_s=catch_up if catch_up is not None and np.isfinite(catch_up) else None,
        catching_up=catch_up is not None and bool(np.isfinite(catch_up)),
        loses_data_in_s=_min(j.loses_in_s for j in judged),
        topics=tuple(j.lag.topic for j in judged),
        slowest=slowest,
        worst=tuple(worst[:shown]),
        unmeasured=unmeasured,
    )


def _empty(asked: GroupToJudge, silent: int) -> GroupLag:
    """A group of which no partition was measured; `silent` of them have no leader that answers."""
    group = asked.group
    because = "it has no committed offset, so its lag is not measured"
    if asked.problem is not None:
        because = f"its offsets could not be read: {asked.problem}"
    elif silent:
        because = f"{silent} of its partitions have no leader that answers, so their lag is not measured"
    unmeasured = asked.problem is not None or silent > 0
    return GroupLag(
        name=group.name,
        type=group.type,
        state=group.state,
        status="unknown" if group.active or unmeasured else "ok",
        because=because,
        partitions=0,
        uncommitted=0,
        lag=None,
        expired_unread=0,
        time_lag_s=None,
        time_lag_at_most_s=None,
        trend_per_s=None,
        catch_up_s=None,
        catching_up=False,
        loses_data_in_s=None,
        topics=(),
        members=asked.members or (),
        unmeasured=frozenset({"lag"}) if unmeasured else frozenset(),
    )


def _most_worrying(judged: Sequence[Judged], count: int) -> list[tuple[Judged, int]]:
    """The `count` partitions with the worst status; among equals the oldest unread record, then the larger lag."""
    found: list[tuple[int, float, int, int, int]] = []
    for n, j in enumerate(judged):
        age = np.nan_to_num(j.lag.time_lag_s, nan=-1.0)
        order = np.lexsort((j.lag.lag, age, j.status))[::-1][:count]
        found += [(int(j.status[i]), float(age[i]), int(j.lag.lag[i]), n, int(i)) for i in order]
    found.sort(reverse=True)
    return [(judged[n], i) for _, _, _, n, i in found[:count]]


def _owners(asked: GroupToJudge) -> dict[tuple[str, int], str]:
    return {
        (topic, p): f"{m.client_id} at {m.host}"
        for m in asked.members or ()
        for topic, partitions in m.assignment.items()
        for p in partitions
    }


def _partition(
    j: Judged, i: int, asked: GroupToJudge, owners: Mapping[tuple[str, int], str], window_s: float
) -> PartitionLag:
    lag = j.lag
    key = (lag.topic, int(lag.partitions[i]))
    status = STATUSES[int(j.status[i])]
    return PartitionLag(
        topic=lag.topic,
        partition=key[1],
        status=status,
        because=_because(j, i, status, asked, window_s),
        committed=int(lag.committed[i]),
        end=int(lag.end[i]),
        lag=int(lag.lag[i]),
        expired_unread=int(lag.expired[i]),
        time_lag_s=_number(lag.time_lag_s[i]),
        trend_per_s=_number(lag.trend_per_s[i]),
        catch_up_s=_number(j.catch_up_s[i]),
        loses_data_in_s=_number(j.loses_in_s[i]),
        member=owners.get(key),
    )


def _because(j: Judged, i: int, status: Status, asked: GroupToJudge, window_s: float) -> str:
    lag, t = j.lag, asked.thresholds
    records, age = int(lag.lag[i]), _number(lag.time_lag_s[i])
    old = f"the oldest of {records} unread records is {format_duration(age)} old" if age is not None else ""
    old = old or f"{records} records are unread, how old they are is not measured"
    if int(lag.committed[i]) > int(lag.end[i]):
        return (
            f"its committed offset {int(lag.committed[i])} is beyond the log's end {int(lag.end[i])}: "
            "the topic was made anew, or its last records were lost"
        )
    if status == "rewound":
        return (
            f"its committed offset went back by {int(lag.went_back[i])} records in the last {format_duration(window_s)}"
        )
    if status == "stopped":
        return f"it has no members, and {old}"
    if status == "stalled":
        return f"no commit moved in {format_duration(float(lag.quiet_s[i]))}, and {old}"
    if status == "unknown":
        return old if age is None else f"{old}, and one sample does not tell whether it reads"
    if records == 0:
        lost = int(lag.expired[i])
        return f"nothing is unread; {lost} records were deleted before it read them" if lost else "nothing is unread"
    catch_up = j.catch_up_s[i]
    pace = "it does not catch up" if np.isinf(catch_up) else "how fast it reads is not measured"
    if np.isfinite(catch_up):
        pace = f"it catches up in {format_duration(float(catch_up))}"
    if status == "slow":
        if lag.quiet_s[i] >= window_s:
            pace = f"no commit moved in {format_duration(window_s)}, too short to call it stalled"
        return f"{old} (allowed: {format_duration(t.time_lag_s)}), and {pace}"
    if age is not None and age > t.time_lag_s:
        return f"{old}, and {pace}"
    return old


def _slowest(judged: Sequence[Judged]) -> str | None:
    """The partition that takes longest to catch up."""
    best: tuple[float, str] | None = None
    for j in judged:
        known = np.where(np.isnan(j.catch_up_s), -1.0, j.catch_up_s)
        i = int(known.argmax()) if len(known) else -1
        if i >= 0 and known[i] > 0 and (best is None or known[i] > best[0]):
            best = (float(known[i]), f"{j.lag.topic}-{int(j.lag.partitions[i])}")
    return best[1] if best else None


def _number(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None


def _sum(arrays: Iterable[Reals]) -> float | None:
    known = np.concatenate([a[~np.isnan(a)] for a in arrays])
    return round(float(known.sum()), 3) if len(known) else None


def _max(arrays: Iterable[Reals]) -> float | None:
    known = np.concatenate([a[~np.isnan(a)] for a in arrays])
    return round(float(known.max()), 3) if len(known) else None


def _min(arrays: Iterable[Reals]) -> float | None:
    known = np.concatenate([a[~np.isnan(a)] for a in arrays])
    return round(float(known.min()), 3) if len(known) else None
