"""The exactly-once writer: records and their source's progress in one transaction, fenced by a transactional id.

After kill -9 at any instant, a new writer with the same name resolves the last one's open transaction (`open`), reads the committed
progress and continues from there. A writer overtaken by another with its name stops with Busy. Any other failure raises `Undone`:
the transaction left no trace, and the caller goes back to the positions that `open` returns.

librdkafka may re-batch a record when its partition's leader changes, and Kafka then can't tell that it was already written
(its issue 4953). So a transaction is aborted and sent again if the leader of a target partition changed or a connection broke
during it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Position

from asgard.core.errors import AsgardError, Busy, Failed, Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.data import Read, explain
from asgard.thor.replay import slots as places
from asgard.thor.replay.model import Saved, To, TopicPartition
from asgard.thor.replay.slots import Slot

QUEUE_BYTES = 48 * 1024 * 1024
TRANSACTION_TIMEOUT_S = 60.0
BATCH_BYTES = 1_000_000
COMMIT_EVERY_S = 3.0
COMMIT_EVERY_BYTES = 128 * 1024 * 1024
_FENCES = (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, 90)  # 90: PRODUCER_FENCED
_REFUSALS = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.POLICY_VIOLATION,
    87,  # INVALID_RECORD: no key in a compacted topic
)
_MOVING = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
_LOGIN = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)


def _silent() -> logging.Logger:
    logger = logging.getLogger("asgard.librdkafka")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


class Undone(Exception):
    """The transaction was, or must be, aborted: none of it is visible to readers of committed records."""


class ExactlyOnce:
    """One transactional producer. A context manager; on exit, an open transaction is aborted. Used by one thread.

    `name` is its transactional id, and the group of its progress. `slot_of` says where each source partition's progress is kept.
    `leaders` returns something that changes whenever the leader of a target partition does (leader epochs). `batch_bytes` is how large
    a batch of several records may become.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        slot_of: Mapping[TopicPartition, Slot],
        leaders: Callable[[], object],
        batch_bytes: int = BATCH_BYTES,
        compression: str = "lz4",
    ) -> None:
        self.name = name
        self._connection = connection
        self._slot_of = slot_of
        self._leaders = leaders
        self._producer: Any = None
        self._trouble: KafkaError | None = None
        self._refused: tuple[str, KafkaError] | None = None
        self._began = 0.0
        self.sent_bytes = 0
        """Keys and values in the open transaction."""
        self._in_transaction = False
        self._led: object = None
        self._conf = {
            **connection.for_librdkafka(),
            "client.id": name,
            "transactional.id": name,
            "transaction.timeout.ms": int(TRANSACTION_TIMEOUT_S * 1000),
            "delivery.timeout.ms": int(TRANSACTION_TIMEOUT_S * 1000) - 10_000,
            "partitioner": "murmur2_random",
            "linger.ms": 50,
            "batch.size": min(batch_bytes, BATCH_BYTES),
            "queue.buffering.max.messages": 100_000,
            "queue.buffering.max.kbytes": QUEUE_BYTES // 1024,
            "message.max.bytes": QUEUE_BYTES,  # before compression: the broker rejects what is too large after it
            "compression.type": compression,
            "delivery.report.only.error": True,
            "on_delivery": self._answered,
            "error_cb": self._noticed,
            "log_level": 0,
            "logger": _silent(),  # level 0 still prints fatal errors, which are raised anyway
        }
        groups = {slot.group for slot in slot_of.values()}
        self._groups = {i: _group(connection, name, i) for i in sorted(groups)}

    def __enter__(self) -> ExactlyOnce:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._drop(undo=True)
        for consumer in self._groups.values():
            consumer.close()

    def open(self) -> dict[TopicPartition, Saved]:
        """Fence off earlier writers with this name, resolve what they left open, and return the committed progress.

        Raises Undone if the brokers don't answer in time, Busy, and errors not worth retrying.
        """
        self._drop(undo=True)
        self._trouble = self._refused = None
        self._producer = Producer(self._conf)
        self._call(self._producer.init_transactions, 30.0, may_repeat=True)
        self._led = self._leaders()
        try:
            return _read_saved(self._groups, self._slot_of)
        except KafkaException as error:
            raise self._meaning(error.args[0]) from error

    def send(self, records: Iterable[tuple[Read, To]]) -> None:
        """Queue records; waits while the queue is full. Begins a transaction if none is open."""
        if not self._in_transaction:
            self._begin()
        produce, size = self._producer.produce, 0
        for record, (topic, partition, headers) in records:
            _, _, _, timestamp, key, value, _ = record
            while True:
                try:
                    produce(topic, value, key, partition, timestamp=timestamp, headers=headers or None)
                except BufferError:
                    self._wait_for_room()
                except KafkaException as error:
                    where = f"the record {record.topic}-{record.partition} at offset {record.offset} for {topic}"
                    raise self._meaning(error.args[0], where) from error
                else:
                    break
            size += len(value or b"") + len(key or b"")
        self.sent_bytes += size

    def _wait_for_room(self) -> None:
        self._served(lambda: self._producer.poll(0.1))
        if time.monotonic() - self._began > TRANSACTION_TIMEOUT_S - 15:
            raise Undone("the brokers took too long to accept records") from None

    def poll(self) -> None:
        """Let librdkafka report; call it every few hundred records. Raises Undone as soon as something fails."""
        self._served(lambda: self._producer.poll(0))

    @property
    def due(self) -> bool:
        """Whether the open transaction is old or large enough to commit."""
        return self._in_transaction and (
            time.monotonic() - self._began >= COMMIT_EVERY_S or self.sent_bytes >= COMMIT_EVERY_BYTES
        )

    @property
    def age_s(self) -> float:
        """How long the transaction has been open; 0 without one."""
        return time.monotonic() - self._began if self._in_transaction else 0.0

    def commit(self, progress: Mapping[TopicPartition, Saved]) -> None:
        """Commit the sent records together with this progress. Raises Undone, Busy, and errors not worth retrying."""
        if not self._in_transaction:
            if not progress:
                return
            self._begin()
        give_up = self._began + TRANSACTION_TIMEOUT_S - 10
        while len(self._producer) and time.monotonic() < give_up:
            self._served(lambda: self._producer.flush(0.2))
        if len(self._producer):
            raise Undone("the brokers did not acknowledge all records in time")
        led = self._leaders()
        if led != self._led:
            self._led = led
            raise Undone("leaders of the target changed meanwhile")
        for group, keys in places.by_group(self._slot_of, progress).items():
            positions = [_position(self._slot_of[key], key, progress[key]) for key in keys]
            member = self._groups[group].consumer_group_metadata()
            self._call(self._producer.send_offsets_to_transaction, positions, member, 30.0, may_repeat=True)
        self._look()
        self._call(self._producer.commit_transaction, 30.0, may_repeat=True)
        self._in_transaction, self.sent_bytes = False, 0

    def _begin(self) -> None:
        self._call(self._producer.begin_transaction)
        self._in_transaction, self._began = True, time.monotonic()

    def _drop(self, *, undo: bool) -> None:
        """Drop the producer; its open transaction is aborted here or by the next `open`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            if undo and self._in_transaction:
                producer.purge()
                with suppress(KafkaException):  # if this fails, the next init_transactions with this name aborts it
                    producer.abort_transaction(10.0)
            producer.purge()
        self._in_transaction, self.sent_bytes = False, 0

    def _call(self, function: Callable[..., Any], *args: Any, may_repeat: bool = False) -> None:
        give_up = time.monotonic() + TRANSACTION_TIMEOUT_S
        while True:
            try:
                function(*args)
            except KafkaException as error:
                problem = error.args[0]
                if may_repeat and problem.retriable() and time.monotonic() < give_up:
                    if self._trouble is not None and self._trouble.code() in _LOGIN:
                        raise explain(self._trouble, self._connection) from error
                    continue
                raise self._meaning(problem) from error
            else:
                return

    def _served(self, serve: Callable[[], object]) -> None:
        """Let librdkafka call back, and raise what it reported."""
        try:
            serve()
        except KafkaException as error:
            raise self._meaning(error.args[0]) from error
        self._look()

    def _look(self) -> None:
        if self._refused is not None:
            topic, error = self._refused
            raise self._meaning(error, f"a record for {topic}")
        if self._trouble is not None:
            raise self._meaning(self._trouble)

    def _meaning(self, error: KafkaError, what: str = "") -> Exception:
        """The exception for an error of librdkafka."""
        if error.code() in _FENCES:
            return Busy(
                f"another run of {self.name} took over, or this one was stopped for more than {TRANSACTION_TIMEOUT_S:.0f} s",
                "What was committed stays. If no other run is active, run the same command again: it continues from there.",
            )
        if error.code() in _LOGIN:
            return explain(error, self._connection)
        if error.code() in _REFUSALS:
            return self._refusal(error, what)
        return Undone(str(error.str()))

    def _refusal(self, error: KafkaError, what: str) -> AsgardError:
        if error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            return Failed(
                f"not authorised to use the transactional id {self.name}", "The user needs WRITE and DESCRIBE on it."
            )
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return Failed(f"not authorised to use the group {self.name}", "The user needs READ on it.")
        if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return Failed(
                f"{what or 'a record'} is larger than the target accepts",
                "Raise max.message.bytes of the target topic, and run the same command again: it continues from there.",
            )
        said = explain(error, self._connection)
        return Failed(f"{what or 'the target'}: {said.what}", said.hint)

    def _noticed(self, error: KafkaError) -> None:
        # An unreachable broker does not affect what is in flight, and the error repeats for as long as it is down.
        unreached = error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE) or "Connect to" in error.str()
        if error.code() in _LOGIN or not unreached:
            self._trouble = self._trouble or error

    def _answered(self, error: KafkaError | None, message: Any) -> None:
        if error is not None and error.code() not in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT):
            self._refused = self._refused or (message.topic(), error)


def committed(connection: Connection, name: str, slot_of: Mapping[TopicPartition, Slot]) -> dict[TopicPartition, Saved]:
    """The progress of the copy with this name, for read-only use. Raises what `explain` makes of Kafka's errors."""
    groups = {i: _group(connection, name, i) for i in {slot.group for slot in slot_of.values()}}
    try:
        return _read_saved(groups, slot_of)
    except KafkaException as error:
        raise explain(error.args[0], connection) from error
    finally:
        for consumer in groups.values():
            consumer.close()


