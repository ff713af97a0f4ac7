"""A stack from its first `up` to its `destroy`, told in order: each test goes on where the one before it left the cluster."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from asgard.kafka.connection import read_properties
from asgard.kafka.model import Acl, ConfigChange
from asgard.machines import local as nodes
from tests.e2e.command import Home, Stack, cluster, finished
from tests.harness import AckedProducer, leaked_processes, read_all

STACK = "orders"


@pytest.fixture(scope="module")
def stack(home: Home) -> Iterator[Stack]:
    """Three secured brokers, two topics, two users."""
    yield Stack(
        home,
        {
            "stack": STACK,
            "target": "local",
            "kafka": {
                "brokers": 3,
                "racks": 3,
                "min_insync_replicas": 2,
                "config": {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500},
            },
            "topics": [
                {"name": "orders.created", "partitions": 3, "retention": "7d", "config": {"compression.type": "zstd"}},
                {"name": "orders.paid", "partitions": 1},
            ],
            "users": [
                {"name": "shop", "produce": ["orders.created"], "quota": {"produce": "10MB/s"}},
                {"name": "books", "consume": ["orders."], "groups": ["books-"]},
            ],
        },
    )


class Watch(threading.Thread):
    """Collects arguments and environments of every process that has to do with a directory, over and over."""

    def __init__(self, below: Path, root: int) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.looked = 0
        self._below = str(below).encode()
        self._root = root
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.02):
            mine = {self._root}
            if psutil.pid_exists(self._root):
                mine |= {child.pid for child in psutil.Process(self._root).children(recursive=True)}
            for process in psutil.pids():
                self._look(Path("/proc", str(process)), process in mine)

    def _look(self, process: Path, mine: bool) -> None:
        try:
            arguments = (process / "cmdline").read_bytes()
            if mine or self._below in arguments:
                self.seen |= {arguments, (process / "environ").read_bytes()}
                self.looked += 1
        except OSError:
            return

    def stop(self) -> None:
        """Enough."""
        self._over.set()
        self.join()


def test_a_preview_shows_everything_and_makes_nothing(stack):
    answer = stack.preview()
    assert set(answer.ops.values()) == {"create"}
    assert answer.json["counts"]["create"] == len(answer.json["changes"])
    assert {"orders.created", "orders.paid", "shop", "books", "orders-1", "orders-2", "orders-3"} <= set(answer.ops)
    assert "password" not in answer.out.lower() or "[secret]" in answer.out or "[unknown]" in answer.out
    assert not stack.home.stack(STACK).exists()
    stack.preview("--expect-no-changes", code=1)


def test_up_without_yes_and_without_terminal_is_refused(stack):
    assert "--yes" in stack.odin("up", code=4).err
    assert not (stack.home.stack(STACK) / "nodes").exists()


def test_up_makes_it_and_no_password_is_in_any_process(stack):
    process = stack.home.start("odin", "up", "-f", stack.write(), "--yes", "--json")
    watch = Watch(stack.home.path, process.pid)
    watch.start()
    answer = finished(process)
    watch.stop()
    assert set(answer.ops.values()) == {"create"}

    secrets = {(stack.home.path / "keys" / STACK).read_text().strip()}
    for file in [
        *stack.home.stack(STACK).glob("nodes/*/server.properties"),
        stack.home.stack(STACK) / "client.properties",
    ]:
        assert file.stat().st_mode & 0o777 == 0o600
        secrets |= _passwords(read_properties(file))
    for user in ("shop", "books"):
        secrets |= _passwords(dict(stack.user(user).properties))
    assert len(secrets) == 5, "passphrase, administrator, controllers, shop, books"
    assert watch.looked > 50
    told = b"\0".join(watch.seen) + answer.out.encode() + answer.err.encode()
    state = (stack.home.stack(STACK) / "state.json").read_bytes()
    for secret in secrets:
        assert secret.encode() not in told
        assert secret.encode() not in state


def _passwords(properties: dict[str, str]) -> set[str]:
    """The passwords in JAAS lines."""
    return {
        part.partition('"')[2].partition('"')[0]
        for value in properties.values()
        for part in value.split()
        if part.startswith(("password=", "user_"))
    }


def test_then_nothing_is_left_to_do(stack):
    stack.settled()
    again = stack.up()
    assert again.json["changes"] == []


def test_users_do_what_the_file_says_and_nothing_else(stack):
    with AckedProducer(stack.user("shop")) as producer:
        for number in range(300):
            producer.send("orders.created", b"%d" % number, b"%d" % (number % 7))
    assert (len(producer.acked), producer.failed) == (300, [])
    reader = stack.user("books")
    assert len(read_all(reader, "orders.created", group="books-1")) == 300
    with AckedProducer(stack.user("shop"), timeout_s=10) as refused:
        refused.send("orders.paid", b"no")
    assert not refused.acked and "authoriz" in refused.failed[0].lower()


def test_a_topic_is_changed_in_place(stack):
    topic = stack.topic("orders.created")
    topic["partitions"], topic["config"] = 5, {"compression.type": "lz4"}
    stack.document["topics"][1]["replication"] = 2
    planned = stack.preview()
    assert planned.ops == {"orders.created": "update", "orders.paid": "update"}
    stack.up()
    with cluster(stack.admin) as control:
        topics = control.topics(["orders.created", "orders.paid"])
        assert len(topics["orders.created"].partitions) == 5
        assert topics["orders.paid"].replication == 2
        assert control.topic_configs(["orders.created"])["orders.created"]["compression.type"] == "lz4"
    stack.settled()


def test_fewer_partitions_are_refused_with_the_way_to_do_it(stack):
    answer = stack.up("--set", "topics.0.partitions=2", code=4)
    assert "orders.created" in answer.err and "can't remove partitions" in answer.err
    assert len(answer.err.strip().splitlines()) <= 4, answer.err


def test_a_topic_that_holds_records_goes_only_when_that_is_said(stack):
    stack.add_topic("orders.scratch")
    stack.up()
    with AckedProducer(stack.admin) as producer:
        producer.send("orders.scratch", b"one")
    stack.drop_topic("orders.scratch")
    planned = stack.preview()
    assert planned.ops == {"orders.scratch": "delete"}
    assert [(loss["topic"], loss["records"]) for loss in planned.json["losses"]] == [("orders.scratch", 1)]
    assert "--allow-data-loss orders.scratch" in stack.up(code=4).err
    with cluster(stack.admin) as control:
        assert "orders.scratch" in control.topics()
    stack.up("--allow-data-loss", "orders.scratch")
    with cluster(stack.admin) as control:
        assert "orders.scratch" not in control.topics()
    stack.settled()


def test_shorter_retention_wants_the_same_permission(stack):
    topic = stack.add_topic("orders.old", retention="30d")
    stack.up()
    ten_days_ago = int((time.time() - 10 * 86400) * 1000)
    with AckedProducer(stack.admin) as producer:
        producer.send("orders.old", b"old", timestamp_ms=ten_days_ago)
    topic["retention"] = "1d"
    planned = stack.preview()
    assert planned.ops == {"orders.old": "update"}
    assert [loss["topic"] for loss in planned.json["losses"]] == ["orders.old"]
    assert "--allow-data-loss orders.old" in stack.up(code=4).err
    with cluster(stack.admin) as control:
        assert control.topic_configs(["orders.old"])["orders.old"]["retention.ms"] == str(30 * 86400_000)
    stack.up("--allow-data-loss", "orders.old")
    stack.settled()


def test_drift_is_named_and_repaired(stack):
    stack.add_topic("orders.gone")
    stack.up()
    books = stack.user("books")
    nodes.kill(stack.home.node(STACK, 2))
    with cluster(stack.admin) as control:
        control.alter_configs(
            [ConfigChange("topic", "orders.created", {"compression.type": "gzip", "max.message.bytes": "2048"})]
        )
        control.delete_topics(["orders.gone"])
        control.create_acls([Acl("TOPIC", "orders.paid", "LITERAL", "User:shop", "WRITE")])
        control.delete_users({"books": ("SCRAM-SHA-512",)})
    answer = stack.odin("drift", "--fail-on-drift", code=1)
    named = {(found["what"], found["name"].split("/")[0]) for found in answer.json["drift"]}
    assert {("stopped", "orders-2"), ("changed", "orders.created"), ("gone", "orders.gone"), ("gone", "books")} <= named
    assert [found["name"] for found in answer.json["drift"] if found["what"] == "extra"], answer.out
    repaired = stack.up()
    assert repaired.ops["orders-2"] == "update" and repaired.ops["orders.created"] == "update"
    assert repaired.ops["orders.gone"] == "create"
    stack.settled()
    with cluster(stack.admin) as control:
        configs = control.topic_configs(["orders.created"])["orders.created"]
        assert configs["compression.type"] == "lz4" and "max.message.bytes" not in configs
        assert not [acl for acl in control.acls() if acl.resource_name == "orders.paid" and acl.operation == "WRITE"]
    stack.odin("drift", "--fail-on-drift", "--check-credentials")
    assert len(read_all(books, "orders.created", group="books-2")) == 300, "the password is the one from before"


@pytest.mark.long
def test_all_brokers_killed_at_once_come_back_with_everything(stack):
    with AckedProducer(stack.admin) as producer:
        for number in range(200):
            producer.send("orders.created", b"before-%d" % number)
    for node in (1, 2, 3):
        nodes.kill(stack.home.node(STACK, node))
    assert len(stack.odin("drift", "--fail-on-drift", code=1).json["drift"]) == 3
    stack.up()
    stack.settled()
    assert producer.lost(stack.admin) == []


@pytest.mark.long
def test_a_no_op_up_leaves_eligible_leader_replicas_alone(stack, tmp_path_factory):
    """Another team's stack on the same cluster runs `up` while a replica is out: no config of the cluster is written."""
    other = Stack(
        Home(tmp_path_factory.mktemp("other") / "home"),
        {
            "stack": "elsewhere",
            "target": "external",
            "cluster": {
                "bootstrap_servers": stack.admin.bootstrap_servers,
                "client_properties": str(stack.home.stack(STACK) / "client.properties"),
            },
            "kafka": {"config": {"log.retention.ms": 360000000}},
            "topics": [
                {"name": "elsewhere.all", "partitions": 1, "replication": 3, "config": {"min.insync.replicas": 3}}
            ],
        },
    )
    other.up()
    with AckedProducer(stack.admin) as producer:
        producer.send("elsewhere.all", b"one")
    nodes.kill(stack.home.node(STACK, 3))
    with cluster(stack.admin) as control:
        before = _eligible(control, "elsewhere.all")
        assert before == (3,)
        assert other.up().json["changes"] == []
        assert _eligible(control, "elsewhere.all") == before
        other.add_topic("elsewhere.more", replication=1)
        assert other.up().ops == {"elsewhere.more": "create"}
        assert _eligible(control, "elsewhere.all") == before
    other.home.run("odin", "destroy", "--stack", "elsewhere", "--confirm", "elsewhere", "--yes")
    with cluster(stack.admin) as control:
        assert "elsewhere.all" not in control.topics() and "orders.created" in control.topics()
    stack.up()
    stack.settled()


