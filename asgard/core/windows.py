"""Whether a moment is inside weekly time windows, and when the next one begins. Pure; as in `22:00-06:00`, `sat-sun 00:00-24:00`.

Moments are seconds since 1970, times of day UTC. A window belongs to the day on which it begins: `fri 22:00-06:00` ends
on Saturday morning. A window whose end is not after its begin ends on the next day.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_S = 86_400
_FIRST_DAY = _DAYS.index("thu")
"""The first of January 1970."""


def within(windows: Collection[str], at: float) -> str | None:
    """The window that this moment is in; None if it is in none. Windows are in the form of limits."""
    return next((window for window in windows for begins, ends in _around(window, at) if begins <= at < ends), None)


def next_opening(windows: Collection[str], at: float) -> float:
    """When something allowed in these windows may next be done: `at` if it may now; without windows, always."""
    if not windows or within(windows, at):
        return at
    return min(begins for window in windows for begins, _ in _around(window, at) if begins > at)


def _around(window: str, at: float) -> Iterator[tuple[int, int]]:
    """Begin and end of the window on each of its days, from yesterday to a week ahead."""
    days, _, hours = re.sub(r"\s*-\s*", "-", window).rpartition(" ")
    begins, ends = (_since_midnight(part) for part in hours.split("-"))
    length = ends - begins if ends > begins else ends - begins + _DAY_S
    wanted = _weekdays(days)
    today = int(at // _DAY_S)
    for day in range(today - 1, today + 8):
        if (day + _FIRST_DAY) % 7 in wanted:
            yield day * _DAY_S + begins, day * _DAY_S + begins + length


def _since_midnight(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 3600 + int(minutes) * 60


def _weekdays(text: str) -> set[int]:
    """The numbers of `fri`, of `sat-mon`, or of every day."""
    if not text:
        return set(range(7))
    first, _, last = text.partition("-")
    start = _DAYS.index(first)
    return {(start + i) % 7 for i in range((_DAYS.index(last or first) - start) % 7 + 1)}
