"""From a load on a real cluster to its verdict: nothing lost, truly lost, aborted, and what nobody can know."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from asgard.kafka.admin import connect
from asgard.kafka.segments import segments
from asgard.loki.check.anomalies import Symptom
from asgard.loki.check.check import check
from asgard.loki.check.history import NO_OFFSET, HistoryFiles
from asgard.loki.check.last_read import read_again
from asgard.loki.check.traces import look
from asgard.loki.check.verdict import CheckOutcome, CheckVerdict, Traces
from asgard.loki.check.verify import verify
from asgard.loki.check.working_set import LostRecords
from tests.harness import RealCluster
from tests.harness.recorded import RecordedLoad, create, in_sync, lose_with_acks_1

pytestmark = pytest.mark.kafka


@pytest.fixture
def load(secured_cluster: RealCluster, tmp_path: Path) -> Iterator[RecordedLoad]:
    yield RecordedLoad(tmp_path, secured_cluster.connection)
    secured_cluster.all_up()


def verdict(cluster: RealCluster, directory: Path, deadline_s: float = 120) -> CheckVerdict:
    with connect(cluster.connection) as control:
        nodes = [cluster.run_dir(node) for node in cluster.specs]
        return verify(directory, cluster.connection, control, nodes=nodes, settle_s=1, deadline_s=deadline_s)


def test_a_load_without_trouble_is_accounted_for_to_the_last_record(
    secured_cluster: RealCluster, load: RecordedLoad, topic_name: str
) -> None:
    create(secured_cluster, topic_name, 3, 3, min_insync_replicas="2")
    first, second = load.sender(), load.sender(**{"compression.type": "zstd"})
    for _ in range(3):
        load.send(first, topic_name, 500)
        load.send(second, topic_name, 500)
    load.consume(topic_name, 3, 3000)
    load.recorder.close()
    found = verdict(secured_cluster, load.directory)
    assert (found.outcome, found.findings, found.notes) == (CheckOutcome.KEPT, (), ())
    assert found.sentence == "All 3,000 acknowledged records are accounted for. No promise was broken."
    assert (found.counts.consumed, found.counts.read_back) == (3000, 3000)


@pytest.mark.long
def test_records_that_acks_1_lost_are_reported_as_lost_in_kafka(
    secured_cluster: RealCluster, load: RecordedLoad, topic_name: str
) -> None:
    died = lose_with_acks_1(secured_cluster, load, topic_name)
    load.recorder.close()
    found = verdict(secured_cluster, load.directory)
    lost = load.lost_by_hand(topic_name)
    assert lost > 0 and found.lost == lost
    assert found.traces == Traces(in_kafka=lost, left_on={died: lost})
    assert found.sentence.startswith(
        f"{lost} of {found.counts.acknowledged} acknowledged records are lost in Kafka "
        f"(copies that no broker serves are left: {lost} on broker {died})."
    )
    assert (
        found.broken == () and f"acks=1, no idempotence, assign, unclean election): {lost} lost-write" in found.sentence
    )

    secured_cluster.start_node(died)
    in_sync(secured_cluster, topic_name, 2)
    again = verdict(secured_cluster, load.directory)
    assert again.lost == lost and again.traces == Traces(in_kafka=lost), "its copies are truncated as it follows again"


@pytest.mark.long
def test_aborted_records_are_not_missed_and_an_open_transaction_hides_nothing_for_good(
    secured_cluster: RealCluster, load: RecordedLoad, topic_name: str
) -> None:
    create(secured_cluster, topic_name, 1, 3)
    sender = load.sender(**{"transactional.id": topic_name, "transaction.timeout.ms": 4000})
    producer, log = sender.producer, sender.log
    producer.init_transactions(30)
    for end, note in ((producer.commit_transaction, log.commit), (producer.abort_transaction, log.abort)):
        producer.begin_transaction()
        log.begin()
        load.send(sender, topic_name, 50)
        end(30)
        note()
    producer.begin_transaction()
    log.begin()
    load.send(sender, topic_name, 5)  # and never an end
    load.send(load.sender(), topic_name, 20)  # acknowledged, behind the open transaction
    load.recorder.close()

    with connect(secured_cluster.connection) as control:
        read_again(load.directory, secured_cluster.connection, control, deadline_s=1)
    early = check(HistoryFiles(load.directory))
    assert early.cases.keys() <= {Symptom.UNSEEN}, "what nobody could read yet is not lost"
    found = verdict(secured_cluster, load.directory)
    assert (found.outcome, found.findings) == (CheckOutcome.KEPT, ())
    assert (found.counts.acknowledged, found.counts.failed, found.counts.indeterminate) == (70, 50, 5)


def test_records_that_retention_deleted_are_not_called_lost(
    secured_cluster: RealCluster, load: RecordedLoad, topic_name: str
) -> None:
    create(secured_cluster, topic_name, 1, 3)
    load.send(load.sender(), topic_name, 100)
    load.recorder.close()
    admin = AdminClient(secured_cluster.connection.for_librdkafka())
    for future in admin.delete_records(
        [TopicPartition(topic_name, 0, 40)]
    ).values():  # as retention moves the log start
        future.result(30)
    found = verdict(secured_cluster, load.directory)
    assert (found.outcome, found.lost, found.counts.removed) == (CheckOutcome.KEPT, 0, 40)


def test_what_a_topic_that_is_gone_held_stays_open(
    secured_cluster: RealCluster, load: RecordedLoad, topic_name: str
) -> None:
    create(secured_cluster, topic_name, 1, 3)
    load.send(load.sender(), topic_name, 10)
    load.recorder.close()
    with connect(secured_cluster.connection) as control:
        assert control.delete_topics([topic_name]) == {topic_name: None}
        until = time.monotonic() + 30
        while topic_name in control.topics([topic_name]) and time.monotonic() < until:
            time.sleep(0.05)
    found = verdict(secured_cluster, load.directory)
    assert (found.outcome, found.unseen) == (CheckOutcome.UNDECIDED, 10)
    assert found.notes == (f"The last read is not complete: topic {topic_name} is gone.",)


def test_records_sent_with_acks_0_are_found_without_an_offset(
    plain_broker: RealCluster, tmp_path: Path, topic_name: str
) -> None:
    create(plain_broker, topic_name, 2, 1)
    load = RecordedLoad(tmp_path, plain_broker.connection)
    load.send(load.sender("0"), topic_name, 100)
    load.recorder.close()
    found = verdict(plain_broker, tmp_path)
    assert (found.outcome, found.counts.acknowledged, found.counts.read_back) == (CheckOutcome.KEPT, 100, 100)


def test_where_a_record_was_lost_is_told_from_the_disks(
    plain_broker: RealCluster, tmp_path: Path, topic_name: str
) -> None:
    """The check is told that records are missing; the disk has some of them, each in its own way."""
    create(plain_broker, topic_name, 1, 1)
    load = RecordedLoad(tmp_path, plain_broker.connection)
    load.send(load.sender(**{"compression.type": "lz4"}), topic_name, 100)
    load.recorder.close()
    with connect(plain_broker.connection) as control:
        last = read_again(tmp_path, plain_broker.connection, control)
    result = check(HistoryFiles(tmp_path))

    def traces(*missing: tuple[int, int], leader: int = 1, replicas: tuple[int, ...] = (1,)) -> Traces:
        """`missing`: sequences and the offsets that their sender was told."""
        sequences, offsets = np.array(missing).T
        found = LostRecords(np.zeros_like(offsets), offsets, np.zeros_like(offsets), sequences)
        told = dataclasses.replace(result, missing={topic_name: found})
        where = (topic_name, 0)
        return look(told, [plain_broker.run_dir(1)], {where: leader}, {where: replicas})

    assert last.leaders == {(topic_name, 0): 1} and last.replicas == {(topic_name, 0): (1,)}
    assert traces((7, 7), (8, 8)) == Traces(on_the_way=2), "the leader has them: the reader was not given them"
    assert traces((7, 8), (300, 99), (301, 100)) == Traces(in_kafka=3), "others stand there, or nothing does"
    assert traces((7, NO_OFFSET), (300, NO_OFFSET)) == Traces(on_the_way=2), "acks=0: one is there, one never came"
    assert traces((7, 7), (300, 99), leader=2, replicas=(1, 2)) == Traces(
        left_on={1: 1}, unread=("broker 2 (not on this machine)",)
    )
    assert traces((300, NO_OFFSET), replicas=(1, 2)).on_the_way == 0, "the other replica might have it"

    directory = plain_broker.run_dir(1).partition_dir(topic_name, 0)
    assert directory is not None
    (segment,) = segments(directory)
    whole = segment.read_bytes()
    try:
        segment.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        damaged = f"broker 1 ({topic_name}-0: the batch at offset 0 is damaged)"
        assert traces((7, 7)) == Traces(unread=(damaged,)), "what can't be read proves nothing"
    finally:
        segment.write_bytes(whole)
