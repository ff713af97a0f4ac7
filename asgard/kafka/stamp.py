"""The record header `asgard`: the record's sender, its sequence number, when it was meant to be sent, and the checksum of its value.

Loki's check and Heimdall's audit count with it: gaps in `sequence` are lost records, repeats are duplicates, a
mismatched checksum is damage, and broker time minus `intended_us` is the delay that coordinated omission would hide.
The layout is fixed and documented for other languages in docs/record-header.md. CRC-32C comes from google-crc32c (RFC
3720's polynomial, the processor's instruction): 0.2 µs for 1 KiB, where a table in Python takes 90 µs
(tests/benchmarks/bench_crc32c.py).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import google_crc32c

HEADER = "asgard"
VERSION = 1
_LAYOUT = struct.Struct(">B16sIQQI")
_CRC_GIVEN = struct.Struct(">B16sIQQ4s")
SIZE = _LAYOUT.size


class InvalidStamp(ValueError):
    """Bytes that are not a stamp, or numbers that don't fit."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """`run` is 16 bytes that name the run, `producer` and `sequence` count from 0, `intended_us` is Unix time in µs (UTC)."""

    version: int
    run: bytes
    producer: int
    sequence: int
    intended_us: int
    crc32c: int

    def matches(self, value: bytes | None) -> bool:
        """Whether the value is the stamped one; a null value counts as empty."""
        return checksum(value) == self.crc32c


def checksum(value: bytes | None) -> int:
    """CRC-32C of a value; 0 for an empty or null one."""
    return int(google_crc32c.value(value)) if value else 0


def make(run: bytes, producer: int, sequence: int, intended_us: int, value: bytes | None) -> bytes:
    """The header's bytes for a value. Raises InvalidStamp if a number does not fit."""
    return encode(Stamp(VERSION, run, producer, sequence, intended_us, checksum(value)))


def stamper(run: bytes, producer: int) -> Callable[[int, int, bytes], bytes]:
    """`make` for many records of one producer: from sequence, intended send time and the checksum's 4 bytes (big-endian).

    Only the run and the producer are checked; struct.error if a number does not fit.
    """
    encode(Stamp(VERSION, run, producer, 0, 0, 0))
    return partial(_CRC_GIVEN.pack, VERSION, run, producer)


def encode(stamp: Stamp) -> bytes:
    """The header's bytes. Raises InvalidStamp if a number does not fit."""
    if stamp.version != VERSION:
        raise InvalidStamp(f"can't write a stamp of version {stamp.version}; this Asgard writes version {VERSION}")
    if len(stamp.run) != 16:
        raise InvalidStamp(f"the run of a stamp has 16 bytes, not {len(stamp.run)}")
    try:
        return _LAYOUT.pack(stamp.version, stamp.run, stamp.producer, stamp.sequence, stamp.intended_us, stamp.crc32c)
    except struct.error as error:
        raise InvalidStamp(
            f"a number does not fit into the stamp: producer {stamp.producer} and crc32c {stamp.crc32c} are 32 bits, "
            f"sequence {stamp.sequence} and intended_us {stamp.intended_us} are 64, none is negative"
        ) from error


def decode(header: bytes) -> Stamp:
    """The stamp of a header's bytes. Raises InvalidStamp."""
    if not header:
        raise InvalidStamp("the stamp is empty")
    if header[0] != VERSION:
        raise InvalidStamp(f"the stamp has version {header[0]}; this Asgard reads version {VERSION}")
    if len(header) != SIZE:
        raise InvalidStamp(f"a stamp of version {VERSION} has {SIZE} bytes, not {len(header)}")
    return Stamp(*_LAYOUT.unpack(header))


def find(headers: Iterable[tuple[str, bytes | None]] | None) -> Stamp | None:
    """The stamp among a record's headers, None if there is none; the last one counts. Raises InvalidStamp."""
    found = [value for name, value in headers or () if name == HEADER]
    return decode(found[-1] or b"") if found else None
