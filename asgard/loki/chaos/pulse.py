"""Do produce and consume work right now? One record to each partition of a scratch topic, acknowledged by all, and read back.

The topic has one partition per broker and as many replicas as the cluster allows (at most three), so that each broker is
asked. It is in the undo log before it exists, and is deleted afterwards.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from asgard.core.errors import Failed
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic
from asgard.loki.chaos.site import ChaosSite
from asgard.loki.load import scratch

WITHIN_S = 15.0
"""How long produce and consume may take to count as working: longer than the election of a leader after a broker has died."""
_ERRORS_ONLY = 2


@dataclass(frozen=True)
class Beat:
    """The result: whether both work, and how many seconds until they did (None: they did not)."""

    produce: bool
    consume: bool
    seconds: float

    @property
    def well(self) -> bool:
        """Whether both work."""
        return self.produce and self.consume

    def __str__(self) -> str:
        if self.well:
            return f"produce and consume work ({self.seconds:.1f} s)"
        return f"{'produce' if not self.produce else 'consume'} does not work after {self.seconds:.1f} s"


@contextlib.contextmanager
def beating(site: ChaosSite) -> Iterator[Pulse]:
    """A pulse for a site, until the block ends."""
    brokers = [b.id for b in site.control.cluster().brokers if b.state == "up"]
    name = f"{scratch.PREFIX}{site.run or 'chaos'}-pulse"
    topic = NewTopic(name, len(brokers), min(3, len(brokers)), {})
    with scratch.made(site.control, site.journal, site.lease, [topic]):
        pulse = Pulse(site.connection, topic)
        first = pulse.beat(WITHIN_S)
        if not first.produce:
            raise Failed(
                f"can't write to {name} although nothing is broken yet",
                "asgard thor status shows the cluster.",
            )
        yield pulse


class Pulse:
    """Sends and reads on a topic. Safe to use from several threads, one at a time."""

    def __init__(self, connection: Connection, topic: NewTopic) -> None:
        self._connection = connection
        self._topic = topic
        self._lock = threading.Lock()
        self._last: dict[int, int] = {}

    def beat(self, within_s: float) -> Beat:
        """Write, then read what was written."""
        began = time.monotonic()
        produce = self.produce(within_s)
        consume = self.consume(max(within_s - (time.monotonic() - began), 1.0))
        return Beat(produce, consume, time.monotonic() - began)

    def produce(self, within_s: float) -> bool:
        """Whether a record for each partition is acknowledged by all in-sync replicas in time."""
        from confluent_kafka import Producer

        acknowledged: dict[int, int] = {}

        def answered(error: Any, message: Any) -> None:
            if error is None:
                acknowledged[message.partition()] = message.offset()

        with self._lock:
            producer = Producer(
                {
                    **self._connection.for_librdkafka(),
                    "client.id": "asgard-pulse",
                    "acks": "all",
                    "enable.idempotence": True,
                    "delivery.timeout.ms": int(within_s * 1000),
                    "request.timeout.ms": int(min(within_s, 5.0) * 1000),
                    "log_level": _ERRORS_ONLY,
                    "error_cb": _quiet,
                }
            )
            for partition in range(self._topic.partitions):
                producer.produce(self._topic.name, b"pulse", partition=partition, on_delivery=answered)
            producer.flush(within_s)
            producer.purge()
            producer.flush(0.1)
            self._last |= {p: offset for p, offset in acknowledged.items() if offset >= 0}
        return len(acknowledged) == self._topic.partitions

    def consume(self, within_s: float) -> bool:
        """Whether the last acknowledged record of each partition can be read in time."""
        from confluent_kafka import Consumer, TopicPartition

        with self._lock:
            left = dict(self._last)
            if not left:
                return False
            consumer = Consumer(
                {
                    **self._connection.for_librdkafka(),
                    "client.id": "asgard-pulse",
                    "group.id": "asgard-pulse",  # librdkafka requires one; nothing is committed and no group is joined
                    "enable.auto.commit": False,
                    "log_level": _ERRORS_ONLY,
                    "error_cb": _quiet,
                }
            )
            try:
                consumer.assign([TopicPartition(self._topic.name, p, offset) for p, offset in left.items()])
                give_up = time.monotonic() + within_s
                while left and time.monotonic() < give_up:
                    for message in consumer.consume(100, timeout=0.2):
                        if message.error() is None:
                            left.pop(message.partition(), None)
            finally:
                consumer.close()
        return not left


def _quiet(error: Any) -> None:
    """Ignore broken connections: they are expected here, and only the answer counts."""
