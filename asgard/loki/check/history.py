"""The history of a load, on disk: what its producers and consumers saw, small enough to keep for 100 million records.

A history is a directory of files `*.history`, each written by one process (`recorder`). A file is the magic bytes, then
frames: length (u32) and CRC-32C (u32) of the block that follows, little-endian; a block is one byte for its kind and a
MessagePack map. Frames are only ever appended, each in one write, so that a process may be killed at any instant: a torn
last frame is ignored, and a file without an `End` comes from a process that died. docs/loki-check.md has the format
for other languages. Numbers of records are stored as columns (`Column`), most of them in zero or one byte a record.

A record is named by topic, producer and sequence (kafka/stamp.py); times are microseconds since 1970 (UTC).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import google_crc32c
import msgspec
import numpy as np
import numpy.typing as npt

from asgard.core.errors import WrongUsage

MAGIC = b"ASGHIST\x01"
SUFFIX = ".history"
_HEAD = struct.Struct("<IIB")
NO_OFFSET = -1
"""The offset of an acknowledged record if the producer got none (acks=0)."""

Acks = Literal["0", "1", "all"]
Via = Literal["subscribe", "assign", "last-read"]
Isolation = Literal["read_committed", "read_uncommitted"]
Ending = Literal["begun", "committed", "aborted", "indeterminate"]
Ints: TypeAlias = npt.NDArray[np.int64]
_WIDTHS: tuple[type[np.signedinteger], ...] = (np.int8, np.int16, np.int32, np.int64)


class Column(msgspec.Struct, array_like=True, frozen=True):
    """`count` integers of 64 bits: `value[0] = first`, `value[i] = value[i-1] + step + residual[i-1]`.

    Residuals are signed little-endian numbers of `width` bytes (0, 1, 2, 4 or 8); width 0: all of them are 0.
    """

    first: int
    count: int
    step: int = 0
    width: int = 0
    residuals: memoryview = memoryview(b"")

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Column:
        """The column of one or more integers, in as few bytes as its residuals need."""
        array = np.asarray(values, np.int64)
        if len(array) < 2:
            return cls(int(array[0]), 1)
        deltas = np.diff(array)
        step = int(deltas[0])
        deltas -= step
        low, high = int(deltas.min()), int(deltas.max())
        if low == high == 0:
            return cls(int(array[0]), len(array), step)
        kind = next(kind for kind in _WIDTHS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
        packed = deltas.astype(np.dtype(kind).newbyteorder("<"))
        return cls(int(array[0]), len(array), step, packed.itemsize, memoryview(packed.tobytes()))

    def values(self) -> Ints:
        """The integers. Raises WrongUsage if the parts don't fit together."""
        if self.count < 1 or self.width not in (0, 1, 2, 4, 8) or len(self.residuals) != (self.count - 1) * self.width:
            raise WrongUsage(f"a column says {self.count} numbers and holds {len(self.residuals)} bytes")
        if self.width == 0:
            return self.first + self.step * np.arange(self.count, dtype=np.int64)
        found = np.empty(self.count, np.int64)
        found[0] = self.first
        found[1:] = np.frombuffer(self.residuals, f"<i{self.width}")
        found[1:] += self.step
        return np.cumsum(found, out=found)


class Start(msgspec.Struct, frozen=True):
    """First block of a file: the run that its records are stamped with, and which process writes."""

    run: bytes
    process: str
    at_us: int


class Producer(msgspec.Struct, frozen=True):
    """A producer and what it asked of Kafka. Its number is unique in the whole history."""

    producer: int
    acks: Acks
    idempotence: bool
    transactions: bool


class Consumer(msgspec.Struct, frozen=True):
    """A consumer. Its number is unique in its file. `last-read` is the reader that decides."""

    consumer: int
    via: Via
    group: str | None
    isolation: Isolation


class Sent(msgspec.Struct, frozen=True):
    """Records of the producer in the topic below this sequence were, or may have been, given to the client; the last one counts."""

    producer: int
    topic: str
    until: int


class Acked(msgspec.Struct, frozen=True):
    """Records that Kafka acknowledged, and the offsets it returned (`NO_OFFSET`: none)."""

    producer: int
    topic: str
    partition: int
    at_us: int
    sequences: Column
    offsets: Column


class Failed(msgspec.Struct, frozen=True):
    """Records that are known not to have been written: refused, or never sent."""

    producer: int
    topic: str
    at_us: int
    reason: str
    sequences: Column


class Indeterminate(msgspec.Struct, frozen=True):
    """Records whose outcome is unknown (time-outs). So is every sent record without another outcome."""

    producer: int
    topic: str
    at_us: int
    reason: str
    sequences: Column


class Transaction(msgspec.Struct, frozen=True):
    """A transaction began, or ended, over records `[first, until)` of each topic.

    `begun`: the ranges are empty and say where each topic was; a topic that is not named was at 0. One that never ended is
    indeterminate, as is one whose commit timed out.
    """

    producer: int
    outcome: Ending
    at_us: int
    ranges: dict[str, tuple[int, int]]


class Polled(msgspec.Struct, frozen=True):
    """Records that a consumer received, in order. `corrupted`: rows whose value does not match its checksum."""

    consumer: int
    topic: str
    partition: int
    at_us: int
    offsets: Column
    producers: Column
    sequences: Column
    corrupted: list[int] = []


