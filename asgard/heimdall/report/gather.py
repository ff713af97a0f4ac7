"""Collects a day: counts from Kafka's time index (earlier weeks also from the store, if Kafka has deleted them), lag from the
store, what happened from the journal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from asgard.heimdall import incidents
from asgard.heimdall.lag import ask as lag_ask
from asgard.heimdall.lag.model import GroupLag, Thresholds
from asgard.heimdall.report.day import Day, group_days, topic_days
from asgard.heimdall.volume import ask as volume_ask
from asgard.heimdall.volume import compare, counts
from asgard.heimdall.volume.model import Compared, Count
from asgard.heimdall.volume.windows import TimeWindow, midnight, of_day, same_hours, weeks_before

if TYPE_CHECKING:
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.heimdall.store.read import ClusterStore, HourCount
    from asgard.journal.events import Event
    from asgard.kafka.ports import ControlPlane

HOURLY = 200
"""Points of a day in series: more than its hours, fewer than its minutes."""
_HISTORY_S = 600.0


def gather(
    control: ControlPlane,
    store: ClusterStore,
    events: Iterable[Event],
    *,
    cluster: str,
    day: date,
    tz: ZoneInfo,
    settings: HeimdallSettings,
) -> Day:
    """The day of a cluster. `events` are the journal's of that day and `incidents.REACH_S` before, oldest first."""
    now = time.time()
    begin, end = midnight(day, tz), midnight(day + timedelta(days=1), tz)
    windows = of_day(day, tz)
    earlier = [same_hours(windows, of_day(before, tz)) for before in weeks_before(day, compare.WEEKS)]
    days = [windows, *([w for w in week if w is not None] for week in earlier)]
    counted = volume_ask.volume(control, [window for day in days for window in day])
    newest = volume_ask.newest_times(control, None)
    compared = judged(windows, earlier, counted.counts, stored(store, days) if store.known else [], newest, now)
    groups, problems = _groups_now(control, store, settings.thresholds)
    known = store.known
    return Day(
        cluster=cluster,
        date=day,
        tz=tz,
        begin=begin,
        end=end,
        made_at=now,
        topics=topic_days(compared, settings.owners),
        groups=group_days(store.groups_series(begin, end, HOURLY) if known else {}, groups, settings.owners),
        happenings=tuple(incidents.happenings(events, store.cluster_id, begin, min(end, now))),
        points=tuple(store.cluster_series(begin, end, HOURLY)) if known else (),
        gaps=tuple(store.gaps(begin, end)) if known else (),
        collected=known,
        problems={**counted.problems, **problems},
    )


def stored(store: ClusterStore, days: Iterable[Sequence[TimeWindow]]) -> Iterator[HourCount]:
    """The hours of these days as the store has them."""
    for windows in days:
        yield from store.hours(windows[0].start, windows[-1].end)


def judged(
    windows: Sequence[TimeWindow],
    earlier: Sequence[Sequence[TimeWindow | None]],
    counted: Sequence[Count],
    hours: Iterable[HourCount],
    newest: dict[str, float],
    now: float,
) -> list[Compared]:
    """Each window of each topic beside the same hours of earlier weeks. Pure.

    What retention deleted from Kafka, or a partition without a leader holds, is taken from the store, if it was counted in time.
    """
    found = {(c.topic, c.window): c for c in counted}
    wanted = {
        (c.topic, c.window.start): c.window
        for c in counted
        if c.window.end - c.window.start == 3600 and (c.records is None or counts.incomparable(c.approximate))
    }
    for hour in hours:
        window = wanted.get((hour.topic, float(hour.start)))
        if window is not None and hour.records is not None:
            found[hour.topic, window] = Count(hour.topic, window, hour.records, hour.bytes, hour.approximate)
    out = []
    for topic in sorted({name for name, _ in found}):
        for n, window in enumerate(windows):
            before = [found[topic, w] for week in earlier if (w := week[n]) is not None]
            usable = [c.records for c in before if c.records is not None and not counts.incomparable(c.approximate)]
            out.append(compare.compare(found[topic, window], usable, newest.get(topic), now))
    return out


def _groups_now(
    control: ControlPlane, store: ClusterStore, thresholds: Callable[[str], Thresholds]
) -> tuple[dict[str, GroupLag], dict[str, str]]:
    history = store.window(time.time() - _HISTORY_S) if store.known else []
    report = lag_ask.report(control, thresholds=thresholds, history=history)
    return {g.name: g for g in report.groups}, report.problems
