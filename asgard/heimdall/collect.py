"""One round of collecting: cluster, topics and groups into the store, the hours that are over counted, gaps caught up.

A gap (the collector or the machine was down) is caught up if Kafka still has the data: hours of record time are counted from its
time index, so an hour without a collector is not lost. Samples of the gap itself are gone, and `ClusterStore.gaps` lists it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asgard.core import events
from asgard.heimdall.lag import ask as lag_ask
from asgard.heimdall.lag import judge, times
from asgard.heimdall.lag.evaluate import group_lags
from asgard.heimdall.lag.model import STATUSES, GroupLag, GroupToJudge, OffsetSample, Thresholds
from asgard.heimdall.store import read, writer
from asgard.heimdall.store.pack import Arrays
from asgard.heimdall.store.read import ClusterStore
from asgard.heimdall.store.tables import DAY, HOUR
from asgard.heimdall.volume import ask as volume_ask
from asgard.heimdall.volume import counts as counting
from asgard.heimdall.volume.model import Count
from asgard.heimdall.volume.windows import TimeWindow

if TYPE_CHECKING:
    from asgard.core.database import Database
    from asgard.kafka.ports import ControlPlane

Numbers = NDArray[np.int64]
WINDOW_S = 600.0
CATCH_UP_H = 7 * 24
"""Hours that are counted again after a gap, or at the first round."""
HOURS_AT_A_TIME = 12
"""Bounds memory: 200,000 partitions have as many offsets for each hour."""
SETTLED_S = 300.0
"""An hour is counted once it has been over for this long: records come late."""


@dataclass(frozen=True)
class Collected:
    """One round. `new`: whether the sample was kept (another collector may have been faster); `hours` were counted."""

    at: float
    new: bool
    hours: int
    topics: int
    partitions: int
    groups: tuple[GroupLag, ...]
    problems: dict[str, str]
    window: tuple[OffsetSample, ...]
    seconds: float
    requests: dict[str, int]


def once(
    control: ControlPlane,
    database: Database,
    *,
    thresholds: Callable[[str], Thresholds] = lambda group: Thresholds(),
    window: Sequence[OffsetSample] | None = None,
    catch_up_h: int = CATCH_UP_H,
    clock: Callable[[], float] = time.time,
) -> Collected:
    """Take a sample, judge the groups by the window that ends with it, keep both, and count hours that are over.

    `window` are samples kept in memory from earlier rounds; without them they are read from the store. `catch_up_h`: hours to look back.
    """
    began = time.monotonic()
    look = lag_ask.look(control, clock=clock, every_topic=True)
    bulk, layout = control.bulk(), look.layout
    store = ClusterStore(database, layout.cluster_id)
    if window is None:
        window = store.window(look.at - WINDOW_S) if store.known else []
    samples = [*(s for s in window if s.at > look.at - WINDOW_S), look.sample()]
    groups = _judge(control, look, samples, thresholds, clock())
    with database.write() as connection:
        number = writer.cluster(connection, layout.cluster_id)
        topic_ids = writer.subjects(connection, number, "topic", layout.topics)
        group_ids = writer.subjects(connection, number, "group", look.groups)
        arrays = sample_arrays(look, groups, topic_ids, group_ids)
        new = writer.add_sample(connection, number, look.at, arrays)
    answering = {name for name, ends in look.ends.items() if (ends >= 0).all()}
    hours = count_hours(control, database, ClusterStore(database, layout.cluster_id), clock(), catch_up_h, answering)
    return Collected(
        look.at,
        new,
        hours,
        len(layout.topics),
        sum(len(t.leaders) for t in layout.topics.values()),
        tuple(groups.values()),
        look.problems,
        tuple(samples),
        round(time.monotonic() - began, 3),
        bulk.requests_by_broker(),
    )


def _judge(
    control: ControlPlane,
    look: lag_ask.Look,
    samples: Sequence[OffsetSample],
    thresholds: Callable[[str], Thresholds],
    now: float,
) -> dict[str, GroupLag]:
    lags = {name: group_lags(samples, name) for name in look.groups}
    behind = {lag.topic for found in lags.values() for lag in found if (lag.lag > 0).any()}
    retention = lag_ask.retention_of(control, behind)
    measured = times.measure(control.bulk(), look.layout, lags, retention, now)
    span = samples[-1].at - samples[0].at
    return {
        name: judge.judge_group(
            GroupToJudge(group, thresholds(name), problem=look.problem(name)),
            measured.lags[name],
            span,
            retention,
            at_most_s=measured.at_most_s.get(name),
        )
        for name, group in look.groups.items()
    }


def sample_arrays(
    look: lag_ask.Look,
    groups: Mapping[str, GroupLag],
    topic_ids: Mapping[str, int],
    group_ids: Mapping[str, int],
) -> Arrays:
    """A sample as the store keeps it. Pure."""
    layout, starts, ends = look.layout, look.starts, look.ends
    topics = sorted(layout.topics, key=lambda name: topic_ids[name])
    names = sorted(groups, key=lambda name: group_ids[name])
    commits = [(g, t, o) for g in names for t, o in look.committed.get(g, {}).items() if len(o) and t in layout.topics]
    under = sum(int(((t.in_sync < t.replicas) & (t.leaders >= 0)).sum()) for t in layout.topics.values())
    offline = sum(int((t.leaders < 0).sum()) for t in layout.topics.values())
    return {
        "t_id": _numbers(topic_ids[name] for name in topics),
        "t_n": _numbers(len(ends[name]) for name in topics),
        "start": _joined([starts[name] for name in topics]),
        "end": _joined([ends[name] for name in topics]),
        "g_id": _numbers(group_ids[name] for name in names),
        "g_lag": _numbers(-1 if (lag := groups[name].lag) is None else lag for name in names),
        "g_time": np.array([np.nan if (age := groups[name].time_lag_s) is None else age for name in names], float),
        "g_status": _numbers(STATUSES.index(groups[name].status) for name in names),
        "g_expired": _numbers(groups[name].expired_unread for name in names),
        "c_g": _numbers(group_ids[g] for g, _, _ in commits),
        "c_t": _numbers(topic_ids[t] for _, t, _ in commits),
        "c_n": _numbers(len(offsets) for _, _, offsets in commits),
        "committed": _joined([offsets for _, _, offsets in commits]),
        "c_brokers": np.array([len(layout.brokers)], np.int64),
        "c_under": np.array([under], np.int64),
        "c_offline": np.array([offline], np.int64),
    }


def count_hours(
    control: ControlPlane,
    database: Database,
    store: ClusterStore,
    now: float,
    most: int = CATCH_UP_H,
    answering: Collection[str] = (),
) -> int:
    """Count the hours that are over and not yet counted, up to a week back; returns how many.

    `answering` are topics whose partitions all have a leader that answers: hours of the last day in which one of theirs did not
    are counted again for them.
    """
    last = int((now - SETTLED_S) // HOUR) * HOUR
    wanted = range(last - most * HOUR, last, HOUR)
    missing = sorted(set(wanted) - store.counted_hours(wanted.start, last))
    silent = {h: topics.intersection(answering) for h, topics in store.silent_hours(last - DAY, last).items()}
    if again := {hour: topics for hour, topics in silent.items() if topics}:
        _count(volume_ask.logs(control, set().union(*again.values())), database, store.cluster_id, sorted(again), now)
    if not missing:
        return 0
    if len(missing) > 2:
        events.note(f"counting {len(missing)} hours from Kafka's time index")
    known, new = volume_ask.logs(control), 0
    for some in (missing[n : n + HOURS_AT_A_TIME] for n in range(0, len(missing), HOURS_AT_A_TIME)):
        new += _count(known, database, store.cluster_id, some, now)
    return new


def _count(known: volume_ask.Logs, database: Database, cluster_id: str, starts: Sequence[int], now: float) -> int:
    windows = [TimeWindow(start, start + HOUR, str(start)) for start in starts]
    found = volume_ask.counted(known, windows, now)
    by_hour: dict[int, list[Count]] = {start: [] for start in starts}
    for count in found:
        silent = any(counting.SILENT in why for why in count.approximate)
        if silent or (count.records is not None and counting.UNBORN not in count.approximate):
            by_hour[int(count.window.start)].append(count)
    with database.write() as connection:
        number = writer.cluster(connection, cluster_id)
        ids = writer.subjects(connection, number, "topic", {count.topic for count in found})
        hours = {start: _hour(some, ids) for start, some in by_hour.items()}
        writer.replace_silent(connection, number, ids.values(), hours)
        return writer.add_hours(connection, number, hours)


def _hour(found: Sequence[Count], ids: Mapping[str, int]) -> Arrays:
    return {
        "t_id": _numbers(ids[c.topic] for c in found),
        "t_records": _numbers(-1 if c.records is None else c.records for c in found),
        "t_bytes": _numbers(-1 if c.bytes is None else c.bytes for c in found),
        "t_flags": _numbers(
            sum(bit for bit, words in read.FLAGS.items() if any(words in why for why in c.approximate)) for c in found
        ),
    }


def _numbers(values: Iterable[int]) -> Numbers:
    return np.fromiter(values, np.int64)


def _joined(arrays: Sequence[Numbers]) -> Numbers:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.int64)
