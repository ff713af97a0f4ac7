"""When were a cluster's users kept waiting? From the series of a load to stretches of time. Pure. Seconds from the start of the load.

Producers are kept waiting at a moment if a record due then waits for its acknowledgement for longer than `ALLOWED_S`; consumers,
if it takes longer than that to reach one. The load sends at a constant rate to all partitions, whatever happens to earlier records,
so no such moment goes unnoticed. One partition of twelve is enough: its writers are kept waiting.

Each row of the series has the longest wait of the records that were answered (or read) in it. That record waited from the row's time
minus its wait; the union of these stretches is the time in which some client waited, accurate to the length of a row at its ends.
A record without an answer waited until its producer gave up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asgard.loki.load.outcome import Row

ALLOWED_S = 1.0


@dataclass(frozen=True)
class Stretch:
    """From when to when."""

    from_s: float
    until_s: float

    @property
    def seconds(self) -> float:
        """How long."""
        return self.until_s - self.from_s


def producers_waited(rows: Iterable[Row], row_s: float, patience_s: float) -> list[Stretch]:
    """When producers were kept waiting. `patience_s`: how long until a record is given up."""
    return _union((row.at_s + row_s, max(row.max_s or 0.0, patience_s if row.errors else 0.0)) for row in rows)


def consumers_waited(rows: Iterable[Row], row_s: float) -> list[Stretch]:
    """When consumers were kept waiting."""
    return _union((row.at_s + row_s, row.end_to_end_max_s or 0.0) for row in rows)


def since(stretches: Iterable[Stretch], from_s: float) -> list[Stretch]:
    """The parts later than that: a group that is still forming keeps its readers waiting too, and that is not a fault."""
    return [Stretch(max(s.from_s, from_s), s.until_s) for s in stretches if s.until_s > from_s]


def within(stretches: Iterable[Stretch], from_s: float, until_s: float) -> float:
    """How many seconds of them lie between two times."""
    return sum(max(0.0, min(s.until_s, until_s) - max(s.from_s, from_s)) for s in stretches)


def _union(waits: Iterable[tuple[float, float]]) -> list[Stretch]:
    """Waits (given by end and length) that were too long, with overlapping ones merged."""
    spans = sorted((max(end_s - wait_s, 0.0), end_s) for end_s, wait_s in waits if wait_s > ALLOWED_S)
    found: list[Stretch] = []
    for from_s, until_s in spans:
        if found and from_s <= found[-1].until_s:
            found[-1] = Stretch(found[-1].from_s, max(found[-1].until_s, until_s))
        else:
            found.append(Stretch(from_s, until_s))
    return found
