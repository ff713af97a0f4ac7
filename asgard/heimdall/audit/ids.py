"""Sets of records, by the sequences of their stamps: a bit for each, so that losses and duplicates are counted exactly.

A record is named by run, producer and sequence. Sequences are kept in chunks of 8,192 bits (1 KiB); a chunk exists if at least
one of its records was seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

CHUNK_BITS = 8192
_SHIFT = 13
Bits = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Who = tuple[bytes, int]
"""Run (16 bytes) and producer."""


@dataclass
class Ids:
    """A set. `dirty`: the chunks that changed since they were last stored."""

    chunks: dict[tuple[Who, int], Bits] = field(default_factory=dict)
    dirty: set[tuple[Who, int]] = field(default_factory=set)

    def add(self, who: Who, sequences: Ints) -> int:
        """Add records of one producer; returns how many were there already, or duplicated among these."""
        unique = np.unique(sequences)
        doubled = len(sequences) - len(unique)
        numbers = unique >> _SHIFT
        if numbers[0] == numbers[-1]:
            return doubled + self._mark(who, int(numbers[0]), unique)
        for part in np.split(unique, np.flatnonzero(np.diff(numbers)) + 1):
            doubled += self._mark(who, int(part[0]) >> _SHIFT, part)
        return doubled

    def _mark(self, who: Who, number: int, sequences: Ints) -> int:
        flags = np.zeros(CHUNK_BITS, np.uint8)
        flags[sequences & (CHUNK_BITS - 1)] = 1
        new = np.packbits(flags)
        self.dirty.add((who, number))
        there = self.chunks.get((who, number))
        if there is None:
            self.chunks[who, number] = new
            return 0
        doubled = _count(there & new)
        there |= new
        return doubled

    def __len__(self) -> int:
        return sum(_count(bits) for bits in self.chunks.values())

    def missing_in(self, others: Iterable[Ids]) -> int:
        """How many of these are in none of the others."""
        given = list(others)
        return sum(_count(_without(bits, *key, given)) for key, bits in self.chunks.items())

    def without(self, others: Iterable[Ids]) -> Ids:
        """Those of these that are in none of the others, all marked to be stored."""
        given = list(others)
        left = {key: _without(bits, *key, given) for key, bits in self.chunks.items()}
        kept = {key: bits for key, bits in left.items() if bits.any()}
        return Ids(kept, set(kept))

    def discard(self, who: Who, sequences: Ints) -> int:
        """Remove records of one producer; returns how many of them were there."""
        taken = 0
        for number in np.unique(sequences >> _SHIFT).tolist():
            there = self.chunks.get((who, number))
            if there is None:
                continue
            flags = np.zeros(CHUNK_BITS, np.uint8)
            flags[sequences[sequences >> _SHIFT == number] & (CHUNK_BITS - 1)] = 1
            found = there & np.packbits(flags)
            if count := _count(found):
                self.chunks[who, number] = there & ~found
                self.dirty.add((who, number))
                taken += count
        return taken

    def found_nowhere_in(self, others: Iterable[Ids], most: int) -> list[tuple[Who, int]]:
        """The first of these that are in none of the others, as examples."""
        found: list[tuple[Who, int]] = []
        others = list(others)
        for (who, number), bits in sorted(self.chunks.items()):
            left = _without(bits, who, number, others)
            places = np.flatnonzero(np.unpackbits(left)).tolist() if left.any() else []
            found += [(who, number * CHUNK_BITS + place) for place in places[: most - len(found)]]
            if len(found) >= most:
                break
        return found

    def spans(self) -> dict[Who, tuple[int, int]]:
        """By producer the lowest and the highest sequence."""
        found: dict[Who, tuple[int, int]] = {}
        for (who, number), bits in self.chunks.items():
            places = np.flatnonzero(np.unpackbits(bits))
            low, high = number * CHUNK_BITS + int(places[0]), number * CHUNK_BITS + int(places[-1])
            before = found.get(who)
            found[who] = (min(low, before[0]), max(high, before[1])) if before else (low, high)
        return found

    def count_between(self, who: Who, low: int, high: int) -> int:
        """How many sequences of a producer from `low` to `high` (both included) are there."""
        found = 0
        for number in range(low >> _SHIFT, (high >> _SHIFT) + 1):
            bits = self.chunks.get((who, number))
            if bits is not None:
                flags = np.unpackbits(bits)
                first = number * CHUNK_BITS
                found += int(flags[max(low - first, 0) : high - first + 1].sum())
        return found

    def items(self) -> Iterator[tuple[Who, int, bytes]]:
        """The chunks as bytes."""
        for (who, number), bits in self.chunks.items():
            yield who, number, bits.tobytes()

    def put(self, who: Who, number: int, bits: bytes) -> None:
        """A chunk from the store."""
        self.chunks[who, number] = np.frombuffer(bits, np.uint8).copy()


def _without(bits: Bits, who: Who, number: int, others: list[Ids]) -> Bits:
    left = bits
    for other in others:
        there = other.chunks.get((who, number))
        if there is not None:
            left = left & ~there
    return left


def _count(bits: Bits) -> int:
    return int(np.bitwise_count(bits).sum())
