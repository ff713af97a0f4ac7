"""One Avro container file: the records of one partition, in the order of their offsets.

The file can be read with any Avro library: key, value, headers, timestamp, partition and offset of each record, as Kafka gave them. Blocks
are compressed with zstandard or deflate. Memory is bounded by the size of a block and of one record.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from asgard.core.errors import Failed
from asgard.kafka.data import Read
from asgard.thor.archive.blocks import Block, compressor, decode, varint
from asgard.thor.archive.holes import Holes
from asgard.thor.archive.manifest import Damaged
from asgard.thor.archive.model import Codec, File, Reason, Shard

SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "Record",
    "namespace": "asgard.archive.v1",
    "doc": "A record of a Kafka topic.",
    "fields": [
        {"name": "partition", "type": "int"},
        {"name": "offset", "type": "long"},
        {"name": "timestamp", "type": "long", "doc": "milliseconds since 1970, UTC; -1: none"},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"]},
        {
            "name": "headers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Header",
                    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                },
            },
        },
    ],
}
Pieces = list[bytes]
_SPILL_BYTES = 256 * 1024
COMPRESSORS = 2
IN_FLIGHT = 6
"""Blocks (up to 1 MiB, or one record) being compressed or waiting to be written, across all containers."""


class _Sink:
    """Hashes what is written and appends it to a file, opened only for each write: thousands of them may be in progress at once."""

    def __init__(self, path: Path, spill_bytes: int) -> None:
        self.path, self.bytes, self.sha256 = path, 0, hashlib.sha256()
        self._spill_bytes = min(spill_bytes, _SPILL_BYTES)
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.bytes += len(data)
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= self._spill_bytes:
            self.spill()
        return len(data)

    def seekable(self) -> bool:
        """No: fastavro starts a new file."""
        return False

    def flush(self) -> None:
        """fastavro calls it at each block; the file is written in larger pieces."""

    def spill(self) -> None:
        with self.path.open("ab") as file:
            file.writelines(self._pending)
        self._pending, self._pending_bytes = [], 0


class Press:
    """Compresses blocks in parallel, and writes each container's blocks in order. At most `IN_FLIGHT` are in progress."""

    def __init__(self) -> None:
        self._compressing = ThreadPoolExecutor(COMPRESSORS, "archive-compressor")
        self._writing = ThreadPoolExecutor(1, "archive-writer")
        self._room = threading.Semaphore(IN_FLIGHT)

    def put(self, make: Callable[[], bytes], write: Callable[[bytes], object]) -> Future[None]:
        """Build a block and write it, after all those queued before. Waits for room."""
        self._room.acquire()
        made = self._compressing.submit(make)

        def written() -> None:
            try:
                write(made.result())
            finally:
                self._room.release()

        return self._writing.submit(written)


def _block(compress: Callable[[bytes], bytes], sync: bytes, count: int, parts: Pieces) -> bytes:
    data = compress(b"".join(parts))
    return b"".join((varint(count), varint(len(data)), data, sync))


