"""Kafka's log segments on a broker's disk: what a replica holds, read from disk instead of over the network.

Reads the record batch format v2 (Kafka documentation, "Message Format"; KIP-98), which every Kafka since 1.0 writes:
compression, headers, transactional and control batches, checksums. kafka-python's `DefaultRecordBatch` reads the same
records, but not a torn file, and lz4, snappy and zstd only with three more packages
(`tests/unit/kafka_client/test_segments_compared.py`). The broker may be running or dead: a batch cut off by the end of
the file is not complete yet (or never will be), so reading stops before it. The metadata log has other content and is
not supported. Offsets and times are Kafka's own (times in ms, UTC).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

import google_crc32c

from asgard.core.errors import Failed

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
COMPRESSIONS: tuple[Compression, ...] = ("none", "gzip", "snappy", "lz4", "zstd")
_HEAD = struct.Struct(">qiibIhiqqqhii")
_BEFORE_LENGTH = 12
_CRC_ENDS = 21
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEAD = 16


class Damaged(Failed):
    """Bytes of a segment that a broker can't have written."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of a segment. `headers` in their order; a header's value may be null."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """A record batch: offsets `[base_offset, last_offset]`, some of which compaction may have removed.

    `producer_id` is -1 without idempotence. `control`: a transaction marker, not user records. Its records and checksum
    are read from the file when requested, which works while `batches` is still iterating.
    """

    base_offset: int
    last_offset: int
    leader_epoch: int
    compression: Compression
    transactional: bool
    control: bool
    base_timestamp_ms: int
    max_timestamp_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    count: int
    position: int
    size: int
    log_append_time: bool
    _crc: int = field(repr=False)
    _file: BinaryIO = field(repr=False)

    def body(self) -> bytes:
        """The records' bytes, decompressed. Raises Damaged."""
        data = os.pread(self._file.fileno(), self.size - _HEAD.size, self.position + _HEAD.size)
        try:
            return decompress(self.compression, data)
        except Exception as error:
            raise Damaged(
                f"the batch at offset {self.base_offset} can't be decompressed ({self.compression})"
            ) from error

    @property
    def intact(self) -> bool:
        """Whether the checksum matches."""
        covered = os.pread(self._file.fileno(), self.size - _CRC_ENDS, self.position + _CRC_ENDS)
        return int(google_crc32c.value(covered)) == self._crc

    @property
    def commits(self) -> bool | None:
        """Of a control batch: whether it commits (True) or aborts its transaction; None if it does neither."""
        if not self.control:
            return None
        key = next(iter(self.records())).key or b""
        kind = struct.unpack_from(">hh", key)[1] if len(key) >= 4 else -1
        return {0: False, 1: True}.get(kind)

    def records(self) -> Iterator[LogRecord]:
        """Its records. Raises Damaged if the bytes can't be parsed."""
        data, at = self.body(), 0
        try:
            for _ in range(self.count):
                length, at = varint(data, at)
                if length < 0 or at + length > len(data):
                    raise IndexError
                record, end = self._record(data, at)
                if end != at + length:
                    raise IndexError
                yield record
                at = end
            if at != len(data):
                raise IndexError
        except (IndexError, UnicodeDecodeError) as error:
            raise Damaged(f"the records of the batch at offset {self.base_offset} can't be read") from error

    def _record(self, data: bytes, at: int) -> tuple[LogRecord, int]:
        later_ms, at = varint(data, at + 1)
        delta, at = varint(data, at)
        key, at = _bytes(data, at)
        value, at = _bytes(data, at)
        count, at = varint(data, at)
        if count < 0:
            raise IndexError
        headers = []
        for _ in range(count):
            name, at = _bytes(data, at)
            content, at = _bytes(data, at)
            if name is None:
                raise IndexError
            headers.append((name.decode(), content))
        time_ms = self.max_timestamp_ms if self.log_append_time else self.base_timestamp_ms + later_ms
        return LogRecord(self.base_offset + delta, time_ms, key, value, tuple(headers)), at


def batches(segment: Path) -> Iterator[RecordBatch]:
    """The batches of a `.log` file up to the first incomplete one. Raises Damaged for a format older than v2.

    A file deleted in the meantime (retention) counts as empty.
    """
    try:
        file = segment.open("rb", buffering=1 << 16)
    except FileNotFoundError:
        return
    with file:
        position = 0
        while batch := _next(file, position, os.fstat(file.fileno()).st_size):
            yield batch
            position += batch.size


def _next(file: BinaryIO, position: int, end: int) -> RecordBatch | None:
    file.seek(position)
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    (base, length, epoch, magic, crc, attributes, last, first_ms, max_ms, producer, producer_epoch, sequence, count) = (
        _HEAD.unpack(head)
    )
    size = length + _BEFORE_LENGTH
    if length == 0 and base == 0 and magic == 0:
        return None  # preallocated space
    if magic != 2:
        raise Damaged(
            f"{file.name} has a batch of format {magic} at byte {position}",
            "Asgard reads format 2 (Kafka 1.0 and newer).",
        )
    if size < _HEAD.size or last < 0 or count < 0:
        raise Damaged(f"{file.name} is damaged at byte {position}")
    if position + size > end:
        return None
    kind = attributes & 7
    if kind >= len(COMPRESSIONS):
        raise Damaged(f"{file.name} has a batch of compression {kind} at byte {position}")
    return RecordBatch(
        base_offset=base,
        last_offset=base + last,
        leader_epoch=epoch,
        compression=COMPRESSIONS[kind],
        transactional=bool(attributes & 16),
        control=bool(attributes & 32),
        base_timestamp_ms=first_ms,
        max_timestamp_ms=max_ms,
        producer_id=producer,
        producer_epoch=producer_epoch,
        base_sequence=sequence,
        count=count,
        position=position,
        size=size,
        log_append_time=bool(attributes & 8),
        _crc=crc,
        _file=file,
    )


def decompress(compression: Compression, data: bytes) -> bytes:
    if compression == "none":
        return data
    if compression == "gzip":
        return zlib.decompress(data, wbits=31)
    import cramjam

    if compression == "lz4":
        return bytes(cramjam.lz4.decompress(data))
    if compression == "zstd":
        return bytes(cramjam.zstd.decompress(data))
    if not data.startswith(_XERIAL):
        return bytes(cramjam.snappy.decompress_raw(data))  # librdkafka's: one block without a frame
    blocks, at = [], _XERIAL_HEAD
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        blocks.append(bytes(cramjam.snappy.decompress_raw(data[at + 4 : at + 4 + length])))
        at += 4 + length
    return b"".join(blocks)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A zigzag varint (Protocol Buffers' encoding) and where it ends. Raises IndexError beyond the data."""
    byte = data[at]
    value, shift, at = byte & 0x7F, 7, at + 1
    while byte & 0x80:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
    return (value >> 1) ^ -(value & 1), at


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    length, at = varint(data, at)
    if length < 0:
        return None, at
    if at + length > len(data):
        raise IndexError
    return data[at : at + length], at + length


def segments(partition: Path, first: int = 0, last: int | None = None) -> list[Path]:
    """The `.log` files of a partition's directory that may hold offsets `[first, last]`, in order."""
    found = sorted((int(path.stem), path) for path in partition.glob("*.log") if path.stem.isdigit())
    ends = [base - 1 for base, _ in found[1:]] + [None]
    return [
        path
        for (base, path), end in zip(found, ends, strict=True)
        if (end is None or end >= first) and (last is None or base <= last)
    ]
