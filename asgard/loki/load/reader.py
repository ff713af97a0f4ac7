"""One consumer of a load: it writes what it receives into the history, and measures how long each record took to get here.

As with `sender`, librdkafka's threads fetch, and callbacks (assignments, revocations) run only inside `poll`, in the thread that
calls it.
"""

from __future__ import annotations

import time
from typing import Any

from asgard.core.errors import AsgardError
from asgard.kafka.connection import Connection
from asgard.kafka.data import explain
from asgard.loki.check.recorder import ConsumerLog
from asgard.loki.load.tally import LoadTally

AT_ONCE = 500


class Reader:
    """A consumer of a group. `ready` once it has been given partitions, or its group has more consumers than partitions."""

    def __init__(
        self,
        connection: Connection,
        *,
        topic: str,
        group: str,
        from_beginning: bool,
        tally: LoadTally,
        log: ConsumerLog,
    ) -> None:
        from confluent_kafka import Consumer, KafkaError

        self.ready = False
        self.failure: AsgardError | None = None
        self.measure_from_us = 0
        self._closing = False
        self._tally = tally
        self._log = log
        self._connection = connection
        self._fatal = (
            KafkaError._AUTHENTICATION,
            KafkaError.TOPIC_AUTHORIZATION_FAILED,
            KafkaError.GROUP_AUTHORIZATION_FAILED,
        )
        self._consumer = Consumer(
            {
                **connection.for_librdkafka(),
                "client.id": f"loki-reader-{log.number}",
                "group.id": group,
                "auto.offset.reset": "earliest" if from_beginning else "latest",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "partition.assignment.strategy": "cooperative-sticky",
                "topic.metadata.refresh.interval.ms": 10_000,
                "error_cb": self._noticed,
                "log_level": 0,
            }
        )
        self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def take(self, wait_s: float) -> int:
        """Wait at most so long for records (whole milliseconds), and count what is there; returns how many they were."""
        first = self._consumer.poll(wait_s)
        if first is None:
            return 0
        messages = [first, *self._consumer.consume(AT_ONCE - 1, 0)]
        now_us = time.time_ns() // 1000
        for message in messages:
            if message.error() is not None:
                self._noticed(message.error())
        stamps = self._log.polled(messages)
        ours = stamps[stamps["version"] != 0]
        self._tally.part.read += len(ours)
        intended_us = ours["intended_us"].astype("i8")
        self._tally.end_to_end_us.append(now_us - intended_us[intended_us >= self.measure_from_us])
        return len(messages)

    def lag(self) -> int:
        """Records of its partitions that it has not received yet, according to the last fetches."""
        behind = 0
        for position in self._consumer.position(self._consumer.assignment()):
            _, high = self._consumer.get_watermark_offsets(position, cached=True)
            if position.offset >= 0 and high >= 0:
                behind += max(high - position.offset, 0)
        self._tally.lags[self._log.number] = behind
        return behind

    def close(self) -> None:
        """Commit, leave the group and close. Waits for the group's coordinator; may be called in another thread."""
        self._closing = True
        self._consumer.close()

    def _assigned(self, consumer: Any, partitions: list[Any]) -> None:
        self.ready = True
        if partitions:
            self._log.assigned([(p.topic, p.partition) for p in partitions])

    def _revoked(self, consumer: Any, partitions: list[Any]) -> None:
        if partitions and not self._closing:
            self._log.revoked([(p.topic, p.partition) for p in partitions])

    def _noticed(self, error: Any) -> None:
        if error.code() in self._fatal:
            self.failure = explain(error, self._connection)