def _eligible(control, topic: str) -> tuple[int, ...]:
    """The eligible leader replicas, once there are some (10 s at most)."""
    for _ in range(100):
        partition = control.topics([topic])[topic].partitions[0]
        if partition.elr:
            return partition.elr
        time.sleep(0.1)
    return ()


@pytest.mark.long
def test_a_static_config_rolls_through_the_brokers_under_load(stack):
    pids = [stack.pid(node) for node in (1, 2, 3)]
    stack.document["kafka"]["config"]["num.io.threads"] = 5
    stack.document["kafka"]["config"]["socket.request.max.bytes"] = 104857601
    with AckedProducer(stack.user("shop")) as producer, producer.sending("orders.created", 0.005):
        answer = stack.up()
    assert {answer.ops[f"orders-{node}"] for node in (1, 2, 3)} == {"update"}
    assert all(stack.pid(node) != pid for node, pid in zip((1, 2, 3), pids, strict=True))
    assert producer.acked and producer.failed == []
    assert producer.lost(stack.admin) == [] and producer.duplicated(stack.admin) == []
    stack.settled()


def test_a_fourth_broker_is_added_and_the_others_run_on(stack):
    pids = [stack.pid(node) for node in (1, 2, 3)]
    stack.document["kafka"]["brokers"] = 4
    planned = stack.preview()
    assert planned.ops["orders-4"] == "create"
    assert not {"orders-1", "orders-2", "orders-3"} & set(planned.ops)
    stack.up()
    assert [stack.pid(node) for node in (1, 2, 3)] == pids
    assert stack.home.node(STACK, 4).spec().roles == ("broker",)
    with cluster(stack.admin) as control:
        assert [broker.id for broker in control.cluster().brokers] == [1, 2, 3, 4]
        assert len(control.quorum().voters) == 3
    stack.settled()


