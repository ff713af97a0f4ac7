"""The time of a record from the batches that a Fetch brought: the batch's head where that is enough, else its records."""

from __future__ import annotations

import struct
from typing import Any

from kafka.record import MemoryRecords

_HEAD = struct.Struct(">qiibIhiqq")
"""Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, base and max timestamp."""
_CONTROL, _LOG_APPEND_TIME = 0x20, 0x08


def first_timestamp(records: bytes, offset: int) -> int | None:
    """The timestamp (ms) of the first record at or after the offset; None where these bytes hold none."""
    at = 0
    while at + _HEAD.size <= len(records):
        base, length, _, magic, _, attributes, last, first_ms, newest_ms = _HEAD.unpack_from(records, at)
        end = at + 12 + length
        if magic == 2 and base + last >= offset and not attributes & _CONTROL:
            if attributes & _LOG_APPEND_TIME:
                return int(newest_ms)
            if base == offset or base > offset or first_ms == newest_ms:
                return int(first_ms)
            if end > len(records):
                return None
            found = _in_batch(records[at:end], offset)
            if found is not None:
                return found
        elif magic < 2:
            return _in_batch(records[at:end], offset)
        at = end
    return None


def _in_batch(batch: bytes, offset: int) -> int | None:
    records: Any = MemoryRecords(batch)
    while (found := records.next_batch()) is not None:
        for record in found:
            if record.offset >= offset:
                return int(record.timestamp)
    return None
