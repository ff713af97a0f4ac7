"""The time of a record from the batches in a Fetch response: from the batch's header if that is enough, else from its
records."""

from __future__ import annotations

import struct

from asgard.kafka.model import BatchHead
from asgard.kafka.segments import COMPRESSIONS, decompress, varint

_HEAD = struct.Struct(">qiibIhiqqqhii")
_LENGTH_FROM = 12
_COMPRESSION, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20


def first_timestamp(records: bytes, offset: int) -> int | None:
    """The timestamp (ms) of the first record at or after the offset; None if these bytes hold none.

    Batches of format 2 (Kafka 0.11 and newer). Their markers of transactions are not records.
    """
    at = 0
    while at + _HEAD.size <= len(records):
        base, length, _, magic, _, attributes, last, first_ms, newest_ms, _, _, _, count = _HEAD.unpack_from(
            records, at
        )
        end = at + _LENGTH_FROM + length
        if magic != 2:
            return None
        if base + last >= offset and count and not attributes & _CONTROL:
            if attributes & _LOG_APPEND_TIME:
                return int(newest_ms)
            if first_ms == newest_ms:
                return int(first_ms)
            if end > len(records):
                return None
            compression = COMPRESSIONS[attributes & _COMPRESSION]
            body = decompress(compression, bytes(records[at + _HEAD.size : end]))
            delta_ms = _delta(body, count, offset - base)
            if delta_ms is not None:
                return int(first_ms) + delta_ms
        at = end
    return None


def end_of(records: bytes) -> int:
    """The offset after the last whole batch; -1 if there is none."""
    at, found = 0, -1
    while at + _HEAD.size <= len(records):
        base, length, _, magic, _, _, last, *_ = _HEAD.unpack_from(records, at)
        at += _LENGTH_FROM + length
        if magic != 2 or at > len(records):
            break
        found = base + last + 1
    return found


def signs(records: bytes) -> tuple[bool, bool]:
    """Whether these batches are transactional, and whether one begins before the newest time of those ahead of it."""
    at, newest, transactional, out_of_order = 0, -1, False, False
    while at + _HEAD.size <= len(records):
        _, length, _, magic, _, attributes, _, first_ms, newest_ms, *_ = _HEAD.unpack_from(records, at)
        if magic != 2:
            break
        transactional = transactional or bool(attributes & (_TRANSACTIONAL | _CONTROL))
        if not attributes & (_LOG_APPEND_TIME | _CONTROL):
            out_of_order = out_of_order or first_ms < newest
            newest = max(newest, newest_ms)
        at += _LENGTH_FROM + length
    return transactional, out_of_order


def heads(records: bytes) -> list[BatchHead]:
    """The headers of these batches; the last batch may be incomplete."""
    at, found = 0, []
    while at + _HEAD.size <= len(records):
        first, length, _, magic, _, attributes, last, _, _, _, _, _, count = _HEAD.unpack_from(records, at)
        if magic != 2:
            break
        transactional, control = bool(attributes & _TRANSACTIONAL), bool(attributes & _CONTROL)
        found.append(BatchHead(first, first + last, count, transactional, control))
        at += _LENGTH_FROM + length
    return found


def _delta(body: bytes, count: int, offset_delta: int) -> int | None:
    """By how many ms the first record at or after the offset is newer than the batch's first; None: compaction left none."""
    at = 0
    for _ in range(count):
        length, begin = varint(body, at)
        later_ms, inside = varint(body, begin + 1)
        delta, _ = varint(body, inside)
        if delta >= offset_delta:
            return later_ms
        at = begin + length
    return None
