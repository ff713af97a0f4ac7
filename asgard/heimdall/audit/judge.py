"""Compares tiers within a window: what is lost, what the first tier never got, what has no origin. Pure.

`lost`: records of a tier that no topic of the next one has. `gaps`: sequences missing between those that a producer got into the
first tier; a gap at a window's edge counts for the later window. `unmatched`: records of a tier that the tier before does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from asgard.heimdall.audit.count import AuditCounts, AuditWindow, Key
from asgard.heimdall.audit.ids import Ids, Who

State = Literal["open", "closed", "partial"]
EXAMPLES = 5


@dataclass(frozen=True)
class Row:
    """A topic of a tier in a window. None: not judged (the last tier has no next one; a partial window can't be compared).

    `partial`: records of the window were deleted by retention before the audit began to read. Latencies: from the intended send time
    to the record's time, in ms.
    """

    start_s: int
    tier: str
    topic: str
    state: State
    records: int
    unstamped: int
    duplicates: int
    lost: int | None
    gaps: int | None
    unmatched: int | None
    late: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    examples: tuple[str, ...] = ()

    @property
    def troubled(self) -> bool:
        """Whether the window is closed and something is wrong in it."""
        return self.state == "closed" and bool(self.lost or self.gaps or self.duplicates)


def rows(counts: AuditCounts, start_s: int, state: State) -> list[Row]:
    """What one stretch of time looks like, tier by tier."""
    found = dict(counts.at(start_s))
    if start_s < counts.known_since_s:
        state = "partial"
    missing = {
        Key(start_s, number, topic): AuditWindow()
        for topic, number in counts.plan.topics.items()
        if Key(start_s, number, topic) not in found
    }
    found |= missing
    by_tier = [[w.ids for key, w in found.items() if key.tier == number] for number in range(len(counts.plan.tiers))]
    return [
        _row(counts, key, window, state, by_tier) for key, window in sorted(found.items(), key=lambda item: item[0])
    ]


def _row(counts: AuditCounts, key: Key, window: AuditWindow, state: State, by_tier: list[list[Ids]]) -> Row:
    lost = gaps = unmatched = None
    examples: list[tuple[Who, int]] = []
    if state != "partial":
        if key.tier + 1 < len(by_tier):
            lost = window.ids.missing_in(by_tier[key.tier + 1])
            examples = window.ids.found_nowhere_in(by_tier[key.tier + 1], EXAMPLES) if lost else []
        if key.tier > 0:
            unmatched = window.ids.missing_in(by_tier[key.tier - 1])
        else:
            gaps = _gaps(counts, key, window)
    p50, p95, p99 = window.latency.quantiles(0.5, 0.95, 0.99)
    return Row(
        key.start_s,
        counts.plan.tiers[key.tier].name,
        key.topic,
        state,
        window.records,
        window.unstamped,
        window.duplicates,
        lost,
        gaps,
        unmatched,
        window.late + counts.late.get(key, 0),
        p50,
        p95,
        p99,
        window.latency.largest_ms if window.latency.count else None,
        tuple(record_name(*example) for example in examples),
    )


def _gaps(counts: AuditCounts, key: Key, window: AuditWindow) -> int:
    """Sequences between this window's and the one before it that no open window of the topic has."""
    same = [(k, w) for k, w in counts.windows.items() if k.topic == key.topic and k.tier == key.tier]
    gaps = 0
    earlier = _highest(w.ids for k, w in same if k.start_s < key.start_s)
    for who, (low, high) in window.ids.spans().items():
        before = max(earlier.get(who, -1), counts.reached.get((key.topic, who), (-1, 0))[0])
        low = before + 1 if before >= 0 else low
        if low <= high:
            there = sum(w.ids.count_between(who, low, high) for _, w in same)
            gaps += high - low + 1 - there
    return gaps


def _highest(sets: Iterable[Ids]) -> dict[Who, int]:
    found: dict[Who, int] = {}
    for ids in sets:
        for who, (_, high) in ids.spans().items():
            found[who] = max(high, found.get(who, -1))
    return found


def close(counts: AuditCounts, until_s: int) -> list[Row]:
    """Close every window that ends by then, oldest first, and forget its records, except those that are lost."""
    closed: list[Row] = []
    for start_s in counts.starts():
        if start_s + counts.plan.window_s > until_s:
            break
        judged = rows(counts, start_s, "closed")
        closed += judged
        here = list(counts.at(start_s))
        for row in judged:
            if row.lost and row.state == "closed":
                key = Key(start_s, counts.plan.topics[row.topic], row.topic)
                after = [w.ids for k, w in here if k.tier == key.tier + 1]
                counts.missing[key] = counts.windows[key].ids.without(after)
        for key, window in here:
            if key.tier == 0:
                for who, (_, high) in window.ids.spans().items():
                    before, _ = counts.reached.get((key.topic, who), (-1, 0))
                    counts.reached[key.topic, who] = (max(high, before), start_s)
            del counts.windows[key]
            counts.dirty.discard(key)
    counts.closed_until_s = max(counts.closed_until_s, until_s)
    return closed


def record_name(who: Who, sequence: int) -> str:
    """`run:producer:sequence`, as `heimdall trace` reads it."""
    return f"{who[0].hex()}:{who[1]}:{sequence}"