class Foreign(msgspec.Struct, frozen=True):
    """How many records without a stamp of this run a consumer received."""

    consumer: int
    topic: str
    partition: int
    count: int


class Assigned(msgspec.Struct, frozen=True):
    """Partitions that a consumer got, by `assign` or in a rebalance of its group."""

    consumer: int
    at_us: int
    partitions: dict[str, list[int]]


class Revoked(msgspec.Struct, frozen=True):
    """Partitions that a consumer lost (or gave back)."""

    consumer: int
    at_us: int
    partitions: dict[str, list[int]]


class Bounds(msgspec.Struct, frozen=True):
    """What the last read covered of a partition: offsets `[start, end)`.

    `start` is the log start offset after reading: what was below may have been deleted by retention. `complete`: `end` is the end of the
    log, so that an acknowledged record at or beyond it is gone. `compacted`: the topic's cleanup policy names compaction.
    """

    topic: str
    partition: int
    start: int
    end: int
    complete: bool
    compacted: bool = False


class End(msgspec.Struct, frozen=True):
    """Last block of a file whose process exited cleanly."""

    at_us: int


Block: TypeAlias = (
    Start
    | Producer
    | Consumer
    | Sent
    | Acked
    | Failed
    | Indeterminate
    | Transaction
    | Polled
    | Foreign
    | Assigned
    | Revoked
    | Bounds
    | End
)
KINDS: tuple[type[Block], ...] = (
    Start,
    Producer,
    Consumer,
    Sent,
    Acked,
    Failed,
    Indeterminate,
    Transaction,
    Polled,
    Foreign,
    Assigned,
    Revoked,
    Bounds,
    End,
)
"""A block's kind byte is its position here, counted from 1."""
_NUMBER = {kind: number for number, kind in enumerate(KINDS, 1)}
_DECODERS = {number: msgspec.msgpack.Decoder(kind) for number, kind in enumerate(KINDS, 1)}
_ENCODER = msgspec.msgpack.Encoder()


def frame(block: Block) -> bytes:
    """The bytes to append for a block."""
    body = bytes((_NUMBER[type(block)],)) + _ENCODER.encode(block)
    return len(body).to_bytes(4, "little") + int(google_crc32c.value(body)).to_bytes(4, "little") + body


class HistorySource(Protocol):
    """Where the check reads a history from, several times over, one block in memory at a time."""

    @property
    def names(self) -> Sequence[str]:
        """What to call each file in a sentence."""
        ...

    def blocks(self, kinds: Sequence[type[Block]] = KINDS) -> Iterator[tuple[int, Block]]:
        """The blocks of those kinds, each with the number of its file; those of one file in their order."""
        ...


class HistoryFiles:
    """The files `*.history` of a directory. Raises WrongUsage if there is none, and for a damaged one.

    A frame cut off at the end of its file is what kill -9 leaves, and is skipped; `torn` names such files.
    """

    def __init__(self, directory: Path) -> None:
        self.paths = sorted(directory.glob(f"*{SUFFIX}"))
        if not self.paths:
            raise WrongUsage(f"{directory} holds no history (*{SUFFIX})")
        self._ends = [_whole_until(path) for path in self.paths]
        self.torn = tuple(p.name for p, end in zip(self.paths, self._ends, strict=True) if end < p.stat().st_size)

    @property
    def names(self) -> Sequence[str]:
        """The files' names."""
        return [path.name for path in self.paths]

    def blocks(self, kinds: Sequence[type[Block]] = KINDS) -> Iterator[tuple[int, Block]]:
        """The blocks of those kinds; kinds that this version does not know are skipped."""
        wanted = {_NUMBER[kind] for kind in kinds}
        for number, (path, end) in enumerate(zip(self.paths, self._ends, strict=True)):
            with path.open("rb", buffering=1 << 20) as file:
                at = file.seek(len(MAGIC))
                while at < end:
                    length, _, kind = _HEAD.unpack(file.read(_HEAD.size))
                    if kind in wanted:
                        yield number, _decode(path, kind, file.read(length - 1))
                    else:
                        file.seek(length - 1, os.SEEK_CUR)
                    at += length + _HEAD.size - 1


def _whole_until(path: Path) -> int:
    """Where the last whole frame ends. Raises WrongUsage if the file is not a history, or is damaged before its end."""
    size = path.stat().st_size
    with path.open("rb", buffering=1 << 20) as file:
        head = file.read(len(MAGIC))
        if head != MAGIC:
            version = f"version {head[-1]}" if head[:-1] == MAGIC[:-1] else "another format"
            raise WrongUsage(f"{path} is not a history that this Asgard reads ({version})", "It reads version 1.")
        at = len(MAGIC)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum, _ = _HEAD.unpack(head)
            after = at + length + _HEAD.size - 1
            if after > size:
                break
            if not length or int(google_crc32c.value(head[-1:] + file.read(length - 1))) != checksum:
                if after < size:
                    raise WrongUsage(f"{path} is damaged at byte {at}", "Was it copied while it was being written?")
                break
            at = after
    return at


def _decode(path: Path, kind: int, body: bytes) -> Block:
    try:
        return _DECODERS[kind].decode(body)
    except msgspec.MsgspecError as error:
        raise WrongUsage(f"{path}: a block of kind {kind} is invalid: {error}") from error
