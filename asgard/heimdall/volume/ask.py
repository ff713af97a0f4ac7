"""Asks a cluster for the counts of a day: the offsets at each boundary of all topics in one request per leader, and signs of inexactness."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from asgard.core.errors import WrongUsage
from asgard.heimdall.volume import compare, counts
from asgard.heimdall.volume.counts import Signs, TopicOffsets
from asgard.heimdall.volume.model import Compared, Count, Volume
from asgard.heimdall.volume.windows import By, TimeWindow, of_day, same_hours, weeks_before

if TYPE_CHECKING:
    from asgard.kafka.groups import Layout, Listed
    from asgard.kafka.ports import Bulk, ControlPlane

_STARTS, _ENDS, _NEWEST = -2, -1, -3
_SAMPLED = 4
"""How many partitions of a topic have a batch looked at."""
SUSPECTS = 8
"""How many partitions of a topic have their last record looked at, if it is not the newest."""
_CONFIGS = ("cleanup.policy", "message.timestamp.type")


@dataclass(frozen=True)
class Logs:
    """What is known about the topics' logs, whatever the window."""

    bulk: Bulk
    layout: Layout
    start: Listed
    end: Listed
    first: Listed
    sizes: Mapping[str, int]
    signs: Mapping[str, Signs]

    @property
    def problems(self) -> dict[str, str]:
        return self.start.problems | self.end.problems


def logs(control: ControlPlane, topics: Collection[str] | None = None) -> Logs:
    """The logs of all topics except internal ones, or of those named."""
    bulk = control.bulk()
    layout = chosen(control, topics)
    start, end, newest, first = bulk.list_offsets_at(layout, [_STARTS, _ENDS, _NEWEST, 0])
    return Logs(
        bulk, layout, start, end, first, bulk.leader_sizes(layout), signs_of(control, bulk, layout, start, end, newest)
    )


def counted(known: Logs, windows: Sequence[TimeWindow], now: float) -> list[Count]:
    """Records of each topic in each window; one request per leader and boundary."""
    at = known.bulk.list_offsets_at(known.layout, [int(e * 1000) for e in counts.boundaries(windows)])
    edges = [listed.offsets for listed in at]
    start = counts.answered(known.start.offsets, [known.first.offsets, *edges])
    before = counts.offsets_before(start, known.end.offsets, edges)
    found: list[Count] = []
    for name in known.layout.topics:
        offsets = TopicOffsets(
            topic=name,
            start=start[name],
            end=known.end.offsets[name],
            first_ms=known.first.times[name],
            before=before[name],
            size_bytes=known.sizes.get(name),
        )
        found += counts.count(offsets, windows, known.signs[name], now)
    return found


def volume(
    control: ControlPlane,
    windows: Sequence[TimeWindow],
    topics: Collection[str] | None = None,
    *,
    clock: Callable[[], float] = time.time,
) -> Volume:
    """Records of each topic (all except internal ones, or those named) in each window."""
    known = logs(control, topics)
    found = counted(known, windows, clock())
    return Volume(tuple(found), known.problems, known.bulk.requests_by_broker())


def missing(
    control: ControlPlane,
    day: date,
    tz: ZoneInfo,
    by: By = "hour",
    topics: Collection[str] | None = None,
) -> list[Compared]:
    """The windows of a day beside the same hours of earlier weeks, as far back as Kafka still knows."""
    windows = of_day(day, tz, by)
    earlier = [same_hours(windows, of_day(before, tz, by)) for before in weeks_before(day, compare.WEEKS)]
    asked = [*windows, *(w for week in earlier for w in week if w is not None)]
    found = {(c.topic, c.window): c for c in volume(control, asked, topics).counts}
    newest = newest_times(control, topics)
    now = time.time()
    out = []
    for name in sorted({topic for topic, _ in found}):
        for n, window in enumerate(windows):
            before = [found[name, w] for week in earlier if (w := week[n]) is not None]
            known = [c.records for c in before if c.records is not None and not counts.incomparable(c.approximate)]
            out.append(compare.compare(found[name, window], known, newest.get(name), now))
    return out


def newest_times(control: ControlPlane, topics: Collection[str] | None) -> dict[str, float]:
    """Topic to the time of its newest record."""
    bulk = control.bulk()
    times = bulk.list_offsets_at(chosen(control, topics), [_NEWEST])[0].times
    return {name: float(found.max()) / 1000 for name, found in times.items() if len(found) and found.max() > 0}


def chosen(control: ControlPlane, topics: Collection[str] | None) -> Layout:
    """The layout of these topics, or of all that are not internal. Raises WrongUsage for one that does not exist."""
    from asgard.kafka.groups import Layout

    layout = control.bulk().layout(topics)
    absent = [name for name in topics or () if name not in layout.topics]
    if absent:
        raise WrongUsage(
            f"there is no topic {absent[0]}", "Or this user may not see it: DESCRIBE on the topic is needed."
        )
    if topics is not None:
        return layout
    shown = {n: t for n, t in sorted(layout.topics.items()) if not t.internal and not n.startswith("__")}
    return Layout(layout.cluster_id, layout.controller, layout.brokers, shown)


def signs_of(
    control: ControlPlane, bulk: Bulk, layout: Layout, start: Listed, end: Listed, newest: Listed
) -> dict[str, Signs]:
    """From configs, one batch of a few partitions of each topic, and whether their last record is their newest."""
    configs = control.effective_topic_configs(set(layout.topics), _CONFIGS)
    places: dict[str, dict[int, int]] = {}
    for name in layout.topics:
        held = np.flatnonzero(end.offsets[name] > start.offsets[name])[:_SAMPLED]
        if len(held):
            middle = (start.offsets[name] + end.offsets[name]) // 2
            places[name] = {int(p): int(middle[p]) for p in held}
    seen = bulk.batch_signs(layout, places) if places else {}
    late = ends_late(bulk, layout, end, newest)
    return {name: _signs(configs.get(name, {}), seen.get(name, (False, False)), name in late) for name in layout.topics}


def ends_late(bulk: Bulk, layout: Layout, end: Listed, newest: Listed) -> set[str]:
    """Topics of which a partition ends with a record that is older than its newest one.

    Kafka names the first of several newest records, so the time of the last one is looked at before it counts as late.
    """
    suspects: dict[str, dict[int, int]] = {}
    for name in layout.topics:
        last = end.offsets[name] - 1
        found = np.flatnonzero((newest.offsets[name] >= 0) & (newest.offsets[name] < last))[:SUSPECTS]
        if len(found):
            suspects[name] = {int(p): int(last[p]) for p in found}
    if not suspects:
        return set()
    times, _ = bulk.first_records(layout, suspects)
    return {topic for (topic, p), at_ms in times.items() if at_ms is not None and at_ms < newest.times[topic][p]}


def _signs(config: Mapping[str, str], seen: tuple[bool, bool], late: bool) -> Signs:
    return Signs(
        compacted="compact" in config.get("cleanup.policy", ""),
        transactional=seen[0],
        out_of_order=seen[1] or late,
        append_time=config.get("message.timestamp.type") == "LogAppendTime",
    )
