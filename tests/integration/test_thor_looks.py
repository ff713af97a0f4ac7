"""What Thor sees of a real cluster: snapshots, rates, and a status that tells of dead, hung, throttled and cordoned brokers."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from asgard.cli import main as cli
from asgard.cluster import look as measure
from asgard.cluster import snapshot_file
from asgard.cluster.limits import Limits
from asgard.journal import leases, operations
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import ConfigChange, NewTopic
from asgard.thor.plan import file as plan_file
from asgard.thor.plan import kinds
from tests.harness import RealCluster
from tests.harness.placing import eventually

pytestmark = pytest.mark.kafka

Asgard = Callable[..., tuple[int, Any]]


@pytest.fixture
def control(secured_cluster: RealCluster) -> Iterator[AdminClient]:
    with connect(secured_cluster.connection, deadline_s=10) as client:
        yield client


@pytest.fixture
def asgard(
    secured_cluster: RealCluster,
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Asgard:
    """Run a command on the cluster: its exit code and its JSON. Limits are such that the machine's own disk is no matter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thor.yaml").write_text("limits: {disk: 100%, tolerance: 100%}\n")
    where = ["--bootstrap-server", secured_cluster.bootstrap_servers]
    where += ["--command-config", str(secured_cluster.client_properties)]

    def run(*words: str) -> tuple[int, Any]:
        code = cli.main([*words, *where, "--json"])
        said = capsys.readouterr()
        assert said.out, said.err
        return code, json.loads(said.out)

    return run


def made(control: AdminClient, *topics: NewTopic) -> None:
    names = {t.name for t in topics}
    assert not any(control.create_topics(topics).values())
    eventually(lambda: names <= control.topics(names).keys())
    eventually(lambda: all(p.leader >= 0 for t in control.topics(names).values() for p in t.partitions))


def test_plans_from_a_snapshot_file_are_those_from_the_cluster(
    asgard: Asgard, control: AdminClient, topic_name: str
) -> None:
    made(control, NewTopic(topic_name, 6, 2))
    code, said = asgard("thor", "snapshot", "--out", "s.json.gz")
    assert (code, said["brokers"], said["silent"]) == (0, 3, [])
    taken = snapshot_file.read("s.json.gz")
    snapshot_file.write(taken, "again.json")
    assert snapshot_file.read("again.json") == taken
    assert [(b.id, b.rack, len(b.log_dirs)) for b in taken.brokers] == [(1, "r0", 1), (2, "r1", 1), (3, "r2", 1)]
    assert all(d.capacity_bytes and d.used_bytes for b in taken.brokers for d in b.log_dirs)
    assert {p.size_bytes for p in taken.partitions if p.topic == topic_name} == {0}
    assert taken.topics[topic_name].min_isr == 1
    assert taken.quorum is not None and [v.id for v in taken.quorum.voters] == [1, 2, 3]
    for kind in ("drain", "balance"):
        words = [kind] + ["3"] * (kind == "drain")
        _, live = asgard("thor", "plan", *words)
        filed = plan_file.document(kinds.planned(kind, words[1:], taken, Limits(disk=1.0, tolerance=1.0)))
        assert live["partitions"] == json.loads(json.dumps(filed["partitions"])), kind
        assert live["partitions"] or kind == "balance"


