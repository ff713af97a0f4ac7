"""A producer that remembers every record that Kafka acknowledged, and a reader that looks whether each is still there."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from asgard.kafka.connection import Connection

_ERRORS_ONLY = 2
_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)


UNKNOWN = -1
"""The offset of a record whose first answer was lost: the broker has it, and says to the second try only that it is there."""


@dataclass(frozen=True)
class Record:
    """A record and where Kafka put it (offset `UNKNOWN`: acknowledged, and nobody said where)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


class AckedProducer:
    """Idempotent, acks=all. `acked` holds what was acknowledged with its offset, `failed` what was not and why."""

    def __init__(self, connection: Connection, *, timeout_s: float = 60.0, **conf: str | int) -> None:
        self.acked: list[Record] = []
        self.failed: list[str] = []
        self._producer = Producer(
            {
                **connection.for_librdkafka(),
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "log_level": _ERRORS_ONLY,
                "delivery.timeout.ms": int(timeout_s * 1000),
                **{name.replace("_", "."): value for name, value in conf.items()},
            }
        )

    def __enter__(self) -> AckedProducer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()

    def send(
        self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1, timestamp_ms: int = 0
    ) -> None:
        """Queue a record; blocks a while when the queue is full. Timestamp 0 is now."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition, self._answered, timestamp=timestamp_ms)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)

    @contextmanager
    def sending(self, topic: str, every_s: float = 0.01) -> Iterator[None]:
        """Send records from a thread until the block ends, each with a value of its own."""
        over, run = threading.Event(), secrets.token_bytes(8)

        def send() -> None:
            for number in itertools.count():
                self.send(topic, b"%b %d" % (run, number))
                if over.wait(every_s):
                    return

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def flush(self, timeout_s: float = 60.0) -> None:
        """Wait for all answers. Raises AssertionError where some are missing."""
        left = self._producer.flush(timeout_s)
        assert left == 0, f"{left} records were neither acknowledged nor refused within {timeout_s} s"

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failed.append(error.str())
            return
        self.acked.append(_record(message))

    def lost(self, connection: Connection) -> list[Record]:
        """Acknowledged records that can't be read any more at their offset (where it is known), by reading everything back."""
        there = set()
        for topic in {record.topic for record in self.acked}:
            there |= set(read_all(connection, topic))
        somewhere = {replace(record, offset=UNKNOWN) for record in there}
        return [r for r in self.acked if r not in (somewhere if r.offset == UNKNOWN else there)]

    def duplicated(self, connection: Connection) -> list[bytes | None]:
        """Values that stand more often in their topic than they were sent; give each record a value of its own."""
        counts = Counter(r.value for topic in {r.topic for r in self.acked} for r in read_all(connection, topic))
        return [value for value, count in counts.items() if count > 1]


def read_all(
    connection: Connection, topic: str, *, group: str = "harness-reader", timeout_s: float = 60.0
) -> list[Record]:
    """Every record of a topic up to its end. Raises AssertionError where that takes too long.

    Brokers may come and go meanwhile; the end is the one that each partition's leader tells after its last record.
    """
    consumer = Consumer(
        {
            **connection.for_librdkafka(),
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": _ERRORS_ONLY,
        }
    )
    until = time.monotonic() + timeout_s
    try:
        partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        unread, records = set(partitions), []
        while unread:
            assert time.monotonic() < until, f"{topic} was not read to the end of {sorted(unread)} in {timeout_s} s"
            for message in consumer.consume(5000, timeout=0.2):
                error = message.error()
                if error is None:
                    records.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(_number(message.partition()))
                elif error.code() not in _PASSING:
                    raise KafkaException(error)
        return records
    finally:
        consumer.close()


def _record(message: Message) -> Record:
    offset = message.offset()
    where = UNKNOWN if offset is None or offset < 0 else offset
    return Record(str(message.topic()), _number(message.partition()), where, message.key(), message.value())


def _number(value: int | None) -> int:
    assert value is not None
    return value