def _read_saved(groups: Mapping[int, Any], slot_of: Mapping[TopicPartition, Slot]) -> dict[TopicPartition, Saved]:
    saved = {}
    for group, keys in places.by_group(slot_of, list(slot_of)).items():
        found = _patiently(groups[group], [_position(slot_of[key], key) for key in keys])
        for key, position in zip(keys, found, strict=True):
            if position.error is not None:
                raise KafkaException(position.error)
            if position.offset >= 0:
                saved[key] = places.parse(key, position.offset, position.metadata or "")
    return saved


def _patiently(consumer: Any, positions: list[Any]) -> list[Any]:
    """The committed offsets; waits for a moving coordinator, or for the first group of a cluster."""
    give_up = time.monotonic() + 30
    while True:
        try:
            found: list[Any] = consumer.committed(positions, timeout=30.0)
            moving = any(p.error is not None and p.error.code() in _MOVING for p in found)
            if not moving or time.monotonic() > give_up:
                return found
        except KafkaException as error:
            if error.args[0].code() not in _MOVING or time.monotonic() > give_up:
                raise
        time.sleep(0.2)


def _group(connection: Connection, name: str, index: int) -> Any:
    """A consumer that reads a group's offsets and identifies the group in transactions; it never joins."""
    conf = {
        "group.id": name if index == 0 else f"{name}.{index}",
        "client.id": name,
        "enable.auto.commit": False,
        "isolation.level": "read_committed",  # waits for the offset of an open transaction
        "error_cb": lambda error: None,
        "log_level": 0,
    }
    return Consumer({**connection.for_librdkafka(), **conf})


def _position(slot: Slot, key: TopicPartition, saved: Saved | None = None) -> Any:
    if saved is None:
        return Position(slot.topic, slot.partition)
    return Position(slot.topic, slot.partition, saved.position, places.metadata(key, saved))


def unreachable(why: str, patience_s: float) -> Unreachable:
    """The error if nothing could be committed for this long."""
    return Unreachable(
        f"nothing could be committed for {patience_s:.0f} s (last problem: {why})",
        "What was committed stays; run the same command again to continue from there.",
    )
