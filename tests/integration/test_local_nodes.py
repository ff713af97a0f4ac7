"""Local nodes as real processes: they outlive their caller, come back with their data, and give away no password."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from asgard.core import paths
from asgard.core.errors import Failed
from asgard.kafka import nodes
from asgard.kafka.connection import FIRST_USER, Connection, scram_properties
from asgard.kafka.nodes import RunDir, process
from asgard.odin.targets.local import LocalNodes
from tests.harness import AckedProducer, RealCluster

pytestmark = pytest.mark.kafka


def make_topic(cluster: RealCluster, name: str) -> None:
    admin = AdminClient(cluster.connection.for_librdkafka())
    future = admin.create_topics([NewTopic(name, 6, 3, config={"min.insync.replicas": "2"})])[name]
    future.result(30)


def produced(cluster: RealCluster, topic: str, count: int = 2000) -> AckedProducer:
    with AckedProducer(cluster.connection) as producer:
        for number in range(count):
            producer.send(topic, b"record %d" % number)
    assert len(producer.acked) == count
    return producer


@pytest.fixture
def control(secured_cluster: RealCluster) -> Iterator[LocalNodes]:
    """The cluster's nodes; all of them run again afterwards."""
    yield LocalNodes(secured_cluster.directory)
    secured_cluster.all_up()


def states(control: LocalNodes) -> dict[int, str]:
    return {node.id: node.state for node in control.nodes()}


def test_a_broker_killed_and_started_again_has_lost_nothing(
    secured_cluster: RealCluster, control: LocalNodes, topic_name: str
) -> None:
    make_topic(secured_cluster, topic_name)
    with AckedProducer(secured_cluster.connection) as producer:
        for number in range(3000):
            producer.send(topic_name, b"%d" % number)
            if number == 1000:
                control.kill(2)
                assert states(control) == {1: "running", 2: "stopped", 3: "running"}
    control.start(2)
    assert producer.failed == []
    assert producer.lost(secured_cluster.connection) == []
    assert producer.duplicated(secured_cluster.connection) == []


def test_a_paused_node_hangs_until_it_is_resumed(control: LocalNodes) -> None:
    control.pause(3)
    assert states(control)[3] == "paused"
    control.resume(3)
    assert states(control)[3] == "running"


def test_starting_a_node_that_runs_changes_nothing(control: LocalNodes) -> None:
    before = control.nodes()
    control.start(1)
    assert control.nodes() == before


def test_a_node_is_found_without_its_pid_file_and_with_a_wrong_one(
    secured_cluster: RealCluster, control: LocalNodes
) -> None:
    before = control.nodes()
    pid_file = secured_cluster.run_dir(1).pid_file
    pid_file.unlink()
    assert control.nodes() == before
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        pid_file.write_text(str(bystander.pid))
        assert control.nodes() == before
        control.kill(1)
        assert states(control)[1] == "stopped"
        assert bystander.poll() is None, "the process whose number stood in the file was left alone"
    finally:
        bystander.kill()
        bystander.wait()


def test_a_restart_is_a_controlled_shutdown_and_a_new_process(
    secured_cluster: RealCluster, control: LocalNodes, topic_name: str
) -> None:
    make_topic(secured_cluster, topic_name)
    producer = produced(secured_cluster, topic_name)
    before = {node.id: node.pid for node in control.nodes()}
    control.restart(2)
    after = {node.id: node.pid for node in control.nodes()}
    assert (after[1], after[3]) == (before[1], before[3])
    assert after[2] not in (before[2], None)
    log = (secured_cluster.run_dir(2).logs / "server.log").read_text()
    assert "Controlled shutdown" in log or "controlled shutdown" in log
    assert producer.lost(secured_cluster.connection) == []


def test_a_replaced_controller_joins_the_quorum_empty_and_fetches_its_replicas(
    secured_cluster: RealCluster, control: LocalNodes, topic_name: str
) -> None:
    make_topic(secured_cluster, topic_name)
    producer = produced(secured_cluster, topic_name)
    meta = secured_cluster.run_dir(3).log_dir / "meta.properties"
    before = meta.read_text()
    control.replace(3)
    assert meta.read_text() != before, "the new directory has an id of its own"
    # It is a voter again; once it is in sync too, another can go.
    wait_until(lambda: in_sync(secured_cluster, topic_name) == {1, 2, 3}, "node 3 is in sync again")
    control.kill(1)
    assert producer.lost(secured_cluster.connection) == []


def in_sync(cluster: RealCluster, topic: str) -> set[int]:
    metadata = AdminClient(cluster.connection.for_librdkafka()).list_topics(topic, timeout=30)
    return set.intersection(*(set(p.isrs) for p in metadata.topics[topic].partitions.values()))


