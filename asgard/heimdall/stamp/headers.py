"""Creates, forwards and reads the headers `asgard` and `traceparent` of single records.

A producer number belongs to one topic of one process, so that run, producer and sequence together name a record in the
whole pipeline, whichever topics it passes through.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from asgard.heimdall.stamp.traceparent import TRACEPARENT, TraceParent, parse
from asgard.kafka import stamp

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the headers of a record say. `intact`: the value has the checksum it was stamped with; None without a stamp."""

    stamp: stamp.Stamp | None
    trace: TraceParent | None
    intact: bool | None


class Stamper:
    """Numbers the records of one process. Thread-safe; a forked child starts a new run."""

    def __init__(self, run: bytes | None = None) -> None:
        """`run` is 16 bytes that name this process; random by default."""
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._begin(run or os.urandom(16))

    def _begin(self, run: bytes) -> None:
        self.run = run
        self._producers: dict[str, int] = {}
        self._next: dict[str, int] = {}

    @contextmanager
    def stamped(
        self,
        topic: str,
        value: bytes | None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        intended_us: int | None = None,
    ) -> Iterator[Headers]:
        """The headers of the next record of a topic, to be handed to the client inside the block.

        If the block raises (the client's queue is full), the record uses up no number: a number that was never sent would
        count as a lost record. Other threads wait meanwhile. `intended_us`: when the record was due, now by default.
        """
        with self._lock:
            if os.getpid() != self._pid:
                self._pid = os.getpid()
                self._begin(os.urandom(16))
            producer = self._producers.setdefault(topic, len(self._producers))
            sequence = self._next.get(topic, 0)
            due = time.time_ns() // 1000 if intended_us is None else intended_us
            made: Headers = [(name, data) for name, data in headers if name != stamp.HEADER]
            if not any(name == TRACEPARENT for name, _ in made):
                made.append((TRACEPARENT, TraceParent(os.urandom(16).hex(), os.urandom(8).hex()).encode()))
            made.append((stamp.HEADER, stamp.make(self.run, producer, sequence, due, value)))
            yield made
            self._next[topic] = sequence + 1


def forwarded(headers: Iterable[tuple[str, bytes | None]] | None, value: bytes | None) -> Headers:
    """The headers for a record forwarded to the next topic with this value, from those it came with.

    The stamp keeps its run, producer, sequence and time, and gets the new value's checksum; the trace continues in a new
    span. An unreadable stamp or trace stays as it is; if there is none, none is created.
    """
    given = list(headers or ())
    last = max((i for i, (name, _) in enumerate(given) if name == stamp.HEADER), default=-1)
    made: Headers = []
    for i, (name, data) in enumerate(given):
        if i == last:
            with suppress(stamp.InvalidStamp):
                data = stamp.encode(replace(stamp.decode(data or b""), crc32c=stamp.checksum(value)))
        elif name == TRACEPARENT and (trace := parse(data)) is not None:
            data = trace.child(os.urandom(8).hex()).encode()
        made.append((name, data))
    return made


def seen(headers: Iterable[tuple[str, bytes | None]] | None, value: bytes | None) -> Seen:
    """What a record's headers tell a consumer; malformed ones count as missing."""
    given = list(headers or ())
    try:
        found = stamp.find(given)
    except stamp.InvalidStamp:
        found = None
    traces = [data for name, data in given if name == TRACEPARENT]
    return Seen(found, parse(traces[-1]) if traces else None, found.matches(value) if found else None)
