"""One Avro container file: the records of one partition, in the order of their offsets.

The file can be read with any Avro library: key, value, headers, timestamp, partition and offset of each record, as Kafka gave them. Blocks
are compressed with zstandard or deflate. Memory is bounded by the size of a block and of one record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asgard.core.errors import Failed
from asgard.kafka.data import Read
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
LEVELS: dict[Codec, int] = {"zstandard": 1, "deflate": 1}
_SPILL_BYTES = 256 * 1024


class _Sink:
    """What fastavro writes to: hashes everything and appends it to a file that is open only while it is written to."""

    def __init__(self, path: Path) -> None:
        self.path, self.bytes, self.sha256 = path, 0, hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.bytes += len(data)
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _SPILL_BYTES:
            self.spill()
        return len(data)

    def flush(self) -> None:
        """fastavro asks for it at each block; the file is written in larger pieces."""

    def spill(self) -> None:
        with self.path.open("ab") as file:
            file.writelines(self._pending)
        self._pending, self._pending_bytes = [], 0


class Container:
    """A file that is being written. `start` is the first offset that it covers, whether or not there is a record."""

    def __init__(self, path: Path, shard: Shard, start: int, codec: Codec, block_bytes: int) -> None:
        writer = _writer()
        self.shard, self.start, self.end = shard, start, start
        self.records = self.raw_bytes = 0
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self._sink = _Sink(path)
        about = {"asgard.topic": shard.topic, "asgard.topic_id": shard.topic_id}
        self._avro = writer(
            self._sink, SCHEMA, codec, sync_interval=block_bytes, metadata=about, compression_level=LEVELS[codec]
        )

    @property
    def path(self) -> Path:
        return self._sink.path

    @property
    def bytes(self) -> int:
        """What is compressed so far."""
        return self._sink.bytes

    def append(self, messages: list[Any]) -> None:
        """Add messages of confluent-kafka, all of this partition and in order."""
        write, raw, partition = self._avro.write, 0, self.shard.partition
        first, last = self.first_ms, self.last_ms
        for message in messages:
            key, value, headers, at = message.key(), message.value(), message.headers(), message.timestamp()[1]
            raw += (len(key) if key else 0) + (len(value) if value else 0)
            listed = []
            if headers:
                for name, content in headers:
                    listed.append({"name": name, "value": content})
                    raw += len(name) + (len(content) if content else 0)
            write(
                {
                    "partition": partition,
                    "offset": message.offset(),
                    "timestamp": at,
                    "key": key,
                    "value": value,
                    "headers": listed,
                }
            )
            if first is None or at < first:
                first = at
            if last is None or at > last:
                last = at
        self.first_ms, self.last_ms = first, last
        self.records += len(messages)
        self.raw_bytes += raw
        self.end = messages[-1].offset() + 1

    def finish(self, name: str, end: int, gaps: dict[Reason, int], at: float) -> File:
        """Write the last block; the file covers the offsets up to `end`."""
        self._avro.flush()
        self._sink.spill()
        return File(
            name,
            self.start,
            end,
            self.records,
            self._sink.bytes,
            self.raw_bytes,
            self._sink.sha256.hexdigest(),
            self.first_ms,
            self.last_ms,
            gaps,
            at,
        )

    def discard(self) -> None:
        """Drop it."""
        self.path.unlink(missing_ok=True)


def check(path: Path, name: str, file: File) -> None:
    """Compare a file with its manifest, byte by byte. Raises Damaged."""
    size = path.stat().st_size
    if size != file.bytes:
        raise Damaged(name, f"has {size} bytes, and its manifest says {file.bytes}")
    with path.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != file.sha256:
        raise Damaged(name, "is damaged: its SHA-256 is not the one that its manifest says")


def records(path: Path, topic: str, file: File) -> Iterator[Read]:
    """The records of a file that was checked. Raises Damaged where it holds others than its manifest says."""
    fastavro = _fastavro()
    count, before = 0, file.start - 1
    with path.open("rb") as content:
        try:
            for found in fastavro.reader(content):
                offset = found["offset"]
                if not before < offset < file.end:
                    raise Damaged(
                        file.name, f"has offset {offset} after {before}, and covers {file.start} to {file.end}"
                    )
                before = offset
                count += 1
                yield Read(
                    topic,
                    found["partition"],
                    offset,
                    found["timestamp"],
                    found["key"],
                    found["value"],
                    tuple((h["name"], h["value"]) for h in found["headers"]),
                )
        except (ValueError, EOFError, KeyError, IndexError, TypeError) as error:
            raise Damaged(file.name, f"can't be read: {error}") from error
    if count != file.records:
        raise Damaged(file.name, f"holds {count} records, and its manifest says {file.records}")


def _fastavro() -> Any:
    try:
        import fastavro
    except ImportError as error:
        raise Failed("archives need fastavro", "pip install 'asgard-kafka[archive]'") from error
    return fastavro


def _writer() -> Any:
    _fastavro()
    from fastavro.write import Writer

    return Writer
