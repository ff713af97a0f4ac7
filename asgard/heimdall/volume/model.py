"""What arrived in a window, and whether that is exact. Counts are records, sizes bytes; None means not measured, never 0."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asgard.heimdall.volume.windows import TimeWindow

Verdict = Literal["as usual", "missing", "late", "low", "high", "unknown"]


@dataclass(frozen=True)
class Count:
    """Records of one topic in one window. `approximate` are the reasons why it may differ from what was written."""

    topic: str
    window: TimeWindow
    records: int | None
    bytes: int | None
    approximate: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compared:
    """A count beside the same hours of earlier weeks. `usual` is their median, `tolerance` what it may differ by."""

    count: Count
    verdict: Verdict
    usual: float | None
    tolerance: float | None
    earlier: tuple[int, ...] = ()
    because: str = ""


@dataclass(frozen=True)
class Volume:
    """The counts of a day; `requests` are those to each broker."""

    counts: tuple[Count, ...]
    problems: dict[str, str] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
