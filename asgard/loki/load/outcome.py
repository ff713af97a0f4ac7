"""What a load's processes saw, added up: what the child hands to its parent. Pure. Microseconds and seconds as named."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asgard.loki.load.tally import Part

_KEEP_ROWS = 15


@dataclass
class Worker:
    """A process of the load. `lost`: it went silent at `lost_at_s`; what it had reported until then is in the totals.

    `cpu_s`: CPU time that it took, from its start to its end; None: not reported.
    """

    index: int
    host: str
    pid: int
    state: Literal["running", "done", "lost"] = "running"
    sent: int = 0
    read: int = 0
    cpu_s: float | None = None
    lost_at_s: float | None = None
    why: str = ""


@dataclass(frozen=True)
class Row:
    """One interval of the load, all groups together; latencies in seconds, None if nothing was measured."""

    at_s: float
    sent: int = 0
    acked: int = 0
    errors: int = 0
    read: int = 0
    lag: int | None = None
    p50_s: float | None = None
    p99_s: float | None = None
    p999_s: float | None = None
    max_s: float | None = None
    end_to_end_p50_s: float | None = None
    end_to_end_p99_s: float | None = None
    end_to_end_max_s: float | None = None


@dataclass(frozen=True)
class LoadOutcome:
    """All of it. `parts` by group (`producers/0`, …); `rows` each `row_s` long, the first begins at `began_us` (Unix time)."""

    began_us: int
    seconds: float
    row_s: float
    stopped: bool
    workers: list[Worker]
    parts: dict[str, Part]
    rows: list[Row]


def row(at_s: float, parts: dict[str, Part]) -> Row:
    """The row of those parts."""
    total = Part()
    lags = [part.lag for part in parts.values() if part.lag is not None]
    for part in parts.values():
        total.merge(part)
    latency, end_to_end = total.latency, total.end_to_end
    return Row(
        at_s=at_s,
        sent=total.sent,
        acked=total.acked,
        errors=total.failed + total.unknown,
        read=total.read,
        lag=sum(lags) if lags else None,
        p50_s=latency.quantile_s(0.5),
        p99_s=latency.quantile_s(0.99),
        p999_s=latency.quantile_s(0.999),
        max_s=latency.max_us / 1e6 if latency.counts else None,
        end_to_end_p50_s=end_to_end.quantile_s(0.5),
        end_to_end_p99_s=end_to_end.quantile_s(0.99),
        end_to_end_max_s=end_to_end.max_us / 1e6 if end_to_end.counts else None,
    )


@dataclass
class Rows:
    """Parts by interval, as they come in from workers; an old interval becomes a row, so that memory stays bounded."""

    totals: dict[str, Part] = field(default_factory=dict)
    row_s: float = 1.0
    _open: dict[int, dict[str, Part]] = field(default_factory=dict)
    _closed: dict[int, Row] = field(default_factory=dict)
    _lags: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, number: int, key: str, worker: str, part: Part) -> None:
        """Add what a worker saw of a group in interval `number`. If that is closed already, it goes into the oldest open one."""
        if part.lag is not None:
            self._lags[key, worker] = part.lag
            part.lag = sum(lag for (other, _), lag in self._lags.items() if other == key)
        self.totals.setdefault(key, Part()).merge(part)
        oldest = max(self._closed, default=-1) + 1
        self._open.setdefault(max(number, oldest), {}).setdefault(key, Part()).merge(part)
        for old in [n for n in self._open if n < number - _KEEP_ROWS]:
            self._close(old)

    def close(self) -> list[Row]:
        """All rows in order, including those of intervals in which nothing came."""
        for number in list(self._open):
            self._close(number)
        last = max(self._closed, default=-1)
        return [self._closed.get(n, Row(n * self.row_s)) for n in range(last + 1)]

    def _close(self, number: int) -> None:
        self._closed[number] = row(number * self.row_s, self._open.pop(number))
