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

from asgard.core import events, paths
from asgard.core.errors import Failed
from asgard.kafka.connection import FIRST_USER, Connection, read_properties, scram_properties
from asgard.machines import local as nodes
from asgard.machines.local import RunDir, process, storage
from asgard.machines.local.nodes import LocalNodes
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


@pytest.mark.long
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


FIRST_METADATA = ("bootstrap.checkpoint", "__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")


def test_a_first_quorum_is_formatted_once_and_each_node_has_ids_of_its_own(session_home: Path) -> None:
    cluster = RealCluster(session_home / "first-quorum", brokers=3)
    for node, spec in cluster.specs.items():
        cluster.run_dir(node).write(spec, cluster.credentials)
        storage.ensure_formatted(cluster.run_dir(node))
    logs = {node: cluster.run_dir(node).log_dir for node in cluster.specs}
    for name in FIRST_METADATA:
        assert len({(log / name).read_bytes() for log in logs.values()}) == 1
    made = {node: read_properties(log / "meta.properties") for node, log in logs.items()}
    for voter in cluster.specs[1].voters:
        own = {"node.id": str(voter.id), "directory.id": voter.directory_id}
        assert made[voter.id] == {**made[1], **own}, "as Kafka's tool wrote it for the first, but for its ids"
    # A format that was cut short is begun anew.
    cluster.run_dir(2).formatted.unlink()
    (logs[2] / "meta.properties").unlink()
    storage.ensure_formatted(cluster.run_dir(2))
    assert read_properties(logs[2] / "meta.properties") == made[2]


def test_a_node_of_another_first_quorum_is_formatted_for_itself(session_home: Path) -> None:
    """Below one directory, as after a cluster of the same name that was made anew."""
    cluster, other = RealCluster(session_home / "two", brokers=1), RealCluster(session_home / "two", brokers=1)
    moved = replace(other.specs[1], id=2, voters=(replace(other.specs[1].voters[0], id=2),))
    for run_dir, spec, credentials in (
        (cluster.run_dir(1), cluster.specs[1], cluster.credentials),
        (cluster.run_dir(2), moved, other.credentials),
    ):
        run_dir.write(spec, credentials)
        storage.ensure_formatted(run_dir)
    first, second = ((cluster.run_dir(node).log_dir / FIRST_METADATA[0]).read_bytes() for node in (1, 2))
    assert first != second
    identity = read_properties(cluster.run_dir(2).log_dir / "meta.properties")
    assert (identity["cluster.id"], identity["node.id"]) == (other.cluster_id, "2")


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


@pytest.mark.long
def test_a_node_that_could_not_register_is_restarted_once_and_that_is_said(session_home: Path) -> None:
    hurried = {"initial.broker.registration.timeout.ms": "1000"}
    cluster = RealCluster(session_home / "late", brokers=2, controllers=1, security="none", config=hurried)
    told: list[events.Event] = []
    try:
        nodes.create(cluster.run_dir(2), cluster.specs[2], None)  # a broker whose controller is not there yet
        found = process.find(cluster.run_dir(2))
        assert found is not None and process.wait_gone(found, 120)
        nodes.create(cluster.run_dir(1), replace(cluster.specs[1], static_config={}), None)
        nodes.wait_ready([cluster.run_dir(1)])
        with events.listening(told.append):
            nodes.wait_ready([cluster.run_dir(2)])
        restarted = process.find(cluster.run_dir(2))
        assert restarted is not None and restarted.pid != found.pid
    finally:
        cluster.close()
    assert [e.text for e in told] == ["node 2 could not register with the controllers; it is restarted"]
