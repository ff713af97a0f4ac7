"""A small load that writes down what it sees, for tests of Loki's check; and ways to make a real cluster truly lose records."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from asgard.kafka import segments, stamp
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic, Partition, Topic
from asgard.loki.check.history import SUFFIX, Acks
from asgard.loki.check.outcome import failed_for_sure
from asgard.loki.check.recorder import ProducerLog, Recorder
from tests.harness.acked import read_all
from tests.harness.cluster import RealCluster

_WAIT_S = 60.0


@dataclass
class Sender:
    """A producer with its log; `acked` are the values that were acknowledged, for counting by hand."""

    number: int
    producer: Producer
    log: ProducerLog
    acked: set[bytes]


class RecordedLoad:
    """Producers and consumers whose history goes into a directory."""

    def __init__(self, directory: Path, connection: Connection) -> None:
        self.directory, self.connection, self.run = directory, connection, os.urandom(16)
        directory.mkdir(parents=True, exist_ok=True)
        self.recorder = Recorder(directory / f"load{SUFFIX}", self.run)
        self.senders: list[Sender] = []
        self._consumers = 0

    def sender(self, acks: Acks = "all", **config: object) -> Sender:
        """A new producer; with acks=all it is idempotent."""
        strong = acks == "all"
        number = len(self.senders)
        log = self.recorder.producer(number, acks=acks, idempotence=strong, transactions="transactional.id" in config)
        conf = {"acks": acks, "enable.idempotence": strong, "linger.ms": 5, "log_level": 2, **config}
        self.senders.append(Sender(number, Producer({**self.connection.for_librdkafka(), **conf}), log, set()))
        return self.senders[-1]

    def send(self, sender: Sender, topic: str, count: int, *, wait_s: float = 30) -> None:
        """Send so many records and wait for the answers."""
        first = sender.log.take(topic, count)
        for sequence in range(first, first + count):
            value = b"%d/%d " % (sender.number, sequence) * 10

            def told(
                error: KafkaError | None, message: Message, sequence: int = sequence, value: bytes = value
            ) -> None:
                if error is None:
                    sender.acked.add(value)
                    sender.log.acked(topic, message.partition() or 0, sequence, message.offset())
                elif failed_for_sure(error.code()):
                    sender.log.failed(topic, sequence, error.name())
                else:
                    sender.log.indeterminate(topic, sequence, error.name())

            header = stamp.make(self.run, sender.number, sequence, time.time_ns() // 1000, value)
            sender.producer.produce(topic, value, headers=[(stamp.HEADER, header)], on_delivery=told)
            sender.producer.poll(0)
        sender.producer.flush(wait_s)
        sender.log.flush()

    def consume(self, topic: str, partitions: int, count: int) -> None:
        """A consumer that assigns all partitions and reads so many records."""
        log = self.recorder.consumer(self._consumers, via="assign")
        self._consumers += 1
        conf = {"group.id": "check", "auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 2}
        consumer = Consumer({**self.connection.for_librdkafka(), **conf})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        log.assigned((topic, p) for p in range(partitions))
        until, given = time.monotonic() + _WAIT_S, 0
        while given < count and time.monotonic() < until:
            given += len(log.polled(consumer.consume(500, 0.2)))
        consumer.close()

    def lost_by_hand(self, topic: str) -> int:
        """Acknowledged values that a plain consumer does not find any more."""
        there = {record.value for record in read_all(self.connection, topic)}
        return len(set().union(*(sender.acked for sender in self.senders)) - there)


def create(cluster: RealCluster, name: str, partitions: int, replication: int, **config: str) -> Topic:
    """A topic whose replicas are all in sync."""
    with connect(cluster.connection) as control:
        settings = {key.replace("_", "."): value for key, value in config.items()}
        assert control.create_topics([NewTopic(name, partitions, replication, settings)]) == {name: None}
    in_sync(cluster, name, replication)
    with connect(cluster.connection) as control:
        return control.topics([name])[name]


def in_sync(cluster: RealCluster, topic: str, replicas: int) -> None:
    """Wait until every partition has a leader and exactly so many replicas in its ISR."""
    wait(cluster, topic, lambda p: len(p.isr) == replicas and p.leader >= 0)


def wait(cluster: RealCluster, topic: str, reached: Callable[[Partition], bool]) -> None:
    """Wait until every partition of the topic is so."""
    until = time.monotonic() + _WAIT_S
    with connect(cluster.connection) as control:
        while time.monotonic() < until:
            found = control.topics([topic])
            if topic in found and all(reached(p) for p in found[topic].partitions):
                return
            time.sleep(0.05)
    raise AssertionError(f"{topic} is still {found}")


def on_disk(cluster: RealCluster, topic: str, broker: int, records: int) -> None:
    """Wait until that replica of partition 0 has so many records on its disk."""
    until = time.monotonic() + _WAIT_S
    while time.monotonic() < until:
        directory = cluster.run_dir(broker).partition_dir(topic, 0)
        files = segments.segments(directory) if directory is not None else []
        if max((b.last_offset + 1 for file in files for b in segments.batches(file)), default=0) >= records:
            return
        time.sleep(0.05)
    raise AssertionError(f"broker {broker} did not follow")


def lose_with_acks_1(cluster: RealCluster, load: RecordedLoad, topic: str) -> int:
    """The follower hangs while the leader acknowledges alone and dies; then the follower leads. Gives the dead broker.

    Unclean elections are allowed, so that it goes this way however long the follower hung.
    """
    (partition,) = create(cluster, topic, 1, 2, unclean_leader_election_enable="true").partitions
    follower = next(r for r in partition.replicas if r != partition.leader)
    sender = load.sender("1")
    load.send(sender, topic, 100)
    on_disk(cluster, topic, follower, 100)
    cluster.pause(follower)
    # The fetch that hangs at the leader is answered with the first of these: the follower appends it when it goes on.
    load.send(sender, topic, 20, wait_s=10)
    load.send(sender, topic, 50, wait_s=10)
    cluster.kill(partition.leader)
    cluster.resume(follower)
    wait(cluster, topic, lambda p: p.leader == follower)
    load.send(sender, topic, 30)
    return partition.leader


def lose_with_min_isr_1(cluster: RealCluster, load: RecordedLoad, topic: str) -> int:
    """acks=all with min.insync.replicas=1: the follower is dead while the leader acknowledges; the leader dies, and the follower
    comes back and is elected although it was not in the ISR. Gives the dead broker."""
    settings = {"unclean_leader_election_enable": "true", "min_insync_replicas": "1"}
    (partition,) = create(cluster, topic, 1, 2, **settings).partitions
    follower = next(r for r in partition.replicas if r != partition.leader)
    sender = load.sender()
    load.send(sender, topic, 100)
    cluster.kill(follower)
    in_sync(cluster, topic, 1)
    load.send(sender, topic, 70)
    cluster.kill(partition.leader)
    cluster.start_node(follower)
    wait(cluster, topic, lambda p: p.leader == follower)
    load.send(load.sender(), topic, 30)  # the first one's sequence numbers went with the lost records
    return partition.leader


def lose_with_all_disks(cluster: RealCluster, load: RecordedLoad, topic: str) -> None:
    """acks=all, RF 3, min ISR 2: every replica's directory is deleted while all brokers are down. Nothing survives that."""
    create(cluster, topic, 1, 3, min_insync_replicas="2")
    load.send(load.sender(), topic, 100)
    for node in cluster.specs:
        cluster.kill(node)
    for node in cluster.specs:
        directory = cluster.run_dir(node).partition_dir(topic, 0)
        assert directory is not None
        shutil.rmtree(directory)
    cluster.all_up()
    in_sync(cluster, topic, 3)


def keep_with_min_isr_2(cluster: RealCluster, load: RecordedLoad, topic: str) -> None:
    """acks=all, RF 3, min ISR 2: the leader is killed between sends, and nothing is lost."""
    (partition,) = create(cluster, topic, 1, 3, min_insync_replicas="2").partitions
    sender = load.sender()
    load.send(sender, topic, 100)
    cluster.kill(partition.leader)
    load.send(sender, topic, 100)
    cluster.start_node(partition.leader)
    in_sync(cluster, topic, 3)
