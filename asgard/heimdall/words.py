"""How Heimdall writes figures for people: in pages, chat and terminals alike. None is `-`: not measured."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from asgard.core.pages.parts import Cell, Tone
from asgard.core.units import format_duration, format_size
from asgard.heimdall.lag.model import Status

STATUS_TONES: dict[Status, Tone] = {
    "ok": "good",
    "unknown": "plain",
    "slow": "warn",
    "rewound": "warn",
    "stalled": "bad",
    "stopped": "bad",
}


def count(value: float | None) -> str:
    """`1,234`."""
    return "-" if value is None else f"{value:,.0f}"


def short(value: float | None) -> str:
    """`7.02 million`, for a large figure; the table has it exactly."""
    if value is None or value < 1_000_000:
        return count(value)
    power, name = (1e9, "billion") if value >= 1e9 else (1e6, "million")
    return f"{value / power:.2f} {name}"


def size(value: float | None) -> str:
    """`1.5 GiB`."""
    return "-" if value is None else format_size(value)


def duration(value: float | None) -> str:
    """`4 m 10 s`."""
    return "-" if value is None else format_duration(value)


def many(number: int, noun: str) -> str:
    """`1 topic`, `2 topics`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share(value: float, whole: float) -> str:
    """`98%` of what is usual."""
    return f"{value / whole:.0%}" if whole else "-"


def clock(at: float, tz: ZoneInfo) -> str:
    """`14:05` local time."""
    return datetime.fromtimestamp(at, tz).strftime("%H:%M")


def number(value: float | None, tone: Tone = "plain") -> Cell:
    """A cell with a count."""
    return Cell(count(value), -1.0 if value is None else float(value), tone=tone)


def sized(value: float | None) -> Cell:
    """A cell with a size."""
    return Cell(size(value), -1.0 if value is None else float(value))


def lasting(value: float | None, tone: Tone = "plain") -> Cell:
    """A cell with a duration."""
    return Cell(duration(value), -1.0 if value is None else float(value), tone=tone)


def status(value: Status, href: str = "") -> Cell:
    """A cell with a group's status."""
    return Cell(value, tone=STATUS_TONES[value], href=href)
