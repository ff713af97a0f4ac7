"""How fast records may be copied: limits in bytes and records per second, as pure arithmetic on times.

A limit of None means unlimited. It does not catch up after a pause.
"""

from __future__ import annotations

from dataclasses import dataclass

SLICE_S = 0.25
"""A batch should take about this long at the limit, so that the rate is even."""
_MOST_RECORDS, _MOST_BYTES = 2000, 16 * 1024 * 1024


@dataclass(frozen=True)
class Rate:
    """Limits per second."""

    bytes_per_s: float | None = None
    records_per_s: float | None = None

    def slower(self, factor: float, without: float) -> Rate:
        """A share of this rate; if bytes are unlimited, a share of `without`."""
        return Rate((self.bytes_per_s or without) * factor, self.records_per_s and self.records_per_s * factor)

    def seconds(self, records: int, size_bytes: int) -> float:
        """How long this much takes at this rate."""
        by_bytes = size_bytes / self.bytes_per_s if self.bytes_per_s else 0.0
        by_records = records / self.records_per_s if self.records_per_s else 0.0
        return max(by_bytes, by_records)

    @property
    def batch(self) -> tuple[int, int]:
        """Records and bytes to request at a time."""
        records = _MOST_RECORDS if self.records_per_s is None else int(self.records_per_s * SLICE_S)
        size = _MOST_BYTES if self.bytes_per_s is None else int(self.bytes_per_s * SLICE_S)
        return max(1, min(records, _MOST_RECORDS)), max(1, min(size, _MOST_BYTES))


@dataclass
class CopyPace:
    """When the next records may go, in seconds of whichever clock the caller uses."""

    rate: Rate
    free_at: float = 0.0

    def spend(self, now: float, records: int, size_bytes: int) -> float:
        """Count what was sent. Returns how long to wait before the next."""
        self.free_at = max(self.free_at, now) + self.rate.seconds(records, size_bytes)
        return self.free_at - now
