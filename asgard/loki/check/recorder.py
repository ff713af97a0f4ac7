"""Writes the history of one process of a load (format: `history`), at hundreds of thousands of records a second.

    with Recorder(directory / f"worker-3{SUFFIX}", run, process="worker 3") as recorder:
        sends = recorder.producer(3, acks="all", idempotence=True)
        first = sends.take("orders", 500)                  # sequences first … first+499, to be stamped and sent
        sends.acked("orders", partition, sequence, offset)  # from the delivery callback; or failed(), indeterminate()
        polls = recorder.consumer(0, via="subscribe", group="g")
        polls.assigned([("orders", 0)])                     # from on_assign; revoked() from on_revoke
        stamps = polls.polled(consumer.consume(500))        # records them, and gives their stamps as an array
        recorder.flush()                                    # about once a second

A call for one record costs a few appends; numbers are packed when 65,536 of them wait or `flush` is called. What was flushed
survives kill -9 of the process (not a crash of the machine: nothing is synced). What was not does no harm: a send whose
acknowledgement was not written counts as indeterminate. Only one thread (or its greenlets) calls the methods of a recorder.
"""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from asgard.core.errors import Failed as CommandFailed
from asgard.kafka import stamp
from asgard.kafka.stamps import NO_STAMP, STAMP
from asgard.loki.check.history import (
    MAGIC,
    NO_OFFSET,
    Acked,
    Acks,
    Assigned,
    Block,
    Bounds,
    Column,
    Consumer,
    End,
    Ending,
    Failed,
    Foreign,
    Indeterminate,
    Isolation,
    Polled,
    Producer,
    Revoked,
    Sent,
    Start,
    Transaction,
    Via,
    frame,
)

ROWS = 65_536
_RESERVED = 8192
_HIGHEST = 1 << 62
Stamps = npt.NDArray[np.void]


def now_us() -> int:
    """Unix time in µs."""
    return time.time_ns() // 1000


class Recorder:
    """One file of a history, written from its beginning. A context manager that closes it cleanly.

    `run` is the 16 bytes that this load stamps its records with. Raises Failed if the file exists or can't be written.
    """

    def __init__(self, path: Path, run: bytes, *, process: str = "", clock: Callable[[], int] = now_us) -> None:
        self.path = path
        self.run = run
        self.clock = clock
        self._logs: list[ProducerLog | ConsumerLog] = []
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CommandFailed(f"can't write the history {path}: {error.strerror}") from error
        self._append(MAGIC + frame(Start(run, process, clock())))

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self.flush()
            os.close(self._file)

    def producer(self, number: int, *, acks: Acks, idempotence: bool, transactions: bool = False) -> ProducerLog:
        """The log of a producer. Its number is what it stamps, and unique in the whole history."""
        self.write(Producer(number, acks, idempotence, transactions))
        log = ProducerLog(self, number)
        self._logs.append(log)
        return log

    def consumer(
        self, number: int, *, via: Via, group: str | None = None, isolation: Isolation = "read_committed"
    ) -> ConsumerLog:
        """The log of a consumer. A restarted consumer is a new one, with a new number in this file."""
        self.write(Consumer(number, via, group, isolation))
        log = ConsumerLog(self, number)
        self._logs.append(log)
        return log

    def bounds(self, bounds: Bounds) -> None:
        """What the last read covered of a partition."""
        self.write(bounds)

    def flush(self) -> None:
        """Write what is buffered. It then survives a kill of this process."""
        for log in self._logs:
            log.flush()

    def close(self) -> None:
        """Write everything, and that this process exited cleanly."""
        self.flush()
        for log in self._logs:
            log.close()
        self.write(End(self.clock()))
        os.close(self._file)

    def write(self, block: Block) -> None:
        """Append one block."""
        self._append(frame(block))

    def _append(self, data: bytes) -> None:
        try:
            written = os.write(self._file, data)
        except OSError as error:
            raise CommandFailed(f"can't write the history {self.path}: {error.strerror}") from error
        if written != len(data):
            raise CommandFailed(f"the history {self.path} could be written only in part", "Is the disk full?")


