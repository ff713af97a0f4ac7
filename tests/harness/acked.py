"""A producer that remembers every record that Kafka acknowledged, and a reader that looks whether each is still there."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from types import TracebackType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from asgard.kafka.connection import Connection


@dataclass(frozen=True)
class Record:
    """A record and where Kafka put it."""

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

    def send(self, topic: str, value: bytes, key: bytes | None = None, partition: int = -1) -> None:
        """Queue a record; blocks a while when the queue is full."""
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=self._answered)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)

    def flush(self, timeout_s: float = 60.0) -> None:
        """Wait for all answers. Raises AssertionError where some are missing."""
        left = self._producer.flush(timeout_s)
        assert left == 0, f"{left} records were neither acknowledged nor refused within {timeout_s} s"

    def _answered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failed.append(error.str())
            return
        self.acked.append(
            Record(
                str(message.topic()),
                _number(message.partition()),
                _number(message.offset()),
                message.key(),
                message.value(),
            )
        )

    def lost(self, connection: Connection) -> list[Record]:
        """Acknowledged records that can't be read any more at their offset, by reading everything back."""
        there = set()
        for topic in {record.topic for record in self.acked}:
            there |= set(read_all(connection, topic))
        return [record for record in self.acked if record not in there]

    def duplicated(self, connection: Connection) -> list[bytes | None]:
        """Values that stand more often in their topic than they were sent; give each record a value of its own."""
        counts = Counter(r.value for topic in {r.topic for r in self.acked} for r in read_all(connection, topic))
        return [value for value, count in counts.items() if count > 1]


def read_all(connection: Connection, topic: str, *, timeout_s: float = 60.0) -> list[Record]:
    """Every record of a topic up to the end as it is now. Raises AssertionError where that takes too long."""
    consumer = Consumer(
        {
            **connection.for_librdkafka(),
            "group.id": "harness-reader",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    until = time.monotonic() + timeout_s
    try:
        partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
        ends, starts = {}, []
        for partition in partitions:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
            if end > first:
                ends[partition] = end
                starts.append(TopicPartition(topic, partition, first))
        consumer.assign(starts)
        records: list[Record] = []
        while ends:
            assert time.monotonic() < until, f"reading {topic} back took longer than {timeout_s} s"
            for message in consumer.consume(5000, timeout=0.2):
                _take(message, records)
            for position in consumer.position([TopicPartition(topic, p) for p in ends]):
                if position.offset >= ends[position.partition]:
                    del ends[position.partition]
        return records
    finally:
        consumer.close()


def _take(message: Message, records: list[Record]) -> None:
    error = message.error()
    if error is not None:
        raise KafkaException(error)
    records.append(
        Record(
            str(message.topic()),
            _number(message.partition()),
            _number(message.offset()),
            message.key(),
            message.value(),
        )
    )


def _number(value: int | None) -> int:
    assert value is not None
    return value
