"""When is each record of an open loop due? A rate that may change, as a count of time and a time of each count. Pure.

The rate is a polyline, so the number of records due by a time is a sum of squares, and the time at which one is due is the root of
one. A producer never asks how long the last record took: what is late stays due, and its latency counts from when it was
due (the remedy for coordinated omission: G. Tene, "How NOT to Measure Latency"; HdrHistogram's intended start time).
Times are seconds from the start.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace

from asgard.loki.load.scenario import Stage


class SendSchedule:
    """The send times of one of `of` producers that share the stages evenly: number `index` is due between the others."""

    def __init__(self, stages: Sequence[Stage], *, of: int = 1, index: int = 0) -> None:
        self._stages = [replace(s, from_per_s=s.from_per_s / of, to_per_s=s.to_per_s / of) for s in stages]
        self._phase = index / of
        self._starts, self._counts = [0.0], [0.0]
        for stage in self._stages:
            self._starts.append(self._starts[-1] + stage.duration_s)
            self._counts.append(self._counts[-1] + (stage.from_per_s + stage.to_per_s) / 2 * stage.duration_s)

    @property
    def duration_s(self) -> float:
        """When the last stage ends."""
        return self._starts[-1]

    @property
    def total(self) -> int:
        """Records in all."""
        return self.due(self.duration_s)

    def due(self, at_s: float) -> int:
        """How many records are due before that time."""
        if at_s <= 0:
            return 0
        if at_s >= self.duration_s:
            count = self._counts[-1]
        else:
            i = bisect_right(self._starts, at_s) - 1
            stage, t = self._stages[i], at_s - self._starts[i]
            count = self._counts[i] + t * (stage.from_per_s + _slope(stage) * t / 2)
        # Record n is due when the count reaches n + phase; rounding must not add one at the end.
        return max(0, math.ceil(count - self._phase - 1e-6))

    def at(self, number: int) -> float:
        """When record `number` (from 0) is due. Infinity beyond the last one."""
        count = number + self._phase
        if number >= self.total:
            return math.inf
        i = min(bisect_right(self._counts, count) - 1, len(self._stages) - 1)
        stage, n, slope = self._stages[i], count - self._counts[i], _slope(self._stages[i])
        if slope == 0:
            return self._starts[i] + n / stage.from_per_s
        # slope/2 t² + from t - n = 0, in the form that stays exact where the slope is small
        root = math.sqrt(max(stage.from_per_s**2 + 2 * slope * n, 0))
        return self._starts[i] + 2 * n / (stage.from_per_s + root) if n else self._starts[i]

    def times_ns(self, first: int, until: int, start_ns: int) -> list[int]:
        """When records `first` to `until` are due on a clock that showed `start_ns` at the start, in nanoseconds."""
        if len(self._stages) == 1 and _slope(self._stages[0]) == 0:
            gap_ns, before = 1e9 / self._stages[0].from_per_s, self._phase
            return [start_ns + int((number + before) * gap_ns) for number in range(first, until)]
        return [start_ns + int(self.at(number) * 1e9) for number in range(first, until)]


def _slope(stage: Stage) -> float:
    return (stage.to_per_s - stage.from_per_s) / stage.duration_s
