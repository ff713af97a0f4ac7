"""Counts records into windows. Pure: columns in, windows changed; the store keeps them, `judge` compares them.

A window is a topic of a tier and a stretch of event time. It is open until the watermark has passed its end by the audit's
lateness; what comes even later is counted as late, not in the window. A late record that was counted as lost is no longer lost.

The watermark of a tier is the event time that all its partitions have reached. A partition with nothing left to read does not hold it
back; one without a leader does, because it may hold more. The audit's watermark is the lowest of its tiers': a stalled tier keeps windows open, and nothing counts as lost yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from asgard.heimdall.audit.columns import Columns
from asgard.heimdall.audit.ids import Ids, Who
from asgard.heimdall.audit.plan import AuditPlan
from asgard.heimdall.audit.sketch import Sketch

NEVER = -(1 << 62)


@dataclass(frozen=True, order=True)
class Key:
    """Names a window: the tier's number, the topic, and the start in seconds since 1970."""

    start_s: int
    tier: int
    topic: str


@dataclass
class AuditWindow:
    """What was seen of a topic in a stretch of time. `late` records came after it had been closed."""

    records: int = 0
    unstamped: int = 0
    duplicates: int = 0
    late: int = 0
    latency: Sketch = field(default_factory=Sketch)
    ids: Ids = field(default_factory=Ids)


@dataclass
class PartitionProgress:
    """How far a partition was read. `newest_us`: the latest event time; `since_us`: nothing older could be read (0: everything was).

    `topic_id` tells a topic from a later one with the same name. `skipped`: offsets that retention deleted
    before they were audited.
    """

    topic_id: str = ""
    offset: int = 0
    newest_us: int = NEVER
    since_us: int = 0
    skipped: int = 0


@dataclass
class AuditCounts:
    """All that an audit knows. `closed_until_s`: windows that end by then are closed; `reached`: highest
    sequence in closed windows, and the start of the window that reached it. `missing`: the lost records of closed windows, `recovered`:
    how many of them have come since the last commit."""

    plan: AuditPlan
    windows: dict[Key, AuditWindow] = field(default_factory=dict)
    progress: dict[tuple[str, int], PartitionProgress] = field(default_factory=dict)
    closed_until_s: int = 0
    reached: dict[tuple[str, Who], tuple[int, int]] = field(default_factory=dict)
    late: dict[Key, int] = field(default_factory=dict)
    dirty: set[Key] = field(default_factory=set)
    missing: dict[Key, Ids] = field(default_factory=dict)
    recovered: dict[Key, int] = field(default_factory=dict)

    def add(self, topic: str, columns: Columns) -> None:
        """Count records of one topic."""
        tier, width = self.plan.topics[topic], self.plan.window_s
        starts = columns.event_us // (width * 1_000_000)
        self._note_times(topic, columns)
        first = starts[0]
        if (starts == first).all():
            self._add(Key(int(first) * width, tier, topic), columns, None)
            return
        for start in np.unique(starts).tolist():
            self._add(Key(start * width, tier, topic), columns, starts == start)

    def _add(self, key: Key, columns: Columns, rows: np.typing.NDArray[np.bool_] | None) -> None:
        total = len(columns.event_us) if rows is None else int(rows.sum())
        if key.start_s + self.plan.window_s <= self.closed_until_s:
            self.late[key] = self.late.get(key, 0) + total
            self._recover(key, columns, rows)
            return
        window = self.windows.setdefault(key, AuditWindow())
        self.dirty.add(key)
        window.records += total
        stamped = columns.stamped if rows is None else columns.stamped & rows
        count = int(stamped.sum())
        window.unstamped += total - count
        if not count:
            return
        # A selection of every row would copy all columns for nothing.
        every = count == len(stamped)
        late_us = columns.at_us - columns.event_us
        window.latency.add((late_us if every else late_us[stamped]) / 1000.0)
        sequence, who = (columns.sequence, columns.who) if every else (columns.sequence[stamped], columns.who[stamped])
        if len(columns.names) == 1:
            window.duplicates += window.ids.add(columns.names[0], sequence)
            return
        order = np.argsort(who, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(who[order])) + 1):
            window.duplicates += window.ids.add(columns.names[int(who[part[0]])], sequence[part])

    def _recover(self, key: Key, columns: Columns, rows: np.typing.NDArray[np.bool_] | None) -> None:
        """Late records are no longer missing in this tier."""
        before = [k for k in self.missing if k.start_s == key.start_s and k.tier == key.tier - 1]
        if not before:
            return
        chosen = columns.stamped if rows is None else columns.stamped & rows
        sequence, who = columns.sequence[chosen], columns.who[chosen]
        for code in np.unique(who).tolist():
            sequences = sequence[who == code]
            for missing in before:
                if found := self.missing[missing].discard(columns.names[code], sequences):
                    self.recovered[missing] = self.recovered.get(missing, 0) + found

    def _note_times(self, topic: str, columns: Columns) -> None:
        """A clock that is ahead of the record's own time must not close windows, so the earlier of the two counts."""
        times = np.minimum(columns.event_us, columns.at_us)
        for partition in np.unique(columns.partition).tolist():
            here = columns.partition == partition
            progress = self.progress.setdefault((topic, partition), PartitionProgress())
            if progress.since_us < 0:
                progress.since_us = int(columns.at_us[here][0])
            progress.newest_us = max(progress.newest_us, int(times[here].max()))

    def watermark_us(self, unread: set[tuple[str, int]]) -> int:
        """The event time that every tier has reached; NEVER if one has seen nothing. `unread`: partitions that have more to read, or may have."""
        return min(
            (self._of_tier(set(tier.topics), unread) for tier in self.plan.tiers),
            default=NEVER,
        )

    def _of_tier(self, topics: set[str], unread: set[tuple[str, int]]) -> int:
        times = {where: p.newest_us for where, p in self.progress.items() if where[0] in topics}
        behind = [times.get(where, NEVER) for where in unread if where[0] in topics]
        return min(behind) if behind else max(times.values(), default=NEVER)

    def due(self, unread: set[tuple[str, int]]) -> int:
        """Until when windows may be closed now, in seconds since 1970: a multiple of the width, never less than before."""
        watermark = self.watermark_us(unread)
        if watermark == NEVER:
            return self.closed_until_s
        width = self.plan.window_s
        until = (watermark - int(self.plan.lateness_s * 1_000_000)) // (width * 1_000_000) * width
        return max(self.closed_until_s, until)

    def starts(self) -> list[int]:
        """The starts of the open windows, in order."""
        return sorted({key.start_s for key in self.windows})

    def at(self, start_s: int) -> Iterator[tuple[Key, AuditWindow]]:
        """The open windows of a start, tier by tier."""
        yield from sorted((item for item in self.windows.items() if item[0].start_s == start_s), key=lambda i: i[0])

    @property
    def known_since_s(self) -> float:
        """Windows that begin earlier can't be judged: some partition's older records were deleted before the audit read them."""
        return max((p.since_us for p in self.progress.values()), default=0) / 1_000_000
