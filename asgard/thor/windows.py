"""Is this moment inside one of these times of the week? Pure; times of day are UTC, as in `22:00-06:00` or `sat-sun 00:00-24:00`.

A window that ends before it begins goes on past midnight; its days are those on which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60


def within(windows: Collection[str], at: float) -> str | None:
    """The window that this moment (seconds since 1970) is in; None where it is in none. Windows are as limits have them."""
    moment = datetime.fromtimestamp(at, UTC)
    minute = moment.hour * 60 + moment.minute
    for window in windows:
        days, begins, ends = _parse(window)
        today, yesterday = moment.weekday(), (moment.weekday() - 1) % 7
        if begins < ends:
            inside = today in days and begins <= minute < ends
        else:
            inside = (today in days and minute >= begins) or (yesterday in days and minute < ends)
        if inside:
            return window
    return None


def _parse(window: str) -> tuple[set[int], int, int]:
    """Days and minutes of the day."""
    days, _, times = re.sub(r"\s*-\s*", "-", window).rpartition(" ")
    begins, ends = (_minutes(part) for part in times.split("-"))
    if not days:
        return set(range(7)), begins, ends
    first, _, last = days.partition("-")
    start, count = _DAYS.index(first), (_DAYS.index(last or first) - _DAYS.index(first)) % 7 + 1
    return {(start + i) % 7 for i in range(count)}, begins, ends


def _minutes(text: str) -> int:
    hours, _, minutes = text.strip().partition(":")
    return min(int(hours) * 60 + int(minutes), _DAY_MINUTES)
