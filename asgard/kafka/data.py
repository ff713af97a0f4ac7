"""The data plane in bulk, on librdkafka: write many records and know the result of each, read everything in a topic.

Writing is idempotent with acks=all: a record counts as acknowledged only when Kafka said so. Reading goes from the
first offset to the end offsets at the start, without a consumer group, so it leaves no trace and always ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Position

from asgard.core.errors import AsgardError, Failed, Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.model import Offsets
from asgard.kafka.tls_words import probe, trouble

Headers = Sequence[tuple[str, bytes]]
_FAILURES_KEPT = 5


@dataclass(frozen=True, slots=True)
class Record:
    """A record to write. `timestamp_ms` 0: now. `partition` -1: by key, as Kafka's own clients do (murmur2)."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp_ms: int = 0
    partition: int = -1


class Read(NamedTuple):
    """A record that was read, with the time the broker or producer gave it (ms, UTC).

    A named tuple, since millions are created: a frozen data class takes four times as long.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass
class Tally:
    """A writer's results. `acknowledged` by topic; `failures` holds the first few reasons."""

    sent: int = 0
    acknowledged: dict[str, int] = field(default_factory=dict)
    failed: int = 0
    failures: list[str] = field(default_factory=list)

    @property
    def acked(self) -> int:
        """All acknowledged records."""
        return sum(self.acknowledged.values())

    @property
    def unknown(self) -> int:
        """Sent, but neither acknowledged nor refused (yet)."""
        return self.sent - self.acked - self.failed


class Writer:
    """One producer, idempotent by default. A context manager; on leaving it waits for all answers. Used by one thread.

    Without `idempotent`, the first record goes out half a second sooner (librdkafka requests no producer id), but a
    retry may duplicate a record. `deadline_s` is how long a record may wait for its acknowledgement, retries included,
    and how long a full queue may stall.
    """

    def __init__(
        self, connection: Connection, *, deadline_s: float = 60, name: str = "asgard", idempotent: bool = True
    ) -> None:
        self.tally = Tally()
        self._deadline_s = deadline_s
        self._connection = connection
        self._fatal: KafkaError | None = None
        self._last_error: KafkaError | None = None
        self._producer = Producer(
            {
                **connection.for_librdkafka(),
                "client.id": name,
                "enable.idempotence": idempotent,
                "acks": "all",
                "partitioner": "murmur2_random",
                "linger.ms": 5,
                "compression.type": "lz4",
                "delivery.timeout.ms": int(deadline_s * 1000),
                "request.timeout.ms": int(min(deadline_s, 30) * 1000),
                "error_cb": self._noticed,
                "log_level": 0,
            }
        )

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.finish()
        else:
            self._producer.purge()
            self._producer.flush(1)

    def send(self, record: Record) -> None:
        """Queue a record; waits while the queue is full. Raises errors that would stop all records (a refused
        login)."""
        give_up = time.monotonic() + self._deadline_s
        while True:
            if self._fatal is not None:
                raise explain(self._fatal, self._connection)
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    record.partition,
                    on_delivery=self._answered,
                    timestamp=record.timestamp_ms,
                    headers=list(record.headers) or None,
                )
            except BufferError:
                if time.monotonic() > give_up:
                    raise self._too_late("the queue of records to send did not drain") from None
                self._producer.poll(0.1)
            except KafkaException as error:
                raise explain(error.args[0], self._connection) from error
            else:
                self.tally.sent += 1
                self._producer.poll(0)
                return

    def send_all(self, records: Iterable[Record]) -> None:
        """Queue many."""
        for record in records:
            self.send(record)

    def finish(self) -> Tally:
        """Wait for the answers to everything that was sent. Raises Unreachable if some are missing after the
        deadline."""
        give_up = time.monotonic() + self._deadline_s + 5
        while len(self._producer) and time.monotonic() < give_up:
            self._producer.flush(0.5)
            if self._fatal is not None:
                self._producer.purge()
                self._producer.flush(1)
                raise explain(self._fatal, self._connection)
        if self.tally.unknown:
            raise self._too_late(f"{self.tally.unknown} records were neither acknowledged nor refused")
        return self.tally

    def _too_late(self, what: str) -> AsgardError:
        why = f" (last problem: {_plain(self._last_error)})" if self._last_error is not None else ""
        return Unreachable(f"{what} within {self._deadline_s:g} s{why}")

    def _noticed(self, error: KafkaError) -> None:
        self._last_error = error
        if error.fatal() or _refused(error):
            self._fatal = error

    def _answered(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            topic = message.topic()
            self.tally.acknowledged[topic] = self.tally.acknowledged.get(topic, 0) + 1
            return
        self.tally.failed += 1
        if len(self.tally.failures) < _FAILURES_KEPT:
            why = f" ({_plain(self._last_error)})" if self._last_error is not None else ""
            self.tally.failures.append(f"{message.topic()}: {explain(error, self._connection).what}{why}")


def read(
    connection: Connection,
    partitions: Mapping[tuple[str, int], Offsets],
    *,
    deadline_s: float = 60,
    batch: int = 10_000,
) -> Iterator[list[Read]]:
    """Batches of the records between `start` and `end` of each partition; `ControlPlane.offsets` gives them.

    Like `read_messages`, with the records as plain data.
    """
    for messages in read_messages(connection, partitions, deadline_s=deadline_s, batch=batch):
        yield [plain(message) for message in messages]


def read_messages(
    connection: Connection,
    partitions: Mapping[tuple[str, int], Offsets],
    *,
    deadline_s: float = 60,
    batch: int = 10_000,
    reached: dict[tuple[str, int], int] | None = None,
) -> Iterator[list[Any]]:
    """Batches of confluent-kafka's messages between `start` and `end` of each partition, for readers of millions.

    `reached` gets the offset up to which each partition was read: an open transaction ends the read before `end`, and
    so does the deadline. Records deleted by retention or compaction meanwhile are skipped. Raises Unreachable if the
    ends are not reached within `deadline_s` of reading (time in the caller does not count).
    """
    ends = {key: offsets.end for key, offsets in partitions.items() if offsets.records > 0}
    if not ends:
        return
    problems: list[KafkaError] = []
    consumer = Consumer(
        {
            **connection.for_librdkafka(),
            "client.id": "asgard-reader",
            "group.id": "asgard-reader",  # librdkafka requires one; nothing is committed and no group is joined
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "error_cb": problems.append,
            "log_level": 0,
        }
    )
    try:
        consumer.assign([Position(topic, partition, partitions[topic, partition].start) for topic, partition in ends])
        left_s = deadline_s
        while ends:
            started = time.monotonic()
            messages = consumer.consume(batch, timeout=min(max(left_s, 0), 0.5))
            before = set(ends)
            taken = _take(messages, ends, connection, reached if reached is not None else {})
            consumer.pause([Position(topic, partition) for topic, partition in before - ends.keys()])
            left_s -= time.monotonic() - started
            if taken:
                yield taken
            refused = next(filter(_refused, problems), None)
            if ends and (refused is not None or left_s <= 0):
                raise explain(refused, connection) if refused else _unfinished(ends, deadline_s, problems)
    finally:
        consumer.close()


def _take(
    messages: list[Any],
    ends: dict[tuple[str, int], int],
    connection: Connection,
    reached: dict[tuple[str, int], int],
) -> list[Any]:
    """The messages before the ends; drops finished partitions.

    A partition is finished at its last record, at a record beyond it, or when Kafka says there are no more: the last
    offsets may hold none (transaction markers, compaction).
    """
    taken = []
    for message in messages:
        key, error = (message.topic(), message.partition()), message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                if ends.pop(key, None) is not None:  # the rest of this batch is dropped: the end had moved on
                    reached[key] = message.offset()
            elif error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                pass  # librdkafka looks for a coordinator although no group is joined; a reader without one needs none
            elif not error.retriable():
                raise explain(error, connection)
            continue
        end, offset = ends.get(key, 0), message.offset()
        if offset >= end - 1:
            ends.pop(key, None)
        if offset < end:
            reached[key] = offset + 1
            taken.append(message)
    return taken


def plain(message: Any) -> Read:
    """A message of confluent-kafka as plain data."""
    where, when = (message.topic(), message.partition(), message.offset()), message.timestamp()[1]
    return Read(*where, when, message.key(), message.value(), tuple(message.headers() or ()))


def _unfinished(ends: Mapping[tuple[str, int], int], deadline_s: float, problems: list[KafkaError]) -> AsgardError:
    (topic, partition), end = min(ends.items())
    why = f" (last problem: {_plain(problems[-1])})" if problems else ""
    return Unreachable(
        f"{len(ends)} partitions were not read to their end within {deadline_s:g} s{why}",
        f"Among them is {topic}-{partition}, up to offset {end}.",
    )


def _refused(error: KafkaError) -> bool:
    """Whether retrying is pointless: the login was refused, or either side's certificate."""
    if error.code() == KafkaError._SSL:
        return trouble(str(error.str())) is not None
    return error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)


