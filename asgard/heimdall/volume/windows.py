"""The hours of a day in a time zone, as instants. Pure. A day has 23 or 25 of them when clocks change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from asgard.core.errors import WrongUsage

By = Literal["hour", "day"]


@dataclass(frozen=True)
class TimeWindow:
    """From `start` (seconds since 1970) up to, not including, `end`; `label` is the local time of its start."""

    start: float
    end: float
    label: str


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name. Raises WrongUsage."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise WrongUsage(f"there is no time zone {name!r}", "Give an IANA name, as in Europe/Berlin or UTC.") from error


def parse_date(text: str, now: float, tz: ZoneInfo) -> date:
    """A date as `2026-11-27`, `today` or `yesterday` in that zone. Raises WrongUsage."""
    today = datetime.fromtimestamp(now, tz).date()
    named = {"today": today, "yesterday": today - timedelta(days=1)}
    if text in named:
        return named[text]
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f"--date is {text!r}; allowed is a date as in 2026-11-27, today, or yesterday") from error


def of_day(day: date, tz: ZoneInfo, by: By = "hour") -> list[TimeWindow]:
    """The windows of a local day: its hours, or the day as one."""
    begin, end = midnight(day, tz), midnight(day + timedelta(days=1), tz)
    if by == "day":
        return [TimeWindow(begin, end, day.isoformat())]
    found = []
    at = begin
    while at < end:
        local = datetime.fromtimestamp(at, UTC).astimezone(tz)
        found.append(TimeWindow(at, min(at + 3600, end), local.isoformat(timespec="minutes")))
        at += 3600
    return found


def weeks_before(day: date, weeks: int) -> list[date]:
    """The same day of the week in earlier weeks, the nearest first."""
    return [day - timedelta(weeks=n) for n in range(1, weeks + 1)]


def same_hours(windows: Sequence[TimeWindow], earlier: Sequence[TimeWindow]) -> list[TimeWindow | None]:
    """For each window the one of the earlier day that begins at the same local time; None if clocks skip it."""
    by_time: dict[str, TimeWindow] = {}
    for window in earlier:
        by_time.setdefault(local_time(window), window)
    return [by_time.get(local_time(window)) for window in windows]


def local_time(window: TimeWindow) -> str:
    """`14:00` of an hour, empty for a day."""
    return window.label[11:16]


def midnight(day: date, tz: ZoneInfo) -> float:
    """When a local day begins, even if clocks skip midnight."""
    return datetime(day.year, day.month, day.day, tzinfo=tz).timestamp()
