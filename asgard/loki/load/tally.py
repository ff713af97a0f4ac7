"""What one process has seen of each group of producers and consumers since its last report: small, and added up exactly.

A process counts into `LoadTally` objects on its hot path (an append a record), and `take` turns them once a second into a `Part`:
plain data that is sent to the master, where parts of all workers are merged. Times are whole microseconds.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asgard.loki.load.histogram import Histogram

REASONS_KEPT = 20


@dataclass
class Part:
    """What was seen of one group: counts, and latencies as histograms.

    `latency` counts from the intended send time to the acknowledgement, `from_send` from the moment that the record was given
    to the client, `late` is the difference of the two, `end_to_end` from the intended send time to a consumer. `unsent` were due and
    never sent. `lag` is that of the last look. `first_us` and `last_us` are the first send and the last acknowledgement, counted from the
    start of the load.
    """

    sent: int = 0
    acked: int = 0
    failed: int = 0
    unknown: int = 0
    unsent: int = 0
    measured: int = 0
    read: int = 0
    lag: int | None = None
    first_us: int | None = None
    last_us: int | None = None
    latency: Histogram = field(default_factory=Histogram)
    from_send: Histogram = field(default_factory=Histogram)
    late: Histogram = field(default_factory=Histogram)
    end_to_end: Histogram = field(default_factory=Histogram)
    reasons: dict[str, int] = field(default_factory=dict)

    def merge(self, other: Part) -> None:
        """Add what another process, or another second, has seen."""
        for name in ("sent", "acked", "failed", "unknown", "unsent", "measured", "read"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("latency", "from_send", "late", "end_to_end"):
            getattr(self, name).merge(getattr(other, name))
        for reason, count in other.reasons.items():
            if reason in self.reasons or len(self.reasons) < REASONS_KEPT:
                self.reasons[reason] = self.reasons.get(reason, 0) + count
        if other.lag is not None:
            self.lag = other.lag
        self.first_us = min((t for t in (self.first_us, other.first_us) if t is not None), default=None)
        self.last_us = max((t for t in (self.last_us, other.last_us) if t is not None), default=None)


class LoadTally:
    """The hot side: what producers and consumers of one group in one process append to. Times are nanoseconds."""

    def __init__(self) -> None:
        self.part = Part()
        self.latency_ns = array("q")
        self.from_send_ns = array("q")
        self.end_to_end_us: list[Any] = []
        self.lags: dict[int, int] = {}
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def reason(self, text: str) -> None:
        """Count why a record failed, or why its outcome is unknown."""
        reasons = self.part.reasons
        if text in reasons or len(reasons) < REASONS_KEPT:
            reasons[text] = reasons.get(text, 0) + 1

    def take(self, start_ns: int) -> Part:
        """What was seen since the last call; `start_ns` is the start of the load on the monotonic clock."""
        part, self.part = self.part, Part()
        part.first_us = None if self.first_ns is None else (self.first_ns - start_ns) // 1000
        part.last_us = None if self.last_ns is None else (self.last_ns - start_ns) // 1000
        if self.latency_ns:
            latency_ns, from_send_ns = (np.array(column, np.int64) for column in (self.latency_ns, self.from_send_ns))
            part.latency.add(latency_ns // 1000)
            part.from_send.add(from_send_ns // 1000)
            part.late.add((latency_ns - from_send_ns) // 1000)
            self.latency_ns, self.from_send_ns = array("q"), array("q")
        part.measured = part.latency.count
        if self.end_to_end_us:
            part.end_to_end.add(np.concatenate(self.end_to_end_us))
            self.end_to_end_us = []
        if self.lags:
            part.lag = sum(self.lags.values())
        return part
