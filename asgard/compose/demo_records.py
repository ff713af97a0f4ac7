"""The demo's records: ride bookings with a stamp each, written by several producers, read back and counted one by one."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgard.core.errors import Failed
from asgard.kafka import stamp
from asgard.kafka.connection import Connection
from asgard.loki.load.rides import RideEvent, rides

if TYPE_CHECKING:
    from asgard.kafka.data import Read, Tally

DAY_S = 86400
PRODUCERS = 4
PAUSE_S = 0.002
"""Between two records of a producer that keeps writing in the background."""
_ENDLESS = 10**12


@dataclass
class Count:
    """What was read back, counted from each record's stamp."""

    read: int = 0
    corrupted: int = 0
    duplicated: int = 0
    foreign: int = 0
    seen: dict[int, bytearray] = field(default_factory=dict, repr=False)

    def take(self, records: Iterable[Read], run: bytes, sizes: dict[int, int]) -> None:
        """Count a batch; `sizes` is how many records each producer sent."""
        for record in records:
            found = stamp.find(record.headers)
            if found is None or found.run != run:
                self.foreign += 1
                continue
            self.read += 1
            seen = self.seen.setdefault(found.producer, bytearray(sizes[found.producer]))
            self.duplicated += seen[found.sequence]
            seen[found.sequence] = 1
            self.corrupted += not found.matches(record.value)

    def distinct(self) -> int:
        """How many different records were read."""
        return sum(sum(seen) for seen in self.seen.values())


def write(connection: Connection, events: int, run_id: bytes) -> list[Tally]:
    """Write this many bookings as fast as possible, with producers 0, 1, …. Returns the outcome of each one's records."""
    shares = [events // PRODUCERS + (number < events % PRODUCERS) for number in range(PRODUCERS)]
    over = threading.Event()
    with ThreadPoolExecutor(PRODUCERS) as pool:
        try:
            made = [
                pool.submit(_produce, connection, run_id, number, share, over, 0.0)
                for number, share in enumerate(shares)
            ]
            return [tally.result() for tally in made]
        finally:
            over.set()  # after Ctrl-C the producers would otherwise keep writing to their last record


@contextlib.contextmanager
def traffic(connection: Connection, run_id: bytes) -> Iterator[list[Tally]]:
    """Continuous bookings by further producers; the list has the outcome of them once the block is left."""
    over = threading.Event()
    tallies: list[Tally] = []
    with ThreadPoolExecutor(PRODUCERS) as pool:
        made: list[Future[Tally]] = [
            pool.submit(_produce, connection, run_id, PRODUCERS + number, _ENDLESS, over, PAUSE_S)
            for number in range(PRODUCERS)
        ]
        try:
            yield tallies
        finally:
            over.set()
        tallies += [tally.result() for tally in made]


def _produce(
    connection: Connection, run_id: bytes, number: int, count: int, over: threading.Event, pause_s: float
) -> Tally:
    from asgard.kafka.data import Record, Writer

    # Rides that have ended by now: Kafka rejects timestamps more than an hour ahead.
    events: Iterable[RideEvent] = rides(count, seed=number, start_ms=int((time.time() - DAY_S) * 1000))
    with Writer(connection, name=f"demo-{number}", deadline_s=120) as writer:
        for sequence, event in enumerate(events):
            header = stamp.make(run_id, number, sequence, time.time_ns() // 1000, event.value)
            writer.send(Record(event.topic, event.value, event.key, ((stamp.HEADER, header),), event.at_ms))
            if over.wait(pause_s) if pause_s else over.is_set():
                break
        return writer.finish()


def refusal(connection: Connection, who: str, topic: str = "rides.booked") -> str:
    """Why a record of a user without permission was refused. Raises Failed if it was not."""
    tally = _write_to(connection, topic, 1, "demo-outsider")
    if tally.acked:
        raise Failed(f"{who} wrote to {topic} without permission")
    return tally.failures[0]


def prove_writable(connection: Connection, topic: str, count: int) -> int:
    """Write this many small records. Returns how many were acknowledged. Raises Failed if one was not."""
    tally = _write_to(connection, topic, count, "demo-team")
    if tally.acked != count:
        raise Failed(f"{topic}: {count - tally.acked} of {count} records were refused: {tally.failures[:1]}")
    return tally.acked


def _write_to(connection: Connection, topic: str, count: int, name: str) -> Tally:
    from asgard.kafka.data import Record, Writer

    with Writer(connection, deadline_s=60, name=name) as writer:
        for _ in range(count):
            writer.send(Record(topic, b"{}"))
        return writer.finish()


def read(connection: Connection, topics: Mapping[str, int], run_id: bytes, sizes: dict[int, int]) -> Count:
    """Read topics (with their numbers of partitions) to their ends, and count; `sizes` is how many each producer sent."""
    from asgard.kafka.admin import connect
    from asgard.kafka.data import read as read_all

    control = connect(connection)
    try:
        offsets = control.offsets([(name, p) for name, partitions in topics.items() for p in range(partitions)])
    finally:
        control.close()
    count = Count()
    for batch in read_all(connection, offsets):
        count.take(batch, run_id, sizes)
    return count