class ProducerLog:
    """The outcomes of one producer's sends. Sequences count from 0 in each topic."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self.number = number
        self.run = recorder.run
        self._recorder = recorder
        self._next: dict[str, int] = {}
        self._reserved: dict[str, int] = {}
        self._before: dict[str, int] | None = None
        self._slots: dict[tuple[str, int], int] = {}
        self._acked = (array("q"), array("q"), array("q"))  # slot, sequence, offset
        self._other: dict[tuple[type[Failed] | type[Indeterminate], str, str], array[int]] = {}

    def take(self, topic: str, count: int = 1) -> int:
        """The first of `count` sequences to stamp and send now."""
        first = self._next.get(topic, 0)
        self._next[topic] = after = first + count
        if after > self._reserved.get(topic, 0):
            self._reserved[topic] = after + _RESERVED
            self._recorder.write(Sent(self.number, topic, after + _RESERVED))
        return first

    def acked(self, topic: str, partition: int, sequence: int, offset: int | None) -> None:
        """Kafka acknowledged the record. `offset` None or negative: it returned none (acks=0)."""
        slots, sequences, offsets = self._acked
        try:
            slots.append(self._slots[topic, partition])
        except KeyError:
            slots.append(self._slots.setdefault((topic, partition), len(self._slots)))
        sequences.append(sequence)
        offsets.append(NO_OFFSET if offset is None or offset < 0 else offset)
        if len(slots) >= ROWS:
            self.flush()

    def acked_many(self, topic: str, partition: int, sequences: npt.ArrayLike, offsets: npt.ArrayLike) -> None:
        """The same for many records of one partition, in any order; written at once."""
        values = np.maximum(np.asarray(offsets, np.int64), NO_OFFSET)
        if len(values):
            block = Acked(
                self.number, topic, partition, self._recorder.clock(), Column.of(sequences), Column.of(values)
            )
            self._recorder.write(block)

    def failed(self, topic: str, sequence: int, reason: str) -> None:
        """The record is known not to be in Kafka: refused, or never sent. A time-out does not count (`outcome`)."""
        self._note(Failed, topic, sequence, reason)

    def indeterminate(self, topic: str, sequence: int, reason: str) -> None:
        """Unknown: the acknowledgement did not come in time."""
        self._note(Indeterminate, topic, sequence, reason)

    def _note(self, kind: type[Failed] | type[Indeterminate], topic: str, sequence: int, reason: str) -> None:
        waiting = self._other.setdefault((kind, topic, reason), array("q"))
        waiting.append(sequence)
        if len(waiting) >= ROWS:
            self.flush()

    def begin(self) -> None:
        """A transaction begins with the next sequence of each topic."""
        self._before = dict(self._next)
        self._transaction("begun", {topic: (number, number) for topic, number in self._before.items()})

    def commit(self) -> None:
        """The transaction is committed: Kafka said so."""
        self._ended("committed")

    def abort(self) -> None:
        """The transaction is aborted: Kafka said so."""
        self._ended("aborted")

    def unsettled(self) -> None:
        """The answer to a commit did not come."""
        self._ended("indeterminate")

    def _ended(self, outcome: Ending) -> None:
        self.flush()  # so that a transaction that is known as committed has its acknowledgements in the file
        before, self._before = self._before or {}, None
        ranges = {topic: (before.get(topic, 0), until) for topic, until in self._next.items()}
        self._transaction(outcome, {topic: span for topic, span in ranges.items() if span[0] < span[1]})

    def _transaction(self, outcome: Ending, ranges: Mapping[str, tuple[int, int]]) -> None:
        self._recorder.write(Transaction(self.number, outcome, self._recorder.clock(), dict(ranges)))

    def flush(self) -> None:
        """Write what is buffered."""
        now = self._recorder.clock()
        slots, sequences, offsets = (np.array(column, np.int64) for column in self._acked)
        for column in self._acked:
            del column[:]
        for (topic, partition), rows in _by_slot(slots, self._slots):
            of_it = (Column.of(sequences[rows]), Column.of(offsets[rows]))
            self._recorder.write(Acked(self.number, topic, partition, now, *of_it))
        for (kind, topic, reason), waiting in self._other.items():
            self._recorder.write(kind(self.number, topic, now, reason, Column.of(waiting)))
        self._other.clear()

    def close(self) -> None:
        """Write how many were actually sent."""
        for topic, until in self._next.items():
            self._recorder.write(Sent(self.number, topic, until))


class ConsumerLog:
    """What one consumer received, in order."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self.number = number
        self._recorder = recorder
        self._slots: dict[tuple[str, int], int] = {}
        self._slot, self._offset, self._checksum = array("q"), array("q"), array("Q")
        self._stamps = bytearray()

    def polled(self, messages: Iterable[Any]) -> Stamps:
        """Record what confluent-kafka's `consume` returned; messages with an error are skipped.

        Returns the stamps of the others in order (fields of `STAMP`; version 0 where a record has none), for latencies.
        """
        before = len(self._slot)
        for message in messages:
            if message.error() is not None:
                continue
            found = NO_STAMP
            for name, data in message.headers() or ():
                if name == stamp.HEADER:
                    found = data
            value = message.value()
            where = (message.topic(), message.partition())
            self._add(where, message.offset(), found or b"", google_crc32c.value(value) if value else 0)
        return self._taken(before)

    def read(self, topic: str, partition: int, offset: int, header: bytes | None, value: bytes | None) -> None:
        """One record, with the bytes of its header `asgard` (None: it has none)."""
        self._add((topic, partition), offset, header or NO_STAMP, google_crc32c.value(value) if value else 0)
        if len(self._slot) >= ROWS:
            self.flush()

    def _add(self, where: tuple[str, int], offset: int, header: bytes, checksum: int) -> None:
        try:
            self._slot.append(self._slots[where])
        except KeyError:
            self._slot.append(self._slots.setdefault(where, len(self._slots)))
        self._offset.append(offset)
        self._checksum.append(checksum)
        self._stamps += header if len(header) == stamp.SIZE else NO_STAMP

    def _taken(self, before: int) -> Stamps:
        found = np.frombuffer(bytes(self._stamps[before * stamp.SIZE :]), STAMP)
        if len(self._slot) >= ROWS:
            self.flush()
        return found

    def polled_many(
        self,
        topic: str,
        partition: int,
        offsets: npt.ArrayLike,
        producers: npt.ArrayLike,
        sequences: npt.ArrayLike,
        corrupted: Sequence[int] = (),
    ) -> None:
        """Many records of one partition in their order, stamps read by the caller; written at once, after what is buffered."""
        self.flush()
        if len(np.asarray(offsets)):
            columns = (Column.of(offsets), Column.of(producers), Column.of(sequences))
            at_us = self._recorder.clock()
            self._recorder.write(Polled(self.number, topic, partition, at_us, *columns, list(corrupted)))

    def assigned(self, partitions: Iterable[tuple[str, int]]) -> None:
        """The consumer got these partitions: by `assign`, or in a rebalance (those that are new to it)."""
        self.flush()
        self._recorder.write(Assigned(self.number, self._recorder.clock(), _by_topic(partitions)))

    def revoked(self, partitions: Iterable[tuple[str, int]]) -> None:
        """The consumer gave these partitions back, or lost them."""
        self.flush()
        self._recorder.write(Revoked(self.number, self._recorder.clock(), _by_topic(partitions)))

    def flush(self) -> None:
        """Write what is buffered."""
        now = self._recorder.clock()
        stamps = np.frombuffer(bytes(self._stamps), STAMP)
        slots, offsets = np.array(self._slot, np.int64), np.array(self._offset, np.int64)
        intact = stamps["crc32c"] == np.array(self._checksum, np.uint64)
        del self._slot[:], self._offset[:], self._checksum[:], self._stamps[:]
        ours = (stamps["version"] == stamp.VERSION) & (stamps["run"] == np.void(self._recorder.run))
        ours &= stamps["sequence"] < _HIGHEST
        for (topic, partition), rows in _by_slot(slots, self._slots):
            mine = rows[ours[rows]]
            if len(mine) < len(rows):
                self._recorder.write(Foreign(self.number, topic, partition, len(rows) - len(mine)))
            if len(mine):
                producers, sequences = Column.of(stamps["producer"][mine]), Column.of(stamps["sequence"][mine])
                columns = (Column.of(offsets[mine]), producers, sequences)
                corrupted = np.flatnonzero(~intact[mine]).tolist()
                self._recorder.write(Polled(self.number, topic, partition, now, *columns, corrupted))

    def close(self) -> None:
        """Nothing left to write."""


def _by_slot(
    slots: npt.NDArray[np.int64], names: Mapping[tuple[str, int], int]
) -> Iterable[tuple[tuple[str, int], npt.NDArray[np.int64]]]:
    """The rows of each topic and partition, in their order."""
    if not len(slots):
        return
    order = np.argsort(slots, kind="stable")
    name = list(names)
    starts = np.flatnonzero(np.diff(slots[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        yield name[int(slots[rows[0]])], rows


def _by_topic(partitions: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for topic, partition in partitions:
        found.setdefault(topic, []).append(partition)
    return found
