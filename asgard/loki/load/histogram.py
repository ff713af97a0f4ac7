"""Latencies as counts in buckets of a fixed relative width: small, mergeable exactly, and accurate to 1 % at any quantile.

The scheme is HdrHistogram's (G. Tene): a value below 128 has its own bucket, above that each power of two is split into 64. A
quantile is given as the middle of its bucket, at most 0.8 % off; the largest value, the sum and the count are exact. Two
histograms of two workers add up to the one that a single worker would have made. Values are whole microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

_BITS = 7
_HALF = 1 << (_BITS - 1)


@dataclass
class Histogram:
    """`counts` by bucket; empty at first."""

    counts: dict[int, int] = field(default_factory=dict)
    sum_us: int = 0
    max_us: int = 0

    @property
    def count(self) -> int:
        """How many values."""
        return sum(self.counts.values())

    def add(self, values_us: npt.ArrayLike) -> None:
        """Count many values; negative ones (clocks of two machines) count as 0."""
        values = np.maximum(np.asarray(values_us, np.int64), 0)
        if not len(values):
            return
        indexes, counts = np.unique(buckets(values), return_counts=True)
        for index, count in zip(indexes.tolist(), counts.tolist(), strict=True):
            self.counts[index] = self.counts.get(index, 0) + count
        self.sum_us += int(values.sum())
        self.max_us = max(self.max_us, int(values.max()))

    def merge(self, other: Histogram) -> None:
        """Add another one's counts."""
        for index, count in other.counts.items():
            self.counts[index] = self.counts.get(index, 0) + count
        self.sum_us += other.sum_us
        self.max_us = max(self.max_us, other.max_us)

    def quantile_s(self, share: float) -> float | None:
        """The value that this share of all values does not exceed, in seconds; None if there is none."""
        total = self.count
        if not total:
            return None
        wanted, seen = max(share * total, 1), 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= wanted:
                return min(middle_us(index), self.max_us) / 1e6
        return self.max_us / 1e6

    def mean_s(self) -> float | None:
        """The mean, in seconds; None if there are no values."""
        return self.sum_us / self.count / 1e6 if self.counts else None


def buckets(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The bucket of each value (0 or more)."""
    _, exponents = np.frexp(values.astype(np.float64))  # bit_length: exact below 2^53 µs, 285 years
    shifts = np.maximum(exponents.astype(np.int64) - _BITS, 0)
    found: npt.NDArray[np.int64] = shifts * _HALF + (values >> shifts)
    return found


def middle_us(index: int) -> int:
    """The middle of a bucket."""
    if index < 2 * _HALF:
        return index
    shift = index // _HALF - 1
    low = (index - shift * _HALF) << shift
    return low + (1 << shift) // 2
