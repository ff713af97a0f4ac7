"""One round with real clients: a record to each broker's partition, read back, and an offset committed with each coordinator.

All brokers are tried in parallel from one thread (librdkafka's own threads do the waiting), so one that hangs does not delay
the others' figures. The producer does not retry: failed tries are what is measured.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from asgard.core.errors import AsgardError
from asgard.heimdall.canary.judge import Try
from asgard.kafka import stamp
from asgard.kafka.admin.errors import NotAuthorised
from asgard.kafka.connection import Connection
from asgard.kafka.model import Broker
from asgard.kafka.ports import ControlPlane, LossWitness

_TICK_S = 0.002
_REFUSED = "refused"


@dataclass
class _Asked:
    """What is in flight for one broker."""

    sequence: int
    began: float
    produced: Try | None = None
    consumed: Try | None = None
    committed: Try | None = None


class Clients:
    """A producer, a consumer and a committer for each coordinator. A context manager. Used by one thread."""

    def __init__(self, connection: Connection, topic: str, within_s: float, witness: LossWitness) -> None:
        from confluent_kafka import Consumer, Producer

        self._connection = connection
        self._topic = topic
        self._within_s = within_s
        self._witness = witness
        self._common = {
            **connection.for_librdkafka(),
            "client.id": "asgard-canary",
            "socket.timeout.ms": max(int(within_s * 1000), 100),
            "reconnect.backoff.max.ms": 1000,
            "topic.metadata.refresh.interval.ms": 5000,
            "error_cb": _quiet,
            "log_level": 0,
        }
        milliseconds = max(int(within_s * 1000), 100)
        self._producer = Producer(
            {
                **self._common,
                "acks": "all",
                "message.send.max.retries": 0,
                "linger.ms": 0,
                "request.timeout.ms": milliseconds,
                "delivery.timeout.ms": milliseconds,
            }
        )
        self._consumer = Consumer(
            {
                **self._common,
                "group.id": "asgard-canary-reader",  # librdkafka requires one; nothing is committed and no group is joined
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "latest",
                "fetch.wait.max.ms": 100,
                "socket.timeout.ms": max(int(within_s * 1000), 1000),
            }
        )
        self._assigned: frozenset[int] = frozenset()
        self._committers: dict[str, Any] = {}
        self._committing: dict[str, dict[int, _Asked]] = {}
        self._asked: dict[tuple[int, int], tuple[int, _Asked]] = {}
        self._round = 0

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.purge()
        self._producer.flush(1)
        self._consumer.close()
        for committer in self._committers.values():
            committer.close()

    def watch(self, partitions: Mapping[int, int]) -> None:
        """Read these partitions (offset to begin with by number), beside those that are read already."""
        from confluent_kafka import TopicPartition

        new = [
            TopicPartition(self._topic, number, start)
            for number, start in partitions.items()
            if number not in self._assigned
        ]
        if new:
            self._consumer.incremental_assign(new)
            self._assigned |= {position.partition for position in new}

    def round(self, of: Mapping[int, int], groups: Mapping[int, str]) -> dict[int, tuple[Try, Try, Try | None]]:
        """Produce, consume and commit for each broker: its partition by `of`, its group by `groups`."""
        self._round += 1
        asked = {broker: self._send(partition_) for broker, partition_ in of.items()}
        for broker, group in groups.items():
            if broker in asked:
                self._commit(group, of[broker], asked[broker])
        give_up = time.monotonic() + self._within_s
        while time.monotonic() < give_up and any(self._waiting(one, b in groups) for b, one in asked.items()):
            self._producer.poll(0)
            for message in self._consumer.consume(100, timeout=_TICK_S):
                if message.error() is None:
                    self._consumed(message)
            for committer in self._committers.values():
                committer.poll(0)
        # The deliveries' own time-out ends a moment later: the proof needs to know what happened to the record.
        self._producer.flush(0.5 if any(one.produced is None for one in asked.values()) else 0)
        self._asked = {place: entry for place, entry in self._asked.items() if entry[0] > self._round - 20}
        late = Try(error=f"no answer within {self._within_s:g} s")
        return {
            broker: (
                one.produced or late,
                one.consumed or late,
                (one.committed or late) if broker in groups else None,
            )
            for broker, one in asked.items()
        }

    @staticmethod
    def _waiting(one: _Asked, commits: bool) -> bool:
        if one.produced is None or (commits and one.committed is None):
            return True
        return one.produced.well and one.consumed is None

    def _send(self, partition_: int) -> _Asked:
        from confluent_kafka import KafkaException

        sequence = self._witness.take(self._topic)
        now_us = time.time_ns() // 1000
        value = b"canary %d" % now_us
        header = stamp.make(self._witness.run, self._witness.producer, sequence, now_us, value)
        one = _Asked(sequence, time.monotonic())
        self._asked[partition_, sequence] = (self._round, one)
        answered = partial(self._answered, one)
        try:
            self._producer.produce(
                self._topic, value, partition=partition_, on_delivery=answered, headers=[(stamp.HEADER, header)]
            )
        except (BufferError, KafkaException) as error:  # a full queue, an unknown partition: it was never sent
            one.produced = Try(error=str(error))
            self._witness.refused(self._topic, sequence, _REFUSED)
        return one

    def _answered(self, one: _Asked, error: Any, message: Any) -> None:
        took = time.monotonic() - one.began
        if error is None:
            one.produced = Try(took) if took <= self._within_s else Try(error="acknowledged too late")
            self._witness.acked(self._topic, message.partition(), one.sequence, message.offset())
            return
        one.produced = Try(error=error.str())
        self._witness.unanswered(self._topic, one.sequence, error.name())

    def _consumed(self, message: Any) -> None:
        with suppress(stamp.InvalidStamp):
            found = stamp.find(message.headers())
            if found is None or found.run != self._witness.run or found.producer != self._witness.producer:
                return
            _, one = self._asked.get((message.partition(), found.sequence), (0, None))
            if one is not None and one.consumed is None:
                one.consumed = Try(time.monotonic() - one.began)

    def _commit(self, group: str, partition_: int, one: _Asked) -> None:
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        committer = self._committers.get(group)
        if committer is None:
            waiting = self._committing[group] = {}

            def committed(error: Any, positions: Any) -> None:
                for position in positions or ():
                    asked = waiting.pop(position.offset, None)
                    problem = error or position.error
                    if asked is not None:
                        took = time.monotonic() - asked.began
                        asked.committed = Try(error=problem.str()) if problem else Try(took)

            committer = Consumer(
                {**self._common, "group.id": group, "enable.auto.commit": False, "on_commit": committed}
            )
            self._committers[group] = committer
        offset = one.sequence + 1
        self._committing[group][offset] = one
        try:
            committer.commit(offsets=[TopicPartition(self._topic, partition_, offset)], asynchronous=True)
        except KafkaException as error:
            self._committing[group].pop(offset, None)
            one.committed = Try(error=str(error))


def knock(control: ControlPlane, brokers: Mapping[int, Broker], within_s: float) -> dict[int, tuple[bool, bool]]:
    """For each broker: whether its port takes a connection, and whether it answers a direct request in time."""
    if not brokers:
        return {}
    with ThreadPoolExecutor(2 * len(brokers), "knock") as pool:
        answering = {b: pool.submit(_answers, control, b, within_s) for b in brokers}
        accepting = {b: pool.submit(_accepts, broker.host, broker.port, within_s) for b, broker in brokers.items()}
        return {b: (accepting[b].result(), answering[b].result()) for b in brokers}


def _answers(control: ControlPlane, broker: int, within_s: float) -> bool:
    """Send this broker a small request; a refusal counts as an answer."""
    try:
        return broker in control.log_dirs([broker], within_s)
    except NotAuthorised:
        return True
    except AsgardError:
        return False


def _accepts(host: str, port: int, within_s: float) -> bool:
    try:
        socket.create_connection((host, port), within_s).close()
    except OSError:
        return False
    return True


def _quiet(error: Any) -> None:
    """Ignore broken connections: they are expected here, and only the answer counts."""
