"""From a load on a real cluster to its verdict: nothing lost, truly lost, aborted, and what nobody can know."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from asgard.kafka import stamp
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic, Topic
from asgard.loki.check.anomalies import Case
from asgard.loki.check.check import check
from asgard.loki.check.history import SUFFIX, Acks, HistoryFiles
from asgard.loki.check.last_read import read_again
from asgard.loki.check.outcome import failed_for_sure
from asgard.loki.check.prove import prove
from asgard.loki.check.recorder import ProducerLog, Recorder
from asgard.loki.check.verdict import Outcome, Traces, Verdict
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka


class Load:
    """Producers and consumers that write down what they see."""

    def __init__(self, directory: Path, connection: Connection) -> None:
        self.directory, self.connection, self.run = directory, connection, os.urandom(16)
        self.recorder = Recorder(directory / f"load{SUFFIX}", self.run)
        self._producers = self._consumers = 0

    def producer(self, acks: Acks = "all", **config: object) -> tuple[Producer, ProducerLog]:
        idempotence = acks == "all"
        log = self.recorder.producer(
            self._producers, acks=acks, idempotence=idempotence, transactions="transactional.id" in config
        )
        self._producers += 1
        conf = {"acks": acks, "enable.idempotence": idempotence, "linger.ms": 5, "log_level": 2, **config}
        return Producer({**self.connection.for_librdkafka(), **conf}), log

    def send(self, writer: tuple[Producer, ProducerLog], topic: str, count: int, *, wait_s: float = 30) -> None:
        producer, log = writer
        first = log.take(topic, count)
        for sequence in range(first, first + count):

            def told(error: KafkaError | None, message: Message, sequence: int = sequence) -> None:
                if error is None:
                    log.acked(topic, message.partition() or 0, sequence, message.offset())
                elif failed_for_sure(error.code()):
                    log.failed(topic, sequence, error.name())
                else:
                    log.indeterminate(topic, sequence, error.name())

            value = b"value %d " % sequence * 10
            header = stamp.make(self.run, self._number(log), sequence, time.time_ns() // 1000, value)
            producer.produce(topic, value, headers=[(stamp.HEADER, header)], on_delivery=told)
            producer.poll(0)
        producer.flush(wait_s)
        log.flush()

    def consume(self, topic: str, partitions: int, count: int) -> None:
        log = self.recorder.consumer(self._consumers, via="assign")
        self._consumers += 1
        conf = {"group.id": "check", "auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 2}
        consumer = Consumer({**self.connection.for_librdkafka(), **conf})
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        log.assigned((topic, p) for p in range(partitions))
        until, given = time.monotonic() + 30, 0
        while given < count and time.monotonic() < until:
            given += len(log.polled(consumer.consume(500, 0.2)))
        consumer.close()

    @staticmethod
    def _number(log: ProducerLog) -> int:
        return log._number


@pytest.fixture
def load(secured_cluster: RealCluster, tmp_path: Path) -> Iterator[Load]:
    yield Load(tmp_path, secured_cluster.connection)
    secured_cluster.all_up()


def create(cluster: RealCluster, name: str, partitions: int, replication: int, **config: str) -> Topic:
    with connect(cluster.connection) as control:
        settings = {key.replace("_", "."): value for key, value in config.items()}
        assert control.create_topics([NewTopic(name, partitions, replication, settings)]) == {name: None}
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = control.topics([name])
            if name in found and all(len(p.isr) == replication and p.leader >= 0 for p in found[name].partitions):
                return found[name]
            time.sleep(0.05)
    raise AssertionError(f"{name} did not come up")


def verdict(cluster: RealCluster, directory: Path, **options: float) -> Verdict:
    with connect(cluster.connection) as control:
        nodes = [cluster.run_dir(node) for node in cluster.specs]
        return prove(directory, cluster.connection, control, nodes=nodes, **options)


def test_a_load_without_trouble_is_accounted_for_to_the_last_record(
    secured_cluster: RealCluster, load: Load, topic_name: str
) -> None:
    create(secured_cluster, topic_name, 3, 3, min_insync_replicas="2")
    first, second = load.producer(), load.producer(**{"compression.type": "zstd"})
    for _ in range(3):
        load.send(first, topic_name, 500)
        load.send(second, topic_name, 500)
    load.consume(topic_name, 3, 3000)
    load.recorder.close()
    found = verdict(secured_cluster, load.directory)
    assert (found.outcome, found.findings, found.notes) == (Outcome.KEPT, (), ())
    assert found.sentence == "All 3,000 acknowledged records are accounted for. No promise was broken."
    assert (found.counts.consumed, found.counts.read_back) == (3000, 3000)


def test_records_that_acks_1_lost_are_reported_as_lost_in_kafka(
    secured_cluster: RealCluster, load: Load, topic_name: str
) -> None:
    """The follower hangs while the leader acknowledges alone and dies: a clean election makes the follower leader."""
    (partition,) = create(secured_cluster, topic_name, 1, 2).partitions
    leader, follower = partition.leader, next(r for r in partition.replicas if r != partition.leader)
    writer = load.producer("1")
    load.send(writer, topic_name, 100)
    wait_replicated(secured_cluster, topic_name, follower, 100)
    secured_cluster.pause(follower)
    load.send(writer, topic_name, 70, wait_s=2)
    secured_cluster.kill(leader)
    secured_cluster.resume(follower)
    load.send(writer, topic_name, 30)
    load.recorder.close()

    found = verdict(secured_cluster, load.directory)
    lost = found.lost
    assert lost > 0 and found.counts.acknowledged == 200
    assert found.traces == Traces(in_kafka=lost, left_on={leader: lost})
    assert found.sentence.startswith(
        f"{lost} of 200 acknowledged records are lost in Kafka "
        f"(copies that nobody serves are left: {lost} on broker {leader})."
    )
    assert found.broken == () and "acks=1 trusts one replica" in found.sentence
    by_hand = read_values(secured_cluster, topic_name)
    assert lost == 200 - len(by_hand)

    secured_cluster.start_node(leader)
    wait_in_sync(secured_cluster, topic_name, 2)
    again = verdict(secured_cluster, load.directory)
    assert again.lost == lost and again.traces == Traces(in_kafka=lost)


def test_aborted_records_are_not_missed_and_an_open_transaction_hides_nothing_for_good(
    secured_cluster: RealCluster, load: Load, topic_name: str
) -> None:
    create(secured_cluster, topic_name, 1, 3)
    config = {"transactional.id": f"{topic_name}-a", "transaction.timeout.ms": 4000}
    (producer, log) = writer = load.producer(**config)
    producer.init_transactions(20)
    for end, note in ((producer.commit_transaction, log.commit), (producer.abort_transaction, log.abort)):
        producer.begin_transaction()
        log.begin()
        load.send(writer, topic_name, 50)
        end(20)
        note()
    producer.begin_transaction()
    log.begin()
    load.send(writer, topic_name, 5)  # and never an end
    load.send(load.producer(), topic_name, 20)  # acknowledged, behind the open transaction
    load.recorder.close()

    with connect(secured_cluster.connection) as control:
        read_again(load.directory, secured_cluster.connection, control, deadline_s=1)
    early = check(HistoryFiles(load.directory))
    assert early.cases.keys() == {Case.UNSEEN} and early.cases[Case.UNSEEN] >= 20, "what is behind it is not lost"
    found = verdict(secured_cluster, load.directory, deadline_s=60)
    assert (found.outcome, found.sentence, found.findings) == (Outcome.KEPT, found.sentence, ())
    assert (found.counts.acknowledged, found.counts.failed, found.counts.indeterminate) == (70, 50, 5)
    del producer


def test_records_that_retention_deleted_are_not_called_lost(
    secured_cluster: RealCluster, load: Load, topic_name: str
) -> None:
    create(secured_cluster, topic_name, 1, 3)
    load.send(load.producer(), topic_name, 100)
    load.recorder.close()
    delete_records(secured_cluster, topic_name, 40)
    found = verdict(secured_cluster, load.directory)
    assert (found.outcome, found.lost, found.counts.removed) == (Outcome.KEPT, 0, 40)


def test_what_a_topic_that_is_gone_held_stays_open(secured_cluster: RealCluster, load: Load, topic_name: str) -> None:
    create(secured_cluster, topic_name, 1, 3)
    load.send(load.producer(), topic_name, 10)
    load.recorder.close()
    with connect(secured_cluster.connection) as control:
        assert control.delete_topics([topic_name]) == {topic_name: None}
        until = time.monotonic() + 20
        while topic_name in control.topics([topic_name]) and time.monotonic() < until:
            time.sleep(0.05)
    found = verdict(secured_cluster, load.directory)
    assert (found.outcome, found.unseen) == (Outcome.UNDECIDED, 10)
    assert found.notes == (f"The last read is not complete: topic {topic_name} is gone.",)


def wait_replicated(cluster: RealCluster, topic: str, broker: int, records: int) -> None:
    """Until that replica has so many records on its disk."""
    from asgard.kafka import segments

    directory = segments.partition_dir(cluster.run_dir(broker), topic, 0)
    assert directory is not None
    until = time.monotonic() + 20
    while time.monotonic() < until:
        ends = [b.last_offset + 1 for s in segments.segments(directory) for b in segments.batches(s)]
        if ends and ends[-1] >= records:
            return
        time.sleep(0.05)
    raise AssertionError(f"broker {broker} did not follow")


def wait_in_sync(cluster: RealCluster, topic: str, replicas: int) -> None:
    until = time.monotonic() + 30
    with connect(cluster.connection) as control:
        while time.monotonic() < until:
            if all(len(p.isr) == replicas for p in control.topics([topic])[topic].partitions):
                return
            time.sleep(0.1)
    raise AssertionError(f"{topic} is not in sync")


def read_values(cluster: RealCluster, topic: str) -> list[bytes | None]:
    from tests.harness import read_all

    return [record.value for record in read_all(cluster.connection, topic)]


def delete_records(cluster: RealCluster, topic: str, before: int) -> None:
    """As retention would: the log start moves."""
    from confluent_kafka.admin import AdminClient

    admin = AdminClient(cluster.connection.for_librdkafka())
    for future in admin.delete_records([TopicPartition(topic, 0, before)]).values():
        future.result(20)