class Container:
    """A file that is being written. `start` is the first offset it covers, with or without a record.

    `holes` collects the offsets without a record; the caller looks up why and counts them in `gaps`, by reason. With a `press`, blocks are
    compressed, hashed and written there while the next one is filled.
    """

    def __init__(
        self, path: Path, shard: Shard, start: int, codec: Codec, block_bytes: int, press: Press | None = None
    ) -> None:
        self.shard, self.start, self.end = shard, start, start
        self.holes, self.gaps = Holes(), dict[Reason, int]()
        self.records = self._raw_bytes = 0
        self.path = path
        self._sink, self._sync, self._compress = _Sink(path, block_bytes), os.urandom(16), compressor(codec)
        self._block, self._block_bytes = Block(shard.partition), block_bytes
        self._press = press
        self._writing: deque[tuple[Future[None], int]] = deque()
        about = {"asgard.topic": shard.topic, "asgard.topic_id": shard.topic_id}
        _writer()(self._sink, SCHEMA, codec, metadata=about, sync_marker=self._sync)

    def reaches(self, size_bytes: int) -> bool:
        """Whether the file has reached this size. Waits for blocks being written only if they could make the difference."""
        if self._sink.bytes + sum(size for _, size in self._writing) < size_bytes:
            return False
        self._settle()
        return self._sink.bytes >= size_bytes

    def append(self, messages: list[Any]) -> None:
        """Add confluent-kafka messages, all of this partition and in order."""
        block, at = self._block, 0
        in_a_row = messages[-1].offset() + 1 - self.end == len(messages)
        if not in_a_row:
            self.holes.note(self.end, [m.offset() for m in messages])
        some = messages[:: len(messages) // 64 + 1]
        each = max(1, sum(map(len, some)) // len(some) + 16)
        while at < len(messages):
            few = messages[at : at + max(1, (self._block_bytes - block.bytes) // each)]
            block.add(few, in_a_row=in_a_row)
            at += len(few)
            if block.bytes + each > self._block_bytes:
                self._close_block()
        self.records += len(messages)
        self.end = messages[-1].offset() + 1

    def _close_block(self) -> None:
        self._raw_bytes += self._block.raw
        size = self._block.bytes
        count, parts = self._block.take()
        make = partial(_block, self._compress, self._sync, count, parts)
        if self._press is None:
            self._sink.write(make())
            return
        while self._writing and self._writing[0][0].done():
            self._writing.popleft()[0].result()
        self._writing.append((self._press.put(make, self._sink.write), size))

    def _settle(self) -> None:
        """Wait for the blocks that are being written; raises their errors."""
        while self._writing:
            self._writing.popleft()[0].result()

    def finish(self, name: str, end: int, at: float) -> File:
        """Write the last block; the file covers the offsets up to `end`. By then `gaps` must say why some have no record."""
        if self._block.count:
            self._close_block()
        self._settle()
        self._sink.spill()
        return File(
            name,
            self.start,
            end,
            self.records,
            self._sink.bytes,
            self._raw_bytes,
            self._sink.sha256.hexdigest(),
            self._block.first_ms,
            self._block.last_ms,
            self.gaps,
            at,
            self._block.largest,
        )

    def discard(self) -> None:
        """Discard the file."""
        for writing, _ in self._writing:
            with contextlib.suppress(Exception):
                writing.result()
        self.path.unlink(missing_ok=True)


def check(path: Path, name: str, file: File) -> None:
    """Compare a file with its manifest, byte by byte. Raises Damaged."""
    size = path.stat().st_size
    if size != file.bytes:
        raise Damaged(name, f"has {size} bytes, and its manifest says {file.bytes}")
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        raise Damaged(name, "is damaged: its SHA-256 is not the one in its manifest")


def blocks(path: Path, topic: str, file: File) -> Iterator[list[Read]]:
    """The records of a file that was checked, block by block. Raises Damaged if they differ from its manifest."""
    fastavro, canonical = _fastavro(), _canonical()
    count, before = 0, file.start - 1
    with path.open("rb") as content, ThreadPoolExecutor(1, "archive-reader") as reader:
        try:
            found = fastavro.block_reader(content)
            if canonical(found.writer_schema) != canonical(SCHEMA):
                raise ValueError("its schema is not that of an archive")
            ahead: Future[tuple[bytes, int] | None] = reader.submit(_next, found)
            while (block := ahead.result()) is not None:
                # The next block is read and decompressed while this one is decoded.
                ahead = reader.submit(_next, found)
                records = decode(*block, topic)
                for record in records:
                    offset = record[2]
                    if not before < offset < file.end:
                        raise Damaged(
                            file.name, f"has offset {offset} after {before}, and covers {file.start} to {file.end}"
                        )
                    before = offset
                count += len(records)
                yield records
        except (ValueError, EOFError, KeyError, IndexError, TypeError) as error:
            raise Damaged(file.name, f"can't be read: {error}") from error
    if count != file.records:
        raise Damaged(file.name, f"holds {count} records, and its manifest says {file.records}")


def _next(blocks: Iterator[Any]) -> tuple[bytes, int] | None:
    block = next(blocks, None)
    return None if block is None else (block.bytes_.getvalue(), block.num_records)


def _fastavro() -> Any:
    try:
        import fastavro
    except ImportError as error:
        raise Failed("archives need fastavro", "pip install 'asgard-kafka[archive]'") from error
    return fastavro


def _canonical() -> Any:
    from fastavro.schema import to_parsing_canonical_form

    return to_parsing_canonical_form


def _writer() -> Any:
    _fastavro()
    from fastavro.write import Writer

    return Writer
