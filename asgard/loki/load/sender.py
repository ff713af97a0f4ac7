"""One producer of a load: every record is stamped, every answer counted and written into the history.

How librdkafka and gevent live together is decided here and in `drive`; in short:

- librdkafka's own threads do the network; they touch no Python. A delivery callback runs only inside `poll`, in the thread
  that calls it, which is gevent's. So nothing here needs a lock, and no callback may switch greenlets.
- `poll` with a time-out waits in C with the GIL released: the process sleeps until an answer comes or the time is over, and
  all greenlets with it. The time-outs are a few milliseconds (`drive.SLICE_S`), so that heartbeats and others continue.
- A call that waits longer (metadata, closing) runs in a native thread of gevent's pool.

An answer's latency is measured in its callback. It includes the time until `poll` is called: none in an idle loop, and in a
busy one as much as any client application would wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from asgard.kafka import stamp
from asgard.kafka.connection import Connection
from asgard.loki.check.recorder import ProducerLog
from asgard.loki.load.feed import Item
from asgard.loki.load.scenario import Producers
from asgard.loki.load.tally import LoadTally

QUEUE_RECORDS = 1_000_000
QUEUE_BYTES = 256 * 1024 * 1024
RECORD_BYTES = 200
"""What librdkafka counts for a record beside key and value, at most."""
_now_ns = time.monotonic_ns


class Sender:
    """Sends records of a pool in turn to one topic. `wall_ns` is what to add to the monotonic clock to get Unix time.

    Records that are due before `measure_from_ns` (monotonic) are sent and recorded, but their latency is not counted. At most
    QUEUE_BYTES wait in the client; an open loop that is held up sends late what was due, and the lateness counts.
    """

    def __init__(
        self,
        connection: Connection,
        group: Producers,
        *,
        items: list[Item],
        tally: LoadTally,
        log: ProducerLog,
        wall_ns: int,
    ) -> None:
        from confluent_kafka import KafkaError, KafkaException, Producer

        self.in_flight = 0
        self.measure_from_ns = 0
        self._topic = group.topic
        self._items = items
        self._tally = tally
        self._log = log
        self._wall_ns = wall_ns
        self._open_loop = group.open_loop
        largest = max(len(value) + len(key or b"") for key, value, _ in items) + RECORD_BYTES
        self._most = min(QUEUE_RECORDS, max(QUEUE_BYTES // largest, 1))
        self._stamp = stamp.stamper(log.run, log.number)
        self._last_problem = ""
        self._producer = Producer({**settings(connection, group, log.number), "error_cb": self._noticed})
        self._kafka_exception = KafkaException
        self.poll: Callable[[float], int] = self._producer.poll
        self._refused = _refusals(KafkaError)

    @property
    def room(self) -> int:
        """How many more records the client may take."""
        return self._most - self.in_flight

    def send(self, due_ns: Sequence[int]) -> None:
        """Hand records with these send times (monotonic) to the client: at most `room`."""
        topic, items, answered, wall_ns, stamped = self._topic, self._items, self._answered, self._wall_ns, self._stamp
        produce, size, kafka_exception = self._producer.produce, len(items), self._kafka_exception
        count = len(due_ns)
        sequence = self._log.take(topic, count)
        self.in_flight += count
        self._tally.part.sent += count
        if self._tally.first_ns is None:
            self._tally.first_ns = due_ns[0]
        for due in due_ns:
            key, value, crc = items[sequence % size]
            header = stamped(sequence, (due + wall_ns) // 1000, crc)
            try:
                produce(
                    topic, value, key, on_delivery=partial(answered, sequence, due), headers=[(stamp.HEADER, header)]
                )
            except kafka_exception as error:  # too large for this client, or it had a fatal error: not sent
                self.in_flight -= 1
                self._not_acked(sequence, error.args[0], sent=False)
            sequence += 1

    def send_now(self, count: int) -> None:
        """Hand the client records that are due as soon as it takes them."""
        self.send([_now_ns()] * count)

    def _answered(self, sequence: int, due_ns: int, error: Any, message: Any) -> None:
        now = _now_ns()
        self.in_flight -= 1
        if error is not None:
            self._not_acked(sequence, error)
            return
        tally = self._tally
        tally.part.acked += 1
        tally.last_ns = now
        self._log.acked(self._topic, message.partition(), sequence, message.offset())
        if due_ns >= self.measure_from_ns:
            from_send_ns = int(message.latency() * 1e9)
            tally.from_send_ns.append(from_send_ns)
            tally.latency_ns.append(now - due_ns if self._open_loop else from_send_ns)

    def _not_acked(self, sequence: int, error: Any, *, sent: bool = True) -> None:
        reason = str(error.str()) + (f" ({self._last_problem})" if self._last_problem else "")
        self._tally.reason(reason)
        if not sent or error.code() in self._refused:
            self._tally.part.failed += 1
            self._log.failed(self._topic, sequence, reason)
        else:
            self._tally.part.unknown += 1
            self._log.indeterminate(self._topic, sequence, reason)

    def _noticed(self, error: Any) -> None:
        self._last_problem = str(error.str())

    def warm(self, timeout_s: float) -> None:
        """Connect and learn where the topic's partitions are. Waits in C: never call it in gevent's thread."""
        self._producer.list_topics(self._topic, timeout=timeout_s)

    def give_up(self) -> None:
        """Make records still without an answer indeterminate: their callbacks are called with that."""
        self._producer.purge()
        self._producer.poll(1)


def settings(connection: Connection, group: Producers, number: int) -> dict[str, Any]:
    """librdkafka's configuration of a producer of that group."""
    return {
        **connection.for_librdkafka(),
        "client.id": f"loki-{number}",
        "acks": group.acks,
        "enable.idempotence": group.idempotence,
        "compression.type": group.compression,
        "linger.ms": group.linger_s * 1000,
        "batch.size": group.batch_bytes,
        "delivery.timeout.ms": max(int(group.timeout_s * 1000), 1),
        "request.timeout.ms": max(int(min(group.timeout_s, 30) * 1000), 1),
        "partitioner": "murmur2_random",
        "queue.buffering.max.messages": 10_000_000,  # `Sender.room` is the limit, so there is no BufferError
        "queue.buffering.max.kbytes": 2_000_000_000,
        "log_level": 0,
    }


def _refusals(kafka_error: Any) -> frozenset[int]:
    """Codes after which a record is certainly not in Kafka: refused for what it is, on every try alike.

    After any other it may be there, even after ones that sound certain: a record that was purged from the client's queue, or
    refused for too few replicas, may have been written by an earlier try whose answer was lost.
    """
    names = (
        "MSG_SIZE_TOO_LARGE",
        "RECORD_LIST_TOO_LARGE",
        "TOPIC_AUTHORIZATION_FAILED",
        "CLUSTER_AUTHORIZATION_FAILED",
        "TOPIC_EXCEPTION",
        "INVALID_RECORD",
        "INVALID_TIMESTAMP",
        "INVALID_REQUIRED_ACKS",
        "POLICY_VIOLATION",
        "UNSUPPORTED_COMPRESSION_TYPE",
    )
    return frozenset(int(getattr(kafka_error, name)) for name in names if hasattr(kafka_error, name))