def test_a_broker_that_holds_replicas_stays(stack):
    stack.add_topic("orders.wide", partitions=4)
    stack.up()
    with cluster(stack.admin) as control:
        assert any(4 in p.replicas for p in control.topics(["orders.wide"])["orders.wide"].partitions)
    stack.document["kafka"]["brokers"] = 3
    answer = stack.up(code=4)
    assert "orders.wide" in answer.err and "asgard thor plan drain 4" in answer.err
    assert psutil.pid_exists(stack.pid(4))


def test_and_goes_when_it_holds_none(stack):
    stack.document["kafka"]["brokers"] = 4
    stack.drop_topic("orders.wide")
    stack.up()
    stack.document["kafka"]["brokers"] = 3
    assert stack.up().ops["orders-4"] == "delete"
    with cluster(stack.admin) as control:
        assert [broker.id for broker in control.cluster().brokers] == [1, 2, 3]
    assert not stack.home.node(STACK, 4).path.exists()
    stack.settled()


def test_destroy_wants_the_name_and_leaves_nothing(stack):
    refused = stack.home.run("odin", "destroy", "--stack", STACK, "--yes", code=4)
    assert f"--confirm {STACK}" in refused.err
    assert psutil.pid_exists(stack.pid(1))
    stack.destroy()
    assert leaked_processes(stack.home.path) == []
    assert not stack.home.stack(STACK).exists()
    assert not (stack.home.path / "keys" / STACK).exists()
    assert stack.home.run("context", "list", "--json").json["contexts"] == []
    again = stack.home.run("odin", "destroy", "--stack", STACK, "--confirm", STACK, "--yes", code=2)
    assert "there is no stack" in again.err
