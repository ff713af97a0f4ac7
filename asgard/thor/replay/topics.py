"""A window of topics as a copy's source: reads what a consumer of committed records would, without a group.

Aborted records are left out. What retention deleted before it was read is counted in `expired`, and logged.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from asgard.core import events
from asgard.core.errors import Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.data import Read, explain
from asgard.thor.replay.model import CutShort, ReadBatch, TopicPartition

_AS_IT_IS_NOW = (
    "Run it again to use what the topic holds now; a replay needs another --from for that, as in --from start."
)
STALL_S = 90.0
_QUEUE_KIB = 24 * 1024
_QUEUE_RECORDS = 60_000
"""A queued record takes a few hundred bytes in librdkafka, however small it is."""
_PASSING = (
    KafkaError.GROUP_AUTHORIZATION_FAILED,  # librdkafka asks for a coordinator although it joins no group
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError.UNKNOWN_TOPIC_OR_PART,  # while brokers restart; if it persists, reading stalls
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
)
_LOGIN = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)


def _partition(message: Any) -> TopicPartition:
    return message.topic(), message.partition()


@dataclass(slots=True)
class _Taking:
    """Messages being sorted: where each unfinished partition ends and where it is, the batch so far, which partitions are now
    finished, and which lost their position."""

    ends: dict[TopicPartition, int]
    at: dict[TopicPartition, int]
    batch: ReadBatch = field(default_factory=lambda: ReadBatch([]))
    through: list[TopicPartition] = field(default_factory=list)
    lost: list[TopicPartition] = field(default_factory=list)

    def finish(self, key: TopicPartition) -> None:
        """The partition was read to its end."""
        self.batch.reached[key] = self.ends.pop(key)
        self.through.append(key)


class TopicSource:
    """Partitions of a cluster between two offsets each. Used by one thread."""

    def __init__(
        self, connection: Connection, window: Mapping[TopicPartition, tuple[int, int]], *, client_id: str
    ) -> None:
        self._connection = connection
        self._window = dict(window)
        self._client_id = client_id
        self._records, self._bytes = 100, 8 * 1024 * 1024
        self._mean = 1024 * 1024.0  # until the first records show better: many large ones at once would not fit
        self.expired: dict[TopicPartition, int] = {}

    @property
    def window(self) -> Mapping[TopicPartition, tuple[int, int]]:
        return self._window

    def ask(self, records: int, size_bytes: int) -> None:
        self._records, self._bytes = records, size_bytes

    def read(self, start: Mapping[TopicPartition, int]) -> Iterator[ReadBatch]:
        """See `RecordSource`. Raises Unreachable if nothing arrives for `STALL_S` before the end is reached, and CutShort."""
        ends = {key: end for key, (_, end) in self._window.items() if start[key] < end}
        if not ends:
            return
        problems: list[KafkaError] = []
        consumer = Consumer({**self._conf(problems), "queued.min.messages": max(1000, _QUEUE_RECORDS // len(ends))})
        try:
            consumer.assign([Position(*key, start[key]) for key in ends])
            at = {key: start[key] for key in ends}
            heard = time.monotonic()
            while ends:
                count = max(1, min(self._records, int(self._bytes / self._mean)))
                messages = consumer.consume(count, timeout=0.2)
                batch, through = self._take(messages, ends, at, consumer)
                if through and ends:
                    consumer.pause([Position(*key) for key in through])
                if any(message.error() is None for message in messages):
                    heard = time.monotonic()
                if batch.reached:
                    yield batch
                    heard = time.monotonic()
                if ends and time.monotonic() - heard > STALL_S:
                    raise self._stalled(ends, problems)
                if ends and any(p.code() in _LOGIN for p in problems):
                    raise explain(next(p for p in problems if p.code() in _LOGIN), self._connection)
                del problems[:-5]
        except KafkaException as error:
            raise explain(error.args[0], self._connection) from error
        finally:
            consumer.close()

    def _conf(self, problems: list[KafkaError]) -> dict[str, Any]:
        return {
            **self._connection.for_librdkafka(),
            "client.id": self._client_id,
            "group.id": self._client_id,  # librdkafka requires one; it commits nothing and joins no group
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "fetch.max.bytes": 16 * 1024 * 1024,
            "max.partition.fetch.bytes": 4 * 1024 * 1024,
            "queued.max.messages.kbytes": _QUEUE_KIB,
            "fetch.queue.backoff.ms": 10,  # the queue is usually full here, and the default waits a second
            "error_cb": problems.append,
            "log_level": 0,
        }

    def _take(
        self, messages: list[Any], ends: dict[TopicPartition, int], at: dict[TopicPartition, int], consumer: Any
    ) -> tuple[ReadBatch, list[TopicPartition]]:
        """The records before the ends, and the finished partitions."""
        taking = _Taking(ends, at)
        for key, run in groupby(messages, key=_partition):
            own = list(run)
            good = [m for m in own if m.error() is None]
            if good:
                self._take_run(key, good, taking)
            if len(good) < len(own):
                for message in own:
                    if message.error() is not None:
                        self._trouble(key, message, taking)
        if taking.lost:
            self._pass_over(taking, consumer)
        if taking.batch.records:
            mean = sum(map(len, messages)) / len(messages) + 200
            self._mean = mean if mean > self._mean else 0.8 * self._mean + 0.2 * mean
        return taking.batch, taking.through

    @staticmethod
    def _take_run(key: TopicPartition, messages: list[Any], taking: _Taking) -> None:
        """Consecutive messages of one partition. Most of a replay's work in Python: a comprehension is twice as fast as a loop."""
        if not (end := taking.ends.get(key, 0)):
            return
        batch = taking.batch
        last = messages[-1].offset()
        inside = messages if last < end else [m for m in messages if m.offset() < end]
        topic, partition = key
        batch.records += [
            Read(topic, partition, m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers() or ()) for m in inside
        ]
        if inside:
            batch.reached[key] = taking.at[key] = inside[-1].offset() + 1
        if last >= end - 1:
            taking.finish(key)

    def _trouble(self, key: TopicPartition, message: Any, taking: _Taking) -> None:
        error, ends = message.error(), taking.ends
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            if key not in ends or message.offset() < taking.at[key]:
                return
            if message.offset() < ends[key]:
                return  # a new leader may not know yet how far its records are committed: they arrive, or reading stalls
            taking.finish(key)
        elif code == KafkaError._AUTO_OFFSET_RESET:
            taking.lost.append(key)
        elif code not in _PASSING:
            raise explain(error, self._connection)

    def _pass_over(self, taking: _Taking, consumer: Any) -> None:
        """Skip what partitions lost before it was read: count it, log it, and continue after it. Raises CutShort."""
        ends, at = taking.ends, taking.at
        for key in taking.lost:
            first, last = consumer.get_watermark_offsets(Position(*key), timeout=30.0)
            if key in ends and at[key] > last:
                raise CutShort(key, at[key], last, _AS_IT_IS_NOW)
            if key in ends and first > at[key]:
                gone = min(first, ends[key]) - at[key]
                self.expired[key] = self.expired.get(key, 0) + gone
                events.warn(f"{gone} offsets of {key[0]}-{key[1]} from {at[key]} on were deleted before they were read")
                at[key] = taking.batch.reached[key] = min(first, ends[key])
                if first >= ends[key]:
                    del ends[key]
        # A partition without a valid position can't be sought in; a new assignment sets all positions.
        consumer.assign([Position(*key, at[key]) for key in ends])

    def _stalled(self, ends: Mapping[TopicPartition, int], problems: list[KafkaError]) -> Unreachable:
        (topic, partition), end = min(ends.items())
        why = f" (last problem: {problems[-1].str()})" if problems else ""
        return Unreachable(
            f"no record of {len(ends)} partitions arrived for {STALL_S:.0f} s{why}",
            f"Among them is {topic}-{partition}, up to offset {end}: it has no leader, was deleted, or an unclean election cut it short.",
        )