def wait_until(reached: Any, what: str, deadline_s: float = 60.0) -> None:
    over = threading.Event()
    timer = threading.Timer(deadline_s, over.set)
    timer.start()
    try:
        while not reached():
            assert not over.wait(0.1), f"not reached in {deadline_s} s: {what}"
    finally:
        timer.cancel()


def test_only_the_administrator_gets_in_with_the_right_password(secured_cluster: RealCluster) -> None:
    admin = AdminClient(secured_cluster.connection.for_librdkafka())
    assert len(admin.list_topics(timeout=20).brokers) == 3
    for properties in (scram_properties(FIRST_USER, "wrong"), {}):
        stranger = AdminClient(
            {**Connection(secured_cluster.bootstrap_servers, properties).for_librdkafka(), "log_level": 0},
            logger=_silent,
        )
        with pytest.raises(Exception, match=r"_TRANSPORT|_AUTHENTICATION|_TIMED_OUT"):
            stranger.list_topics(timeout=2)


class _Silent:
    def log(self, *_: object) -> None:
        """What a refused client says is not of interest."""


_silent = _Silent()


# One node of its own, made step by step.


@pytest.fixture
def alone(session_home: Path, request: pytest.FixtureRequest) -> Iterator[RealCluster]:
    """A secured one-node cluster that is described and not yet made."""
    cluster = RealCluster(session_home / request.node.name[:40], brokers=1)
    yield cluster
    cluster.close()


def create_and_die(cluster: RealCluster, at: str) -> None:
    """In a child process: make the node, and be killed at one instant of it."""

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def spawn_and_die(command: list[str], **rest: Any) -> None:
        subprocess.Popen(command, env=rest["env"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        die()

    match at:
        case "while formatting":
            vars(subprocess)["run"] = spawn_and_die
        case "before the process is spawned":
            vars(process)["spawn"] = die
        case "before its pid is written":
            vars(paths)["write_atomic"] = die
    nodes.create(cluster.run_dir(1), cluster.specs[1], cluster.credentials)


def processes_of(run_dir: RunDir) -> list[int]:
    marked = f"={run_dir.path}"
    found = []
    for candidate in psutil.process_iter():
        try:
            if any(a.startswith("-Dasgard.") and a.endswith(marked) for a in candidate.cmdline()):
                found.append(candidate.pid)
        except psutil.Error:
            continue
    return found


def test_a_caller_killed_at_any_step_leaves_one_node_that_the_next_call_finishes(alone: RealCluster) -> None:
    run_dir = alone.run_dir(1)
    for at in ("while formatting", "before the process is spawned", "before its pid is written"):
        child = multiprocessing.get_context("fork").Process(target=create_and_die, args=(alone, at))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL, at
    orphan = processes_of(run_dir)
    assert len(orphan) == 1
    assert not run_dir.pid_file.exists()
    pid = nodes.create(run_dir, alone.specs[1], alone.credentials)
    nodes.wait_ready([run_dir])
    assert processes_of(run_dir) == [pid] == orphan


def test_no_password_stands_in_any_process(alone: RealCluster) -> None:
    assert alone.credentials is not None
    secrets = [alone.credentials.admin_password, alone.credentials.controller_password, "saltedpassword"]
    seen: dict[str, str] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for entry in Path("/proc").glob("[0-9]*"):
                try:
                    if entry.name == str(os.getpid()):
                        continue
                    text = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
                except OSError:
                    continue
                seen[entry.name] = seen.get(entry.name, "") + text.decode(errors="replace")

    os.environ["PULUMI_CONFIG_PASSPHRASE"] = secret = "a passphrase of the caller"
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        alone.start()
    finally:
        over.set()
        watcher.join()
        del os.environ["PULUMI_CONFIG_PASSPHRASE"]
    java = [text for text in seen.values() if str(alone.run_dir(1).path) in text]
    assert any("kafka.tools.StorageTool" in text for text in java)
    assert any("kafka.Kafka" in text for text in java)
    for text in java:
        for word in [*secrets, secret]:
            assert word not in text


def test_a_config_that_kafka_refuses_is_a_sentence(alone: RealCluster) -> None:
    wrong = replace(alone.specs[1], static_config={"log.retention.bytes": "many"})
    with pytest.raises(Failed, match=r"refused to format node 1: .*log\.retention\.bytes"):
        nodes.create(alone.run_dir(1), wrong, alone.credentials)


def test_a_node_whose_port_is_taken_says_so(alone: RealCluster) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", alone.specs[1].client_port or 0))
        squatter.listen()
        nodes.create(alone.run_dir(1), alone.specs[1], alone.credentials)
        with pytest.raises(Failed, match=r"node 1 stopped before it was ready: .*Address already in use"):
            nodes.wait_ready([alone.run_dir(1)])