def test_rates_are_measured_over_a_window_and_what_is_not_known_is_not_0(
    secured_cluster: RealCluster, control: AdminClient, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(control, NewTopic(topic_name, 2, 1), NewTopic(f"{topic_name}-idle", 1, 1))
    over = threading.Event()
    group = Consumer({**secured_cluster.connection.for_librdkafka(), "group.id": topic_name, "log_level": 2})
    look = control.group_offsets

    def commit(offset: int) -> bool:
        try:
            group.commit(offsets=[TopicPartition(topic_name, 0, offset)], asynchronous=False)
        except KafkaException:
            return False  # the first group of a cluster has no coordinator yet
        return True

    def look_and_commit() -> Any:
        """Right after the first look the group reads on to 500."""
        seen = look()
        eventually(lambda: commit(500))
        return seen

    def write() -> None:
        with Writer(secured_cluster.connection) as writer:
            while not over.wait(0.01):
                for partition in (0, 1):
                    writer.send(Record(topic_name, secrets.token_bytes(1000), partition=partition))

    monkeypatch.setattr(control, "group_offsets", look_and_commit)
    thread = threading.Thread(target=write)
    thread.start()
    try:
        eventually(lambda: commit(0))
        snapshot = measure.take(control, window_s=2)
    finally:
        over.set()
        thread.join()
        group.close()
    read, unread = (p for p in snapshot.partitions if p.topic == topic_name)
    (idle,) = (p for p in snapshot.partitions if p.topic == f"{topic_name}-idle")
    assert read.bytes_in_per_s and unread.bytes_in_per_s and unread.bytes_in_per_s > 1000
    # 500 records of 1,000 bytes, and what a batch takes besides, in two seconds or more.
    assert read.bytes_out_per_s and read.bytes_out_per_s <= 500 * 1200 / 2
    assert (idle.bytes_in_per_s, idle.bytes_out_per_s, unread.bytes_out_per_s) == (0.0, None, None)


@contextmanager
def gone(cluster: RealCluster, how: str, node: int) -> Iterator[None]:
    """A broker that is killed or hangs for the time of the block; then all is well again, preferred leaders too."""
    getattr(cluster, how)(node)
    try:
        yield
    finally:
        if how == "pause":
            cluster.resume(node)
        cluster.all_up()
        with connect(cluster.connection) as control:
            up = {1, 2, 3}
            eventually(lambda: all(up & {*p.isr} == up & {*p.replicas} for t in control.topics().values() for p in t.partitions))  # fmt: skip
            control.elect_preferred_leaders()


def findings(status: Any, kind: str) -> list[Any]:
    return [f for f in status["findings"] if f["kind"] == kind]


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_broker_that_dies_or_hangs_is_in_the_status_with_what_to_do_first(
    how: str, asgard: Asgard, secured_cluster: RealCluster, control: AdminClient, topic_name: str
) -> None:
    alone = f"{topic_name}-alone"
    made(control, NewTopic(topic_name, 6, 3, {"min.insync.replicas": "3"}), NewTopic(alone, 3, 1))
    eventually(lambda: asgard("thor", "status")[0] == 0)
    with gone(secured_cluster, how, 3):
        code, first = asgard("thor", "status")
        if how == "pause" and not findings(first, "broker-fenced"):
            # Before Kafka notices: who did not answer is named, and has held up nothing.
            assert (code, [f["brokers"] for f in findings(first, "broker-silent")]) == (1, [[3]])
        found: dict[str, Any] = {}

        def fenced() -> bool:
            found["code"], found["status"] = asgard("thor", "status")
            status = found["status"]
            return bool(findings(status, "broker-fenced") and findings(status, "under-min-isr"))

        eventually(fenced)
        code, status = found["code"], found["status"]
        (dead,) = findings(status, "broker-fenced")
        assert (code, dead["brokers"], status["healthy"]) == (1, [3], False)
        assert dead["count"] >= 6
        (offline,) = findings(status, "partitions-offline")
        assert offline["brokers"] == [3]
        assert offline["count"] >= sum(p.leader < 0 for p in control.topics([alone])[alone].partitions) >= 1
        assert "Bring back broker 3 first" in offline["text"]
        assert [b["state"] for b in status["brokers"]] == ["up", "up", "fenced"]
        eventually(lambda: findings(asgard("thor", "status")[1], "quorum-at-risk"))
    assert control.delete_topics([alone, topic_name]) == {alone: None, topic_name: None}
    eventually(lambda: asgard("thor", "status")[0] == 0)


def test_throttles_cordons_leases_and_what_was_left_behind_are_in_the_status(
    asgard: Asgard, control: AdminClient, topic_name: str
) -> None:
    made(control, NewTopic(topic_name, 1, 1))
    rate, marks = "leader.replication.throttled.rate", "leader.replication.throttled.replicas"
    changes = [
        ConfigChange("broker", "", {rate: "5000000"}),
        ConfigChange("broker", "2", {rate: "6000000", "cordoned.log.dirs": "*"}),
        ConfigChange("topic", topic_name, {marks: "0:1"}),
    ]
    assert not any(control.alter_configs(changes).values())
    try:
        with open_journal() as journal:
            with leases.hold(
                journal, leases.cluster_change(control.cluster().cluster_id), priority=leases.Priority.CHANGE, doing="a test"
            ) as lease:  # fmt: skip
                operations.begin(journal, "test.thing/v1", "a thing", {}, lease)
                held: dict[str, Any] = {}

                def all_seen() -> bool:
                    held["code"], held["status"] = asgard("thor", "status")
                    around = held["status"]["around"]["throttles"]
                    return bool(
                        around["topics"] and around["brokers"] and around["cluster"] and held["status"]["brokers"][1]["notes"]
                    )  # fmt: skip

                eventually(all_seen)
            code, left = asgard("thor", "status")
        status, around = held["status"], held["status"]["around"]
        assert (held["code"], status["healthy"]) == (0, True)
        assert around["throttles"] == {
            "cluster": {rate: "5000000"},
            "brokers": {"2": {rate: "6000000"}},
            "topics": [topic_name],
        }
        assert [b["notes"] for b in status["brokers"]] == [[], ["cordoned"], []]
        assert [(o["subject"], o["abandoned"]) for o in around["operations"]] == [("a thing", False)]
        assert [lease["doing"] for lease in around["leases"]] == ["a test"]
        assert (code, [o["abandoned"] for o in left["around"]["operations"]]) == (1, [True])
        assert left["around"]["leases"] == []
    finally:
        control.alter_configs([ConfigChange(c.resource_type, c.name, unset=tuple(c.set)) for c in changes])
        with open_journal() as journal:
            operations.settle(journal, {"test.thing/v1": lambda operation, lease: "put back"}, under="")
