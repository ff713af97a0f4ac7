"""Groups of every type and offsets in bulk, from a real cluster: the same answers as the calls that go one by one."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from confluent_kafka import Consumer, TopicPartition

from asgard.heimdall.lag import ask as lag_ask
from asgard.kafka.admin import AdminClient, codecs, connect
from asgard.kafka.admin.batches import first_timestamp
from asgard.kafka.admin.raw import Reader
from asgard.kafka.data import Record, Writer
from asgard.kafka.groups import UNANSWERED
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.committing import commit
from tests.harness.javatool import SHARE_CONSUMER, java_tool
from tests.harness.streams_member import StreamsMember

PARTITIONS = 5
HOUR_MS = 3_600_000
BEGIN_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def control(secured_cluster: RealCluster) -> Iterator[AdminClient]:
    with connect(secured_cluster.connection) as opened:
        yield opened


@pytest.fixture(scope="module")
def topic(control: AdminClient, secured_cluster: RealCluster) -> str:
    """600 records, one a minute: partition n has those of minutes n, n + 5, …"""
    name = "bulk-records"
    assert control.create_topics([NewTopic(name, PARTITIONS, 3, {"retention.ms": "-1"})]) == {name: None}
    with Writer(secured_cluster.connection) as writer:
        for n in range(600):
            writer.send(Record(name, b"x" * 50, partition=n % PARTITIONS, timestamp_ms=BEGIN_MS + n * 60_000))
    assert writer.tally.acked == 600
    return name


def eventually(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def test_offsets_at_many_times_are_those_of_single_calls(control: AdminClient, topic: str) -> None:
    bulk = control.bulk()
    layout = bulk.layout([topic, "there-is-none"])
    assert list(layout.topics) == [topic]
    described = control.topics([topic])[topic]
    assert layout.topics[topic].leaders.tolist() == [p.leader for p in described.partitions]
    assert (layout.topics[topic].replicas == 3).all() and (layout.topics[topic].in_sync == 3).all()
    assert layout.topics[topic].id == described.id
    times = [BEGIN_MS + hour * HOUR_MS for hour in range(12)]
    start, end, newest, *hours = bulk.list_offsets_at(layout, [-2, -1, -3, *times])
    assert start.offsets[topic].tolist() == [0] * 5 and end.offsets[topic].tolist() == [120] * 5
    assert newest.times[topic].tolist() == [BEGIN_MS + n * 60_000 for n in range(595, 600)]
    for at, listed in zip(times, hours, strict=True):
        alone = control.offsets_at([(topic, p) for p in range(PARTITIONS)], at)
        found = [120 if o < 0 else o for o in listed.offsets[topic].tolist()]
        assert found == [alone[topic, p] for p in range(PARTITIONS)]
    some = bulk.list_offsets_at(layout, [-1], {topic: np.array([3])})[0]
    assert some.offsets[topic].tolist() == [UNANSWERED, UNANSWERED, UNANSWERED, 120, UNANSWERED]


def test_requests_grow_with_brokers_and_times_and_not_with_partitions(control: AdminClient, topic: str) -> None:
    with connect(control._wire.connection) as alone:
        bulk = alone.bulk()
        layout = bulk.layout()
        before = bulk.requests_by_broker()
        bulk.list_offsets_at(layout, [-2, -1, BEGIN_MS])
        after = bulk.requests_by_broker()
    assert {b: after[b] - before.get(b, 0) for b in ("1", "2", "3")} == {"1": 3, "2": 3, "3": 3}


def test_the_time_of_the_next_record_is_read_from_kafka(control: AdminClient, topic: str) -> None:
    bulk = control.bulk()
    positions = {topic: {0: 0, 1: 1, 2: 77, 3: 119, 4: 120}}
    times, problems = bulk.first_records(bulk.layout([topic]), positions)
    expected = {(topic, p): BEGIN_MS + (o * PARTITIONS + p) * 60_000 for p, o in positions[topic].items() if o < 120}
    assert (times, problems) == (expected, {})


def test_classic_and_consumer_groups_with_members_and_offsets(
    control: AdminClient, secured_cluster: RealCluster, topic: str
) -> None:
    base = {**secured_cluster.connection.for_librdkafka(), "auto.offset.reset": "earliest", "client.id": "reader"}
    with contextlib.ExitStack() as open_:
        for protocol in ("classic", "consumer"):
            consumer = Consumer({**base, "group.id": f"bulk-{protocol}", "group.protocol": protocol})
            open_.callback(consumer.close)
            consumer.subscribe([topic])

            def has_all(consumer: Consumer = consumer) -> bool:
                consumer.poll(0.2)
                return len(consumer.assignment()) == PARTITIONS

            eventually(has_all, f"{protocol}: no assignment")
            commit(consumer, [TopicPartition(topic, 1, 11), TopicPartition(topic, 4, 44)])
        idle = Consumer({**base, "group.id": "bulk-idle"})
        commit(idle, [TopicPartition(topic, 0, 7, "metadata of its own")])
        idle.close()
        listed = control.groups()
        mine = {n: g for n, g in listed.listed.items() if n in ("bulk-classic", "bulk-consumer", "bulk-idle")}
        assert listed.silent == ()
        assert {n: (g.type, g.active) for n, g in mine.items()} == {
            "bulk-classic": ("classic", True),
            "bulk-consumer": ("consumer", True),
            "bulk-idle": ("classic", False),
        }
        described, problems = control.describe_groups(mine.values())
        assert problems == {}
        for name in ("bulk-classic", "bulk-consumer"):
            (member,) = described[name].members
            assert (member.client_id, member.host) == ("reader", "127.0.0.1")
            assert member.assignment == {topic: (0, 1, 2, 3, 4)}
        assert described["bulk-idle"].members == ()
        offsets, problems = control.bulk().committed(mine.values())
        assert problems == {}
        assert offsets["bulk-classic"][topic].tolist() == [-1, 11, -1, -1, 44]
        assert offsets["bulk-consumer"][topic].tolist() == [-1, 11, -1, -1, 44]
        assert offsets["bulk-idle"][topic].tolist() == [7]


def test_a_streams_group_its_tasks_and_its_offsets(control: AdminClient, topic: str) -> None:
    member = StreamsMember(control, "bulk-streams", topic, PARTITIONS)
    member.join()
    member.commit({0: 100, 3: 120})
    group = control.groups().listed["bulk-streams"]
    assert (group.type, group.active) == ("streams", True)
    described, problems = control.describe_groups([group])
    assert problems == {} and [m.assignment for m in described[group.name].members] == [{"<0>": (0, 1, 2, 3, 4)}]
    found = lag_ask.report(control, [group.name], apart_s=0.2, shown=PARTITIONS).groups[0]
    assert (found.type, found.lag, found.uncommitted) == ("streams", 20, 3)
    age = found.time_lag_s
    assert age is not None and abs(time.time() - age - (BEGIN_MS / 1000 + 100 * PARTITIONS * 60)) < 60
    member.leave()
    eventually(lambda: not control.groups().listed["bulk-streams"].active, "the member is still there")


def test_a_share_group_and_its_start_offsets(control: AdminClient, secured_cluster: RealCluster, topic: str) -> None:
    where = ["--bootstrap-server", secured_cluster.bootstrap_servers, "--command-config"]
    options = [*where, str(secured_cluster.client_properties), "--topic", topic, "--group", "bulk-share"]
    reader = subprocess.Popen(java_tool(SHARE_CONSUMER, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:

        def started() -> bool:
            group = control.groups().listed.get("bulk-share")
            if group is None or not group.active:
                return False
            starts, _, _ = control.bulk().share_starts([group])
            return topic in starts.get("bulk-share", {})

        eventually(started, "the share group has no offsets")
        group = control.groups().listed["bulk-share"]
        assert group.type == "share"
        assert control.bulk().committed([group]) == ({}, {})
    finally:
        reader.terminate()
        reader.wait(30)


def test_commits_of_any_metadata_are_read() -> None:
    def row(partition: int, offset: int, metadata: str | None, error: int = 0) -> bytes:
        from asgard.kafka.admin.raw import text

        said = b"\x00" if metadata is None else text(metadata)
        return (
            np.array([partition], ">i4").tobytes()
            + np.array([offset], ">i8").tobytes()
            + b"\0\0\0\1"
            + said
            + bytes([0, error, 0])
        )

    for rows in (
        [row(0, 5, ""), row(2, 7, "")],
        [row(0, 5, None), row(2, 7, "x" * 300)],
        [row(0, 5, "ab"), row(2, 7, "cd")],
    ):
        reader = Reader(b"".join(rows) + b"rest")
        partitions, offsets = codecs._commits(reader, 2)
        assert (partitions.tolist(), offsets.tolist(), reader.data[reader.at :]) == ([0, 2], [5, 7], b"rest")
    assert codecs._commits(Reader(row(0, 5, "", error=29)), 1)[1].tolist() == [-1]


def test_bytes_without_a_record_have_no_time() -> None:
    assert first_timestamp(b"", 0) is None
    assert first_timestamp(b"\x00" * 40, 0) is None
