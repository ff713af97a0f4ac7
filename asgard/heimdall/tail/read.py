"""Reads a stretch of a topic, or follows it, as plain records. Leaves no trace in Kafka: no group is joined, nothing is committed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from asgard.core.errors import WrongUsage
from asgard.kafka import data
from asgard.kafka.connection import Connection
from asgard.kafka.data import Read
from asgard.kafka.model import Offsets
from asgard.kafka.ports import ControlPlane

READ_DEADLINE_S, SLOWEST_PER_S = 60.0, 1000.0
Where = tuple[str, int]


@dataclass(frozen=True)
class Stretch:
    """From when and until when (ms since 1970; until is not included). `last`: only so many of the newest of each partition."""

    from_ms: int | None = None
    until_ms: int | None = None
    last: int | None = None


def spans(
    control: ControlPlane, topics: list[str], stretch: Stretch, partitions: Mapping[str, set[int]] | None = None
) -> dict[Where, Offsets]:
    """The offsets of a stretch, of all partitions or those named. Raises WrongUsage for a topic that does not exist."""
    found = control.topics(topics)
    if missing := [topic for topic in topics if topic not in found]:
        raise WrongUsage(f"there is no topic {', '.join(missing)} in this cluster")
    wanted = [
        (name, p.partition)
        for name, topic in found.items()
        for p in topic.partitions
        if partitions is None or p.partition in partitions.get(name, ())
    ]
    offsets = control.offsets(wanted)
    starts = control.offsets_at(wanted, stretch.from_ms) if stretch.from_ms is not None else {}
    ends = control.offsets_at(wanted, stretch.until_ms) if stretch.until_ms is not None else {}
    result = {}
    for where, span in offsets.items():
        end = min(ends.get(where, span.end), span.end)
        start = max(starts.get(where, span.start), span.start)
        if stretch.last is not None:
            start = max(start, end - stretch.last)
        result[where] = Offsets(min(start, end), end)
    return result


def stretch(connection: Connection, offsets: Mapping[Where, Offsets]) -> Iterator[list[Read]]:
    """Batches of the records between these offsets."""
    deadline_s = READ_DEADLINE_S + sum(span.records for span in offsets.values()) / SLOWEST_PER_S
    return data.read(connection, offsets, deadline_s=deadline_s)


def newest(connection: Connection, offsets: Mapping[Where, Offsets], last: int) -> list[Read]:
    """The newest records of all partitions together, oldest first."""
    found = [record for batch in stretch(connection, offsets) for record in batch]
    return sorted(found, key=lambda r: (r.timestamp_ms, r.topic, r.partition, r.offset))[-last:]


def follow(connection: Connection, starts: Mapping[Where, int]) -> Iterator[Read]:
    """Every record from these offsets on, as it comes, for as long as the caller wants."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    problems: list[KafkaError] = []
    consumer = Consumer(
        {
            **connection.for_librdkafka(),
            "client.id": "asgard-tail",
            "group.id": "asgard-tail",  # librdkafka requires one; nothing is committed and no group is joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "error_cb": problems.append,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([TopicPartition(*where, offset) for where, offset in starts.items()])
        silent_since = time.monotonic()
        while True:
            for message in consumer.consume(500, timeout=0.2):
                error = message.error()
                if error is None:
                    silent_since = time.monotonic()
                    yield data.plain(message)
                elif not error.retriable() and error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                    raise data.explain(error, connection)
            refused = next((p for p in problems if p.code() == KafkaError._AUTHENTICATION), None)
            down = next((p for p in problems if p.code() == KafkaError._ALL_BROKERS_DOWN), None)
            if refused is not None or (down is not None and time.monotonic() - silent_since > READ_DEADLINE_S):
                raise data.explain(refused or down, connection)
            problems.clear()
    finally:
        consumer.close()
