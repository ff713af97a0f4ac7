"""Archive topics until stopped; several processes share the partitions through a consumer group.

The group decides which process archives a partition, the manifest how far it is archived. Before a file is added, the process commits
the offset to check that it still owns the partition in this generation (this also shows the lag to everyone's tools). The manifest
accepts a file only from the last process to claim the shard, so a former owner's file is never part of the archive.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Position

from asgard.core import events
from asgard.core.errors import AsgardError, Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.data import explain
from asgard.kafka.groups import ARCHIVE
from asgard.kafka.model import Offsets
from asgard.kafka.ports import ControlPlane
from asgard.thor.archive import source
from asgard.thor.archive.ledger import Fenced
from asgard.thor.archive.model import fresh
from asgard.thor.archive.run import passed_over
from asgard.thor.archive.shards import ArchiveOptions, Done, Shards
from asgard.thor.archive.source import Key
from asgard.thor.archive.storage import Storage
from asgard.thor.replay.model import CutShort

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
        self.unstarted: set[Key] = set()
        """Partitions of this process that it does not archive yet, or no longer since another writer had them."""
        self.leaderless: set[Key] = set()
        """The same, of partitions that wait for a leader: until the next look."""
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
                if time.monotonic() - self.looked > LOOK_S:
                    self.look()
                self.start()
                failing_since = 0.0
            except Unreachable as error:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > PATIENCE_S:
                    raise
                events.warn(f"{error.what}; trying again in 5 s")
                time.sleep(5)
            self.shards.options.ease(sum(map(len, messages)))

    def take(self, messages: list[Any]) -> None:
        """Add the records read. If a shard's storage fails, it is read again from the end of its manifest."""
        trouble: Unreachable | None = None
        found, wrong = source.sort(messages)
        for key, own in found.items():
            if key not in self.shards or key in self.unstarted:
                continue
            try:
                self.shards.append(key, own)
            except Fenced as error:
                self.fenced(key, error)
            except Unreachable as error:
                trouble = error
                self.read_from([key])
        for key, message in wrong.items():
            try:
                self.failed(key, message.error())
            except Unreachable as error:
                trouble = error
        if trouble is not None:
            raise trouble

    def failed(self, key: Key, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            if key in self.shards and key not in self.unstarted:
                self.out_of_range(key)
        elif error.code() in (
            KafkaError.UNKNOWN_TOPIC_OR_PART,
            KafkaError._UNKNOWN_TOPIC,
            KafkaError._UNKNOWN_PARTITION,
        ):
            events.warn(f"{error.str()}: archiving it continues when it is back")
        elif not error.retriable() and error.code() not in (KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):  # fmt: skip
            raise explain(error, self.connection)

    def out_of_range(self, key: Key) -> None:
        """The record that comes next is gone: it expired, or the topic was created again. Raises CutShort if neither is so."""
        try:
            passed_over(self.control, self.shards, key)
            self.read_from([key])
        except Fenced as error:
            self.fenced(key, error)
        except Unreachable:
            self.restart(key)
            raise
        except CutShort:
            former = self.shards.shard(key)
            self.restart(key)
            self.look()
            if self.shards.topics.shards.get(key, former) == former:
                raise

    def close(self, key: Key) -> None:
        """Add the open container of a shard."""
        try:
            self.shards.close(key, self.shards.position(key))
        except Fenced as error:
            self.fenced(key, error)
        except Unreachable:
            self.read_from([key])
            raise

    def read_from(self, keys: Collection[Key]) -> None:
        """Read shards from their positions. They are assigned anew: librdkafka refuses to seek in a partition that it does not read."""
        if moved := self.assignment() & set(keys):
            self.consumer.incremental_unassign([Position(*key) for key in moved])
        self.consumer.incremental_assign([Position(*key, self.shards.position(key)) for key in keys])

    def assignment(self) -> set[Key]:
        """The partitions being read."""
        return _keys(self.consumer.assignment())

    def fenced(self, key: Key, error: Fenced) -> None:
        """Another process has the shard, or had it (prune, a manual run): `start` finds out, and continues after that process."""
        events.note(error.what)
        self.restart(key)

    def restart(self, key: Key) -> None:
        """Forget what is not in the archive yet, and let `start` begin again at the end of the manifest."""
        self.shards.drop(key)
        self.unstarted.add(key)

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

    def start(self) -> None:
        """Claim the unstarted shards, and read them from the end of their manifests. If that fails, they stay unstarted."""
        if not self.unstarted:
            return
        self.unstarted -= {key for key in self.unstarted & self.assignment() if self.consumer_lost(key)}
        if not self.unstarted <= self.shards.topics.shards.keys():
            self.shards.topics = source.look(self.control, self.names)
        held = self.control.offsets(sorted(self.unstarted & self.shards.topics.shards.keys()))
        self.leaderless |= self.unstarted - held.keys()
        self.unstarted &= held.keys()
        try:
            self.claim(held)
        except Fenced as error:
            events.note(error.what)

    def claim(self, held: Mapping[Key, Offsets]) -> None:
        """Claim these shards, which hold these offsets, and read them. Raises Fenced."""
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
        self.read_from(held)
        self.unstarted -= held.keys()

    def assigned(self, consumer: Consumer, partitions: list[Position]) -> None:
        if partitions:
            events.note(f"this process archives {len(partitions)} partitions")
        self.unstarted |= _keys(partitions)
        self.guarded(self.start)
        consumer.incremental_assign([])  # without any call, librdkafka would read them from the group's offsets

    def revoked(self, consumer: Consumer, partitions: list[Position]) -> None:
        for key in _keys(partitions) & set(self.shards.open_keys()):
            self.guarded(partial(self.shards.close, key, self.shards.position(key)))
        self.lost(consumer, partitions)

    def lost(self, consumer: Consumer, partitions: list[Position]) -> None:
        keys = _keys(partitions)
        for key in keys:
            self.shards.drop(key)
        self.unstarted -= keys
        self.leaderless -= keys
        consumer.incremental_unassign([Position(*key) for key in keys & self.assignment()])

    def guarded(self, work: Callable[[], None]) -> None:
        """Call `work` from a librdkafka callback: an error is kept until the callback has returned."""
        try:
            work()
        except Fenced as error:
            events.note(error.what)
        except AsgardError as error:
            self.trouble = error

    def look(self) -> None:
        """Look at topics and groups again. A topic that was created again starts another life in the archive."""
        self.looked = time.monotonic()
        self.unstarted |= self.leaderless
        self.leaderless.clear()
        topics = source.look(self.control, self.names)
        for key in self.shards.open_keys():
            if topics.shards.get(key, self.shards.shard(key)) != self.shards.shard(key):
                try:
                    self.shards.close(key, self.shards.position(key))
                except (Fenced, Unreachable) as error:
                    events.warn(error.what)
                self.restart(key)
        self.shards.topics = topics

    def end(self, *, add: bool) -> None:
        """Release everything; with `add`, open containers become part of the archive first."""
        try:
            if add:
                for key in self.shards.open_keys():
                    self.close(key)
        finally:
            self.shards.drop_all()
            self.consumer.close()


def _keys(partitions: Collection[Position]) -> set[Key]:
    return {(p.topic, p.partition) for p in partitions}
