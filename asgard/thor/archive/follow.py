"""Archive topics until stopped; several processes share the partitions through a consumer group.

The group decides which process archives a partition, the manifest how far it is archived. Before a file is added, the process commits
the offset to check that it still owns the partition in this generation (this also shows the lag to everyone's tools). The manifest
accepts a file only from the last process to claim the shard, so a former owner's file is never part of the archive.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from asgard.core import events
from asgard.core.errors import AsgardError, Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.data import explain
from asgard.kafka.groups import ARCHIVE
from asgard.kafka.ports import ControlPlane
from asgard.thor.archive import source
from asgard.thor.archive.ledger import Fenced
from asgard.thor.archive.model import fresh
from asgard.thor.archive.run import passed_over
from asgard.thor.archive.shards import ArchiveOptions, Done, Shards
from asgard.thor.archive.source import Key
from asgard.thor.archive.storage import Storage

SESSION_S = 10.0
LOOK_S = 60.0
"""How often topics, their settings and the groups' offsets are refreshed."""
PATIENCE_S = 300.0
"""How long storage or cluster may fail before the process ends; a service manager starts it again."""
_OUSTED = (KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID, KafkaError._ASSIGNMENT_LOST, KafkaError._STATE, KafkaError.FENCED_MEMBER_EPOCH, KafkaError.STALE_MEMBER_EPOCH)  # fmt: skip


def group_of(storage: Storage) -> str:
    """The consumer group of the processes that fill an archive together."""
    return f"{ARCHIVE}{hashlib.sha256(storage.url.encode()).hexdigest()[:12]}"


def follow(
    control: ControlPlane,
    connection: Connection,
    names: Collection[str],
    storage: Storage,
    options: ArchiveOptions,
) -> Done:
    """Archive until interrupted; open containers are added to the archive first."""
    follower = _Follower(control, connection, source.chosen(control, names), storage, options)
    try:
        follower.run()
    except BaseException as error:
        follower.end(add=not isinstance(error, AsgardError))
        raise
    follower.end(add=True)
    return follower.shards.done


