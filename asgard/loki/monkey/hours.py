"""May something be taken at this moment, by the clocks and the calendar of a time zone? Pure; moments are seconds since 1970.

The wall clock counts: an hour that comes twice when summer time ends is in or out both times, one that
is skipped never comes. A day off is a date, from midnight to midnight; a window that began the evening before ends with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import lru_cache

from asgard.core.schema.monkey import time_zone

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN = 1440
_WEEK_MIN = 7 * _DAY_MIN
MOST_LOOKED_BACK_S = 7 * 86400.0


@dataclass(frozen=True)
class Hours:
    """When something may be taken."""

    windows: tuple[str, ...]
    days_off: tuple[tuple[date, date], ...]
    timezone: str

    @property
    def share(self) -> float:
        """The part of an ordinary week that is open."""
        return _week(self.windows).count(1) / _WEEK_MIN

    def local(self, at: float) -> datetime:
        """What the wall clock shows."""
        return datetime.fromtimestamp(at, _zone(self.timezone))

    def closed(self, at: float) -> str | None:
        """Why nothing may be taken at this moment; None if it may."""
        now = self.local(at)
        today = now.date()
        off = next((d for d in self.days_off if d[0] <= today <= d[1]), None)
        if off is not None:
            return f"{today} is a day off"
        if not _week(self.windows)[now.weekday() * _DAY_MIN + now.hour * 60 + now.minute]:
            return (
                f"{_DAYS[now.weekday()]} {now:%H:%M} ({self.timezone}) is outside the hours {', '.join(self.windows)}"
            )
        return None

    def open_s(self, since: float, until: float) -> float:
        """How many seconds of that time were open, to the minute; only the last seven days count."""
        since = max(since, until - MOST_LOOKED_BACK_S)
        whole, rest = divmod(max(0.0, until - since), 60.0)
        steps = [(since + 60.0 * i, 60.0) for i in range(int(whole))] + [(since + 60.0 * whole, rest)]
        return sum(length for at, length in steps if length and self.closed(at) is None)


@lru_cache(maxsize=8)
def _zone(name: str) -> tzinfo:
    return time_zone(name)


@lru_cache(maxsize=8)
def _week(windows: tuple[str, ...]) -> bytes:
    """For each minute from Monday 00:00 on, whether it is inside a window."""
    week = bytearray(_WEEK_MIN)
    for window in windows:
        for begins, length in _minutes(window):
            for minute in range(begins, begins + length):
                week[minute % _WEEK_MIN] = 1
    return bytes(week)


def _minutes(window: str) -> Collection[tuple[int, int]]:
    """First minute of the week and length of a window on each of its days."""
    days, _, hours = re.sub(r"\s*-\s*", "-", window).rpartition(" ")
    begins, ends = (int(part[:2]) * 60 + int(part[3:]) for part in hours.split("-"))
    length = ends - begins if ends > begins else ends - begins + _DAY_MIN
    first, _, last = days.partition("-")
    start = _DAYS.index(first) if days else 0
    count = (_DAYS.index(last or first) - start) % 7 + 1 if days else 7
    return [((start + i) % 7 * _DAY_MIN + begins, length) for i in range(count)]
