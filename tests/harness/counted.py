"""A count of a load's lost records by other means than Loki's check: what producers were told, against what a plain consumer finds."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from asgard.kafka import stamp
from asgard.kafka.connection import Connection
from asgard.loki.check.history import Acked, HistoryFiles
from asgard.loki.load.run import Load

Name = tuple[int, int]
"""Producer and sequence."""


@dataclass(frozen=True)
class Count:
    """Records: acknowledged, of these not found, and found more than once."""

    acknowledged: int
    lost: int
    duplicates: int


def count(load: Load) -> Count:
    """Count the records of a load that has ended and whose topic is still there.

    Just after an election a leader shows less than it has, until its followers have asked it: what is counted twice alike counts.
    """
    blocks = HistoryFiles(load.directory).blocks((Acked,))
    acked = {(b.producer, s) for _, b in blocks if isinstance(b, Acked) for s in b.sequences.values().tolist()}
    before, counted = None, _count(load, acked)
    while counted != before:
        time.sleep(1)
        before, counted = counted, _count(load, acked)
    return counted


def _count(load: Load, acked: set[Name]) -> Count:
    found = [name for topic in load.topics.renamed.values() for name in names(load.connection, topic, load.run)]
    return Count(len(acked), len(acked - set(found)), len(found) - len(set(found)))


def names(connection: Connection, topic: str, run: bytes, *, timeout_s: float = 60.0) -> Iterable[Name]:
    """The records of that run that the topic holds. Raises AssertionError where reading takes too long."""
    config = {"group.id": "by-hand", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 2}
    consumer = Consumer({**connection.for_librdkafka(), **config})
    until = time.monotonic() + timeout_s
    try:
        unread = set(consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in unread])
        while unread:
            assert time.monotonic() < until, f"{topic} was not read to the end of {sorted(unread)} in {timeout_s} s"
            for message in consumer.consume(5000, timeout=0.2):
                error = message.error()
                if error is None:
                    record = stamp.find(message.headers())
                    if record is not None and record.run == run:
                        yield record.producer, record.sequence
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(int(message.partition() or 0))
                elif error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                    raise KafkaException(error)
    finally:
        consumer.close()
