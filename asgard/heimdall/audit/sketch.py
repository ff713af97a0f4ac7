"""Latencies as a DDSketch: percentiles within 1 %, mergeable over windows, topics and days without the raw values. Milliseconds.

The sketch is kept as the counts of its buckets, so that a batch of records is one numpy call; the buckets are those of
`ddsketch.mapping.LogarithmicMapping`, and `ddsketch.DDSketch` answers for the percentiles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

ACCURACY = 0.01
ZERO = -(1 << 20)
"""The bucket of latencies below a microsecond, which come from clock differences."""


@cache
def _mapping() -> Any:
    from ddsketch.mapping import LogarithmicMapping

    return LogarithmicMapping(ACCURACY)


@dataclass
class Sketch:
    """Counts by bucket, and the largest value."""

    buckets: dict[int, int] = field(default_factory=dict)
    largest_ms: float = 0.0

    @property
    def count(self) -> int:
        """How many latencies it has seen."""
        return sum(self.buckets.values())

    def add(self, latencies_ms: npt.NDArray[np.float64]) -> None:
        """Add many."""
        if not len(latencies_ms):
            return
        keys = np.full(len(latencies_ms), ZERO, np.int64)
        some = latencies_ms >= 0.001
        keys[some] = np.ceil(np.log(latencies_ms[some]) / np.log(_mapping().gamma)).astype(np.int64)
        for key, count in zip(*(a.tolist() for a in np.unique(keys, return_counts=True)), strict=True):
            self.buckets[key] = self.buckets.get(key, 0) + count
        self.largest_ms = max(self.largest_ms, float(latencies_ms.max()))

    def merge(self, other: Sketch) -> None:
        """Add what another sketch has seen."""
        for key, count in other.buckets.items():
            self.buckets[key] = self.buckets.get(key, 0) + count
        self.largest_ms = max(self.largest_ms, other.largest_ms)

    def quantiles(self, *wanted: float) -> list[float | None]:
        """The values at these shares of the records; None if there are none."""
        from ddsketch import DDSketch

        sketch = DDSketch(ACCURACY)
        for key, count in sorted(self.buckets.items()):
            sketch.add(0.0 if key == ZERO else _mapping().value(key), count)
        found = [sketch.get_quantile_value(share) for share in wanted]
        return [None if value is None else min(float(value), self.largest_ms) for value in found]

    def dump(self) -> str:
        """As text, for the store."""
        return json.dumps({"largest_ms": self.largest_ms, "buckets": sorted(self.buckets.items())})

    @classmethod
    def load(cls, text: str) -> Sketch:
        """From the text of `dump`."""
        found: Mapping[str, Any] = json.loads(text)
        return cls({int(key): int(count) for key, count in found["buckets"]}, float(found["largest_ms"]))