class _Follower:
    def __init__(
        self,
        control: ControlPlane,
        connection: Connection,
        names: list[str],
        storage: Storage,
        options: ArchiveOptions,
    ) -> None:
        self.control, self.connection, self.names = control, connection, names
        self.shards = Shards(storage, source.look(control, names), options, source.heads_of(control), self.confirm)
        self.looked = time.monotonic()
        self.trouble: AsgardError | None = None
        self.leaderless: set[Key] = set()
        self.consumer: Consumer = source.consumer(
            connection,
            **{
                "group.id": group_of(storage),
                "partition.assignment.strategy": "cooperative-sticky",
                "client.id": options.client_id,
                "session.timeout.ms": int(SESSION_S * 1000),
                "max.poll.interval.ms": 300_000,
                "allow.auto.create.topics": False,
            },
        )
        self.consumer.subscribe(names, on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)

    def run(self) -> None:
        batches, failing_since = source.Batches(), 0.0
        events.step(
            f"archiving {', '.join(self.names)} to {self.shards.storage.url} as {group_of(self.shards.storage)}"
        )
        while True:
            messages = batches.take(self.consumer, 0.5)
            if self.trouble is not None:
                raise self.trouble
            try:
                self.take(messages)
                for key in self.shards.aged():
                    self.close(key)
                failing_since = 0.0
            except Unreachable as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > PATIENCE_S:
                    raise
                events.warn(f"{error.what}; trying again in 5 s")
                time.sleep(5)
            if time.monotonic() - self.looked > LOOK_S:
                self.look()
            self.shards.options.ease(sum(map(len, messages)))

    def take(self, messages: list[Any]) -> None:
        """Add the records read. If a shard's storage fails, it is read again from the end of its manifest."""
        trouble: Unreachable | None = None
        found, wrong = source.sort(messages)
        for key, own in found.items():
            if key not in self.shards:
                continue
            try:
                self.shards.append(key, own)
            except Fenced as error:
                self.fenced(key, error)
            except Unreachable as error:
                trouble = error
                self.again(key)
        for key, message in wrong.items():
            self.failed(key, message.error())
        if trouble is not None:
            raise trouble

    def failed(self, key: Key, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET and key in self.shards:
            self.consumer.seek(Position(*key, passed_over(self.control, self.shards, key)))
        elif error.code() in (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
            KafkaError._UNKNOWN_PARTITION,
        ):
            events.warn(f"{error.str()}: archiving it continues when it is back")
        elif not error.retriable() and error.code() not in (KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):  # fmt: skip
            raise explain(error, self.connection)

    def close(self, key: Key) -> None:
        """Add the open container of a shard."""
        try:
            self.shards.close(key, self.shards.position(key))
        except Fenced as error:
            self.fenced(key, error)
        except Unreachable:
            self.again(key)
            raise

    def again(self, key: Key) -> None:
        """Read again what was not added."""
        self.consumer.seek(Position(*key, self.shards.position(key)))

    def fenced(self, key: Key, error: Fenced) -> None:
        """Another process has the shard, or had it (prune, a manual run): if we still own it, continue after that process."""
        events.note(error.what)
        self.shards.drop(key)
        if any((p.topic, p.partition) == key for p in self.consumer.assignment()) and not self.consumer_lost(key):
            self.start([key], moved=True)

    def consumer_lost(self, key: Key) -> bool:
        """Whether the group has given the partition to another member."""
        try:
            self.confirm(key, -1)
        except Fenced:
            return True
        return False

    def confirm(self, key: Key, end: int) -> None:
        """Raise Fenced if this member does not own the partition in the group's current generation."""
        try:
            offsets = [Position(*key, end)] if end >= 0 else self.consumer.committed([Position(*key)], timeout=10)
            if offsets[0].offset >= 0:
                self.consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            problem = error.args[0]
            if problem.code() in _OUSTED:
                raise Fenced(f"{key[0]}-{key[1]} was given to another member of the group") from error
            if problem.code() != KafkaError.REBALANCE_IN_PROGRESS:  # then the manifest alone decides
                raise explain(problem, self.connection) from error

    def start(self, keys: list[Key], *, moved: bool = False) -> None:
        """Claim shards and read them from the end of their manifests."""
        for key in keys:
            if key not in self.shards.topics.shards:
                self.look()
        keys = [key for key in keys if key in self.shards.topics.shards]
        held = self.control.offsets(keys)
        self.leaderless = (self.leaderless | set(keys)) - held.keys()
        known = self.shards.heads(list(held))
        heads = {
            key: known[key]
            if known[key].seq
            else fresh(known[key].shard, self.shards.topics.cluster_id, held[key].start)
            for key in held
        }
        for key, head in self.shards.claim(heads).items():
            if head.end < held[key].start:
                self.shards.gap(key, held[key].start, "expired")
            position = Position(*key, self.shards.position(key))
            if moved:
                self.consumer.seek(position)
            else:
                self.consumer.incremental_assign([position])

    def assigned(self, consumer: Consumer, partitions: list[Position]) -> None:
        keys = [(p.topic, p.partition) for p in partitions]
        if keys:
            events.note(f"this process archives {len(keys)} partitions")
        self.guarded(lambda: self.start(keys))

    def revoked(self, consumer: Consumer, partitions: list[Position]) -> None:
        def hand_over() -> None:
            for p in partitions:
                key = (p.topic, p.partition)
                if key in self.shards:
                    self.close(key)
                    self.shards.drop(key)
                self.leaderless.discard(key)

        self.guarded(hand_over)
        consumer.incremental_unassign(partitions)

    def lost(self, consumer: Consumer, partitions: list[Position]) -> None:
        for p in partitions:
            self.shards.drop((p.topic, p.partition))
        consumer.incremental_unassign(partitions)

    def guarded(self, work: Callable[[], None]) -> None:
        """Call `work` from a librdkafka callback: an error is kept until the callback has returned."""
        try:
            work()
        except Fenced as error:
            events.note(error.what)
        except AsgardError as error:
            self.trouble = error

    def look(self) -> None:
        """Look at topics and groups again."""
        self.looked = time.monotonic()
        try:
            self.shards.topics = source.look(self.control, self.names)
            ours = {(p.topic, p.partition) for p in self.consumer.assignment()}
            if waiting := sorted(self.leaderless - ours):
                self.start(waiting)
        except Unreachable as error:
            events.warn(error.what)

    def end(self, *, add: bool) -> None:
        """Release everything; with `add`, open containers become part of the archive first."""
        try:
            if add:
                for key in self.shards.open_keys():
                    self.close(key)
        finally:
            self.shards.drop_all()
            self.consumer.close()
