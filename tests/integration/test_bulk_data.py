"""Many records written, counted and read back, and what a writer and a reader say when they can't."""

from __future__ import annotations

import threading
import time

import pytest

from asgard.core.errors import Failed, Unreachable
from asgard.kafka import stamp
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection, scram_properties
from asgard.kafka.data import Record, Writer, read
from asgard.kafka.model import NewTopic, Offsets, ScramCredential
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka
RUN = bytes(range(16))


def a_topic(cluster: RealCluster, name: str, partitions: int) -> list[tuple[str, int]]:
    with connect(cluster.connection) as control:
        new = NewTopic(name, partitions, min(3, len(cluster.specs)), {"retention.ms": "-1"})  # times here are old
        assert control.create_topics([new]) == {name: None}
        until = time.monotonic() + 20
        while name not in control.topics([name]) and time.monotonic() < until:
            time.sleep(0.05)
    return [(name, p) for p in range(partitions)]


def ends_of(cluster: RealCluster, partitions: list[tuple[str, int]]) -> dict[tuple[str, int], Offsets]:
    with connect(cluster.connection) as control:
        return control.offsets(partitions)


def test_what_several_producers_wrote_is_read_back_whole_and_once(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    partitions = a_topic(secured_cluster, topic_name, 6)
    each, failures = 4000, []

    def produce(producer: int) -> None:
        try:
            with Writer(secured_cluster.connection, name=f"p{producer}") as writer:
                for n in range(each):
                    value = f"ride {producer}/{n}".encode() * 3
                    header = (stamp.HEADER, stamp.make(RUN, producer, n, n, value))
                    writer.send(Record(topic_name, value, f"rider-{n % 97}".encode(), [header], timestamp_ms=1000 + n))
            assert (writer.tally.sent, writer.tally.acknowledged) == (each, {topic_name: each})
            assert writer.tally.failed == writer.tally.unknown == 0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=produce, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    seen: dict[tuple[int, int], int] = {}
    where: dict[bytes, set[int]] = {}
    for batch in read(secured_cluster.connection, ends_of(secured_cluster, partitions)):
        for record in batch:
            found = stamp.find(record.headers)
            assert found is not None and found.run == RUN and found.matches(record.value)
            assert record.timestamp_ms == 1000 + found.sequence
            key = (found.producer, found.sequence)
            seen[key] = seen.get(key, 0) + 1
            where.setdefault(record.key or b"", set()).add(record.partition)
    assert seen == {(p, n): 1 for p in range(3) for n in range(each)}
    assert all(len(found) == 1 for found in where.values()), "a key stays in its partition"


def test_reading_stops_at_the_ends_it_was_given_and_starts_where_it_was_told(
    plain_broker: RealCluster, topic_name: str
) -> None:
    partitions = a_topic(plain_broker, topic_name, 2)
    with Writer(plain_broker.connection) as writer:
        writer.send_all(Record(topic_name, b"%d" % n, partition=n % 2) for n in range(100))
    wanted = {partitions[0]: Offsets(10, 20), partitions[1]: Offsets(0, 0)}
    found = [record for batch in read(plain_broker.connection, wanted) for record in batch]
    assert [(r.partition, r.offset, r.value) for r in found] == [(0, n, b"%d" % (2 * n)) for n in range(10, 20)]
    assert list(read(plain_broker.connection, {})) == []


def test_a_writer_tells_what_was_refused_and_why(secured_cluster: RealCluster, topic_name: str) -> None:
    a_topic(secured_cluster, topic_name, 1)
    with connect(secured_cluster.connection) as control:
        assert control.upsert_users([ScramCredential(topic_name, "pw")]) == {topic_name: None}
    poor = Connection(secured_cluster.bootstrap_servers, scram_properties(topic_name, "pw"))
    with Writer(poor, deadline_s=20) as writer:
        writer.send(Record(topic_name, b"1"))
    assert (writer.tally.failed, writer.tally.acked) == (1, 0)
    assert writer.tally.failures == [f"{topic_name}: not authorised to use the topic"]
    with pytest.raises(Failed, match="too large"), Writer(secured_cluster.connection) as writer:
        writer.send(Record(topic_name, bytes(2_000_000)))


def test_nobody_there_and_a_wrong_password_are_told_within_the_deadline(
    secured_cluster: RealCluster, topic_name: str
) -> None:
    wrong = Connection(secured_cluster.bootstrap_servers, scram_properties("nobody", "x"))
    nowhere = Connection("127.0.0.1:1", {})
    with pytest.raises(Failed, match="refuses the login of the user nobody"):
        list(read(wrong, {(topic_name, 0): Offsets(0, 1)}, deadline_s=20))
    with pytest.raises(Unreachable, match=r"1 partitions were not read to their end within 1 s .*refused"):
        list(read(nowhere, {(topic_name, 0): Offsets(0, 1)}, deadline_s=1))
    with pytest.raises(Failed, match="refuses the login"), Writer(wrong, deadline_s=20) as writer:
        writer.send(Record(topic_name, b"1"))
    with Writer(nowhere, deadline_s=1) as writer:
        writer.send(Record(topic_name, b"1"))
    assert writer.tally.failed == 1 and "no acknowledgement from 127.0.0.1:1 in time" in writer.tally.failures[0]