def delete_records(
    connection: Connection, before: Mapping[tuple[str, int], int], *, deadline_s: float = 30
) -> dict[tuple[str, int], AsgardError | None]:
    """Delete the records below an offset of each partition; None if it worked. It can't be undone."""
    from confluent_kafka.admin import AdminClient

    client = AdminClient({**connection.for_librdkafka(), "log_level": 0})
    positions = [Position(*key, offset) for key, offset in before.items()]
    if not positions:
        return {}
    answers: dict[tuple[str, int], AsgardError | None] = {}
    for position, answer in client.delete_records(positions, request_timeout=deadline_s).items():
        try:
            answer.result()
            answers[position.topic, position.partition] = None
        except KafkaException as error:
            answers[position.topic, position.partition] = explain(error.args[0], connection)
    return answers


def explain(error: KafkaError, connection: Connection) -> AsgardError:
    """librdkafka's error as a sentence of ours."""
    code, servers = error.code(), connection.bootstrap_servers
    who = f"the user {connection.username}" if connection.username else "an anonymous client"
    if code == KafkaError._SSL and (meant := trouble(str(error.str()))):
        meant = probe(connection) or meant
        return Unreachable(f"no TLS connection to {servers}: {meant.what}", meant.hint)
    if code in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
        return Failed(
            f"{servers} refuses the login of {who}: {_plain(error)}",
            "Check sasl.jaas.config in the client properties.",
        )
    if code in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE):
        if connection.tls and (found := probe(connection)):
            return Unreachable(f"no TLS connection to {servers}: {found.what}", found.hint)
        return Unreachable(
            f"no broker answers at {servers}: {_plain(error)}", "Is the cluster up? Try `asgard doctor`."
        )
    if code == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return Failed("not authorised to use the topic", f"{who[0].upper()}{who[1:]} needs READ or WRITE on it.")
    if code in (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT):
        return Unreachable(f"no acknowledgement from {servers} in time")
    return Failed(f"Kafka refused it: {_plain(error)}")


def _plain(error: KafkaError) -> str:
    text = str(error.str())
    return text.split("]: ", 1)[1] if text.startswith("[thrd:") and "]: " in text else text
