"""The check's memory: one byte for each record that was sent, and one number for each offset of a partition.

A record's number in its topic is its producer's first number plus its sequence (`Records`). A partition's log holds at each place
the number + 1 of the record that was read there, 0 for none (`Log`). Places are offsets counted from the lowest one known; if
foreign records in between would make this waste memory, they are ranks among the known offsets (`Places`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from asgard.loki.check.catalogue import Span
from asgard.loki.check.history import Ints

ACKED, FAILED, ABORTED, UNSETTLED, LOGGED, POLLED, ABORTED_READ, PASSED = (1 << bit for bit in range(8))
"""What is known about a record. UNSETTLED: its transaction did not end; LOGGED: the last read found it; POLLED: a consumer of the
load did; ABORTED_READ: it was read although it failed; PASSED: met already while walking through the logs."""
BETWEEN_READERS, WITH_SENDER, CORRUPTED = 1, 2, 4
"""What is wrong at an offset."""
_TABLE = 1 << 20
_SPARE = 1 << 20
Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32] | Ints


class Records:
    """The records of one topic: their numbers, and a byte of flags for each (`state`)."""

    def __init__(self, sent: Sequence[tuple[int, int]]) -> None:
        """`sent`: producers, ascending, with how many records each may have sent."""
        self.producers = np.array([producer for producer, _ in sent], np.int64)
        self._sizes = np.array([size for _, size in sent], np.int64)
        self.first = np.concatenate(([0], np.cumsum(self._sizes)))
        self.total = int(self.first[-1])
        self.state: Bytes = np.zeros(self.total, np.uint8)
        highest = int(self.producers[-1]) if len(sent) else -1
        self._table: Ints | None = None
        if 0 <= highest < _TABLE:
            self._table = np.full(highest + 1, -1, np.int64)
            self._table[self.producers] = np.arange(len(sent))

    def numbers(self, producers: Ints, sequences: Ints) -> tuple[Ints, Flags | None]:
        """The records' numbers, and which rows are known at all: None if all are, else only those have a number."""
        if not self.total:
            return np.empty(0, np.int64), np.zeros(len(producers), np.bool_)
        if self._table is not None:
            at = self._table[np.clip(producers, 0, len(self._table) - 1)]
        else:
            at = np.searchsorted(self.producers, producers).clip(0, len(self.producers) - 1)
        known = (self.producers[at] == producers) & (at >= 0) & (sequences >= 0) & (sequences < self._sizes[at])
        if known.all():
            return self.first[at] + sequences, None
        return self.first[at[known]] + sequences[known], known

    def of(self, producer: int) -> slice:
        """All the numbers of a producer."""
        at = int(np.searchsorted(self.producers, producer))
        return slice(int(self.first[at]), int(self.first[at + 1]))

    def name(self, number: int) -> tuple[int, int]:
        """The producer and sequence of a number."""
        at = int(np.searchsorted(self.first, number, "right")) - 1
        return int(self.producers[at]), number - int(self.first[at])


class Places:
    """Offsets of a partition as places from 0: distances from the lowest one, or ranks if `known` gives the offsets."""

    def __init__(self, span: Span, known: Ints | None = None) -> None:
        self._low = span.low
        self._known = known
        self.size = span.high - span.low + 1 if known is None else len(known)

    @staticmethod
    def wasteful(span: Span) -> bool:
        """Whether distances would take much more memory than there are rows."""
        return span.high - span.low + 1 > 4 * span.rows + _SPARE

    def of(self, offsets: Ints) -> Ints:
        """The places of the offsets in rows."""
        return offsets - self._low if self._known is None else np.searchsorted(self._known, offsets)

    def offset(self, place: int) -> int:
        """The offset at a place."""
        return self._low + place if self._known is None else int(self._known[place])


def ranked(parts: Iterable[Ints]) -> Ints:
    """The distinct offsets, ascending."""
    found = np.empty(0, np.int64)
    waiting: list[Ints] = []
    rows = 0
    for part in parts:
        waiting.append(part)
        rows += len(part)
        if rows > max(_SPARE, len(found)):
            found, waiting, rows = np.unique(np.concatenate((found, *waiting))), [], 0
    return np.unique(np.concatenate((found, *waiting)))


class Log:
    """A partition as its readers saw it: `records[place]` is a record's number + 1, 0 if none was read."""

    def __init__(self, places: Places, records: int) -> None:
        self.places = places
        self.records: Numbers
        if records < 2**32 - 1:
            self.records = np.zeros(places.size, np.uint32)
        else:
            self.records = np.zeros(places.size, np.int64)
        self._marks: Bytes | None = None

    def put(self, places: Ints, numbers: Ints) -> Flags:
        """Readers saw these records there; returns where a different one was seen before (which stays)."""
        wanted = numbers + 1
        here = self.records[places]
        empty = here == 0
        fresh = (places, wanted) if empty.all() else (places[empty], wanted[empty])
        # Backwards, so that the first of several rows at one place counts.
        self.records[fresh[0][::-1]] = fresh[1][::-1]
        return np.asarray(self.records[places] != wanted)

    def mark(self, places: Ints, what: int) -> Ints:
        """Note that something is wrong at these places; returns those where it was not yet known, each once."""
        if not len(places):
            return places
        if self._marks is None:
            self._marks = np.zeros(self.places.size, np.uint8)
        fresh: Ints = np.unique(places[self._marks[places] & what == 0])
        self._marks[fresh] |= what
        return fresh
