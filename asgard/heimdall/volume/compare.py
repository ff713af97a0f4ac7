"""Whether a window holds what windows like it usually hold. Pure.

Usual is the median of the same local hours of earlier weeks, which one bad week doesn't move. A count may differ by the largest of:
3.5 robust standard deviations (1.4826 x the median absolute deviation, MAD), a fifth of the median, and three square roots of the
median (the noise of counting). With fewer than three earlier weeks nothing is judged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from asgard.heimdall.volume.counts import SILENT
from asgard.heimdall.volume.model import Compared, Count

WEEKS = 4
ENOUGH = 3
_ROBUST, _SHARE, _NOISE = 3.5 * 1.4826, 0.2, 3.0
LATE_S = 2 * 3600.0


def compare(count: Count, earlier: Sequence[int], newest: float | None, now: float) -> Compared:
    """Judge a count. `newest`: the time of the topic's newest record; `now` tells what is late from what is missing."""
    seen = tuple(earlier)
    if count.records is None:
        return Compared(count, "unknown", None, None, seen, "it was not measured")
    if silent := next((why for why in count.approximate if SILENT in why), None):
        return Compared(count, "unknown", None, None, seen, f"{silent}: their records are not counted")
    if len(seen) < ENOUGH:
        return Compared(count, "unknown", None, None, seen, f"{len(seen)} earlier weeks are known, {ENOUGH} are needed")
    usual = float(median(seen))
    tolerance = allowed(seen)
    told = f"{count.records:,} records, usually {usual:,.0f} ± {tolerance:,.0f}"
    if abs(count.records - usual) <= tolerance:
        return Compared(count, "as usual", usual, tolerance, seen, told)
    if count.records > usual:
        return Compared(count, "high", usual, tolerance, seen, told)
    if count.window.end > now:
        return Compared(count, "unknown", usual, tolerance, seen, f"the window is not over; {told}")
    if now - count.window.end < LATE_S and (newest is None or newest < count.window.end):
        return Compared(count, "late", usual, tolerance, seen, f"nothing newer has come yet; {told}")
    return Compared(count, "missing" if count.records == 0 else "low", usual, tolerance, seen, told)


def allowed(earlier: Sequence[int]) -> float:
    """By how many records a count may differ from the median."""
    usual = median(earlier)
    mad = median(abs(value - usual) for value in earlier)
    return max(_ROBUST * mad, _SHARE * usual, _NOISE * math.sqrt(usual))
