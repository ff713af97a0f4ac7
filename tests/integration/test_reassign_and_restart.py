"""Moves of replicas under a throttle that goes away again, and restarts that nobody notices; on a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgard.cluster import reassign, rolling
from asgard.cluster.replication_factor import with_replication
from asgard.core.errors import Busy, Failed, Refused
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.data import Record, Writer, read
from asgard.kafka.model import ConfigChange, Move, NewTopic
from asgard.machines.local.nodes import LocalNodes
from tests.harness import AckedProducer, RealCluster
from tests.harness.placing import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture
def control(secured_cluster: RealCluster) -> Iterator[AdminClient]:
    """As the administrator; no move is left running and no throttle on."""
    with connect(secured_cluster.connection) as client:
        yield client
        reassign.cancel(client, [(p.topic, p.partition) for p in client.reassignments()])


def made(control: AdminClient, topic: NewTopic) -> None:
    assert control.create_topics([topic]) == {topic.name: None}
    eventually(lambda: topic.name in control.topics([topic.name]))
    eventually(lambda: all(p.leader >= 0 for p in control.topics([topic.name])[topic.name].partitions))


def filled(cluster: RealCluster, control: AdminClient, topic: NewTopic, megabytes: int) -> None:
    """A topic with so many MB that do not compress."""
    made(control, topic)
    noise = [bytes((i * j * 2654435761 >> 13) & 255 for j in range(10_000)) for i in range(1, 20)]
    with Writer(cluster.connection) as writer:
        for n in range(megabytes * 100):
            writer.send(Record(topic.name, n.to_bytes(4, "big") + noise[n % 19], partition=n % topic.partitions))
    assert writer.tally.acked == megabytes * 100


def rates(control: AdminClient) -> dict[str, str]:
    return {k: v for k, v in control.broker_configs("").items() if k in reassign.RATES}


class Notes:
    """What a caller remembers until it may forget."""

    def __init__(self) -> None:
        self.record: reassign.Record | None = None
        self.kept: list[reassign.Record] = []

    def remember(self, record: reassign.Record) -> None:
        self.record = json.loads(json.dumps(record))
        self.kept.append(record)

    def forget(self) -> None:
        self.record = None


def test_a_topic_goes_from_one_replica_to_three_and_back_to_two_without_losing_a_record(
    secured_cluster: RealCluster, control: AdminClient, topic_name: str
) -> None:
    filled(secured_cluster, control, NewTopic(topic_name, 3, 1, {"retention.ms": "-1"}), megabytes=6)
    operators = {"leader.replication.throttled.rate": "777777777"}
    control.alter_configs([ConfigChange("broker", "", operators)])
    eventually(lambda: rates(control) == operators)
    notes, seen = Notes(), []

    def look(progress: reassign.Progress) -> None:
        config = control.topic_configs([topic_name])[topic_name]
        seen.append((progress, rates(control), config))

    brokers = control.cluster().brokers
    try:
        moves = with_replication(control.topics([topic_name])[topic_name].partitions, brokers, 3)
        outcome = reassign.execute(
            control,
            moves,
            remember=notes.remember,
            forget=notes.forget,
            throttle_bytes_per_s=3_000_000,
            allow_replication_factor_change=True,
            progress=look,
        )
        assert outcome == reassign.Outcome(tuple(moves), {})
        first, last = seen[0], seen[-1]
        assert first[0].partitions == 3 and first[1] == dict.fromkeys(reassign.RATES, "3000000")
        assert all(len(first[2][key].split(",")) == size for key, size in zip(reassign.REPLICAS, (3, 6), strict=True))
        assert last[0] == reassign.Progress(3, 0, 0)
        assert notes.record is None and len(notes.kept) == 1
        assert rates(control) == operators, "what an operator had set is back"
        assert control.topic_configs([topic_name]) == {topic_name: {"retention.ms": "-1"}}
        after = control.topics([topic_name])[topic_name]
        assert after.replication == 3 and all(len(p.isr) == 3 for p in after.partitions)
        fewer = with_replication(after.partitions, brokers, 2)
        reassign.execute(
            control, fewer, remember=notes.remember, forget=notes.forget, allow_replication_factor_change=True
        )
        after = control.topics([topic_name])[topic_name]
        assert [p.replicas for p in after.partitions] == [m.replicas for m in fewer]
    finally:
        control.alter_configs([ConfigChange("broker", "", unset=reassign.RATES)])
    ends = control.offsets([(topic_name, p) for p in range(3)])
    assert sum(len(batch) for batch in read(secured_cluster.connection, ends)) == 600


KILLED = """
import json, sys, time
from pathlib import Path
from asgard.cluster import reassign
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection, read_properties
from asgard.kafka.model import Move
servers, properties, topic, target, out = sys.argv[1:]
control = connect(Connection(servers, read_properties(Path(properties))))
reassign.execute(
    control, [Move(topic, 0, tuple(json.loads(target)))], allow_replication_factor_change=True, throttle_bytes_per_s=50_000,
    remember=lambda record: Path(out).write_text(json.dumps(record)), forget=lambda: Path(out).unlink(),
    progress=lambda progress: print("moving", flush=True),
)
"""


def test_what_a_killed_move_left_is_put_back_from_its_record_alone(
    secured_cluster: RealCluster, control: AdminClient, topic_name: str, tmp_path: Path
) -> None:
    filled(secured_cluster, control, NewTopic(topic_name, 1, 1), megabytes=8)
    before = control.topics([topic_name])[topic_name].partitions[0].replicas
    target = [*before, *[b for b in (1, 2, 3) if b not in before][:1]]
    note = tmp_path / "record.json"
    command = [sys.executable, "-c", KILLED, secured_cluster.bootstrap_servers, str(secured_cluster.client_properties)]
    process = subprocess.Popen([*command, topic_name, json.dumps(target), str(note)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "moving\n"
    process.kill()
    process.wait()
    process.stdout.close()
    record = json.loads(note.read_text())
    eventually(lambda: rates(control) == dict.fromkeys(reassign.RATES, "50000"))
    with pytest.raises(Busy, match=f"1 partition .{topic_name}-0. is still being moved"):
        reassign.undo(control, record, wait_s=0)
    with pytest.raises(Refused, match="being moved already"):
        notes = Notes()
        reassign.execute(control, [Move("other", 0, (1,))], remember=notes.remember, forget=notes.forget)
    assert notes.kept == []
    assert reassign.undo(control, record, cancel=True) == "lifted the throttle of 1 moves"
    assert rates(control) == {} and control.topic_configs([topic_name]) == {topic_name: {}}
    eventually(lambda: control.topics([topic_name])[topic_name].partitions[0].replicas == before)
    assert reassign.undo(control, record) == "there was no throttle left to lift", "a second time does no harm"


def test_undo_leaves_alone_what_somebody_else_has_set_since(control: AdminClient, topic_name: str) -> None:
    made(control, NewTopic(topic_name, 1, 1))
    settings = [
        ["broker", "", "leader.replication.throttled.rate", "111", None],
        ["broker", "", "follower.replication.throttled.rate", "111", "222"],
        ["topic", topic_name, "leader.replication.throttled.replicas", "0:1", None],
        ["topic", "deleted-meanwhile", "leader.replication.throttled.replicas", "0:1", None],
    ]
    record = {"format": reassign.FORMAT, "moves": [[topic_name, 0, [1]]], "settings": settings}
    theirs = {"leader.replication.throttled.rate": "999", "follower.replication.throttled.rate": "111"}
    control.alter_configs([ConfigChange("broker", "", theirs)])
    try:
        eventually(lambda: rates(control) == theirs)
        said = reassign.undo(control, record)
        assert "leader.replication.throttled.rate was changed by somebody else since and stays" in said
        assert rates(control) == {**theirs, "follower.replication.throttled.rate": "222"}
    finally:
        control.alter_configs([ConfigChange("broker", "", unset=reassign.RATES)])


def test_a_move_that_kafka_refuses_leaves_no_throttle(control: AdminClient, topic_name: str) -> None:
    made(control, NewTopic(topic_name, 2, 1))
    here = [p.replicas[0] for p in control.topics([topic_name])[topic_name].partitions]
    notes = Notes()
    outcome = reassign.execute(
        control,
        [Move(topic_name, 0, (here[0], 77)), Move(topic_name, 1, (here[1],))],
        remember=notes.remember,
        forget=notes.forget,
        throttle_bytes_per_s=1_000_000,
        allow_replication_factor_change=True,
    )
    assert list(outcome.refused) == [(topic_name, 0)] and "77" in str(outcome.refused[topic_name, 0])
    assert outcome.done == (Move(topic_name, 1, (here[1],)),)
    assert notes.record is None and rates(control) == {} and control.topic_configs([topic_name]) == {topic_name: {}}


def test_all_nodes_restart_one_by_one_while_a_producer_writes(
    secured_cluster: RealCluster, control: AdminClient, topic_name: str
) -> None:
    # Kafka leaves a single replica whose node was killed before without a leader when that node stops again (KIP-966).
    control.delete_topics([name for name, topic in control.topics().items() if not topic.internal])
    eventually(lambda: all(topic.internal for topic in control.topics().values()))
    made(control, NewTopic(topic_name, 3, 3, {"min.insync.replicas": "2"}))
    steps: list[rolling.Step] = []
    over = threading.Event()
    with AckedProducer(secured_cluster.connection, timeout_s=120) as producer:

        def write() -> None:
            n = 0
            while not over.is_set():
                producer.send(topic_name, f"{n}".encode())
                n += 1
                time.sleep(0.01)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            first = control.quorum().leader
            pids = {n.id: n.pid for n in LocalNodes(secured_cluster.directory).nodes()}
            rolling.restart_all(control, LocalNodes(secured_cluster.directory), [1, 2, 3], tell=steps.append)
        finally:
            over.set()
            thread.join()
            secured_cluster.all_up()
    order = [step.node for step in steps if step.what == "restarting"]
    assert order == rolling.order([1, 2, 3], first) and order[-1] == first
    assert [step.what for step in steps] == ["restarting", "back"] * 3
    now = {n.id: n.pid for n in LocalNodes(secured_cluster.directory).nodes()}
    assert all(now[node] != pids[node] for node in pids)
    eventually(lambda: all(len(p.isr) == 3 for p in control.topics([topic_name])[topic_name].partitions))
    assert producer.failed == [] and len(producer.acked) > 50
    assert producer.lost(secured_cluster.connection) == []


def test_no_node_is_restarted_while_another_is_down_and_one_that_stays_away_is_named(
    secured_cluster: RealCluster, control: AdminClient, topic_name: str
) -> None:
    made(control, NewTopic(topic_name, 1, 3))
    nodes = LocalNodes(secured_cluster.directory)
    down = next(n for n in (1, 2, 3) if n != control.quorum().leader)
    other = next(n for n in (1, 2, 3) if n != down)
    secured_cluster.kill(down)
    try:
        eventually(lambda: down not in control.topics([topic_name])[topic_name].partitions[0].isr)
        pid = nodes.nodes()[other - 1].pid
        with pytest.raises(Refused, match=f"node {down} is not in sync .*is down"):
            rolling.restart_one(control, nodes, other)
        assert nodes.nodes()[other - 1].pid == pid
        with pytest.raises(Failed, match=f"node {down} was restarted and is not back after 1 s: its broker is fenced"):
            rolling.restart_one(control, nodes, down, deadline_s=1, restart=lambda node: None)
        rolling.restart_one(control, nodes, down, restart=nodes.start)
    finally:
        secured_cluster.all_up()
    eventually(lambda: down in control.topics([topic_name])[topic_name].partitions[0].isr)
