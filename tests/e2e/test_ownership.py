"""Several teams on one cluster that exists: what is a stack's own, what is not, and whose permission a change wants."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from asgard.kafka.connection import render_properties
from asgard.kafka.model import Acl, ConfigChange, NewTopic, ScramCredential
from asgard.machines import local as nodes
from tests.e2e.command import Home, Stack, cluster, finished
from tests.e2e.killed import interrupted_up
from tests.harness import AckedProducer, RealCluster
from tests.harness.placing import eventually


@pytest.fixture(scope="module")
def team(home, external_cluster):
    """Makes stacks on the external cluster."""

    def make(name: str, topics: list[str], **more: Any) -> Stack:
        at = {
            "bootstrap_servers": external_cluster.bootstrap_servers,
            "client_properties": str(external_cluster.client_properties),
        }
        listed = [{"name": topic, "partitions": 1, "replication": 1} for topic in topics]
        return Stack(home, {"stack": name, "target": "external", "cluster": at, "topics": listed, **more})

    return make


def test_what_others_made_is_invisible_and_stays(team, external_cluster):
    with cluster(external_cluster.connection) as control:
        control.create_topics([NewTopic("theirs", 1, 1, {})])
        control.upsert_users([ScramCredential("them", "a-secret-of-theirs", "SCRAM-SHA-512")])
        control.create_acls([Acl("TOPIC", "theirs", "LITERAL", "User:them", "READ")])
        eventually(lambda: "them" in control.users() and control.acls(), 30)
        before = (control.users(), control.acls())
    stack = team("mine", ["mine"], security={"sasl": "scram-sha-512"}, users=[{"name": "me", "produce": ["mine"]}])
    answer = stack.up()
    assert "theirs" not in answer.out and "them" not in answer.out.split()
    stack.settled()
    assert "theirs" not in stack.odin("drift").out
    stack.destroy()
    with cluster(external_cluster.connection) as control:
        assert "mine" not in control.topics() and "theirs" in control.topics()
        assert (control.users(), control.acls()) == before


def test_a_topic_that_exists_is_not_taken(team, external_cluster):
    stack = team("greedy", ["theirs"])
    for verb in ("preview", "up"):
        refused = stack.odin(verb, *(["--yes"] if verb == "up" else []), code=4)
        assert "theirs" in refused.err and "asgard odin import" in refused.err
    assert not stack.home.stack("greedy").exists() or stack.destroy()
    with cluster(external_cluster.connection) as control:
        assert "theirs" in control.topics()


def test_a_second_stack_is_told_who_owns_the_topic(team):
    first, second = team("first", ["shared"]), team("second", ["shared"])
    first.up()
    refused = second.up(code=4)
    assert "first" in refused.err and "shared" in refused.err
    first.destroy()
    second.up()
    second.destroy()


def test_set_changes_a_value_for_one_run(team, external_cluster):
    stack = team("set", ["set.it"])
    stack.up("--set", "topics.0.partitions=3")
    with cluster(external_cluster.connection) as control:
        assert len(control.topics(["set.it"])["set.it"].partitions) == 3
    assert stack.preview(code=4).json["errors"][0]["resource"] == "set.it"
    stack.destroy()


def test_an_unknown_engine_is_wrong_usage(team):
    assert "embedded" in team("any", []).preview("--engine", "terraform", code=2).err


def test_an_imported_cluster_has_nothing_to_change_and_keeps_what_is_protected(home, external_cluster):
    with cluster(external_cluster.connection) as control:
        control.create_topics([NewTopic("found.a", 3, 1, {"retention.ms": "3600000"}), NewTopic("found.b", 1, 1, {})])
    at = ("--bootstrap-server", external_cluster.bootstrap_servers)
    at += ("--command-config", str(external_cluster.client_properties))
    file = home.path.parent / "whole.yaml"
    home.run("odin", "import", "whole", *at, "-f", file, "--yes")
    assert home.run("odin", "preview", "-f", file, "--expect-no-changes", "--json").json["changes"] == []
    assert home.run("odin", "up", "-f", file, "--yes", "--json").json["changes"] == []

    part = home.path.parent / "part.yaml"
    refused = home.run("odin", "import", "part", *at, "-f", part, "--topic", "found.*", "--yes", code=4)
    assert "whole" in refused.err

    refused = home.run("odin", "destroy", "--stack", "whole", "--confirm", "whole", "--yes", code=4)
    assert "protect" in refused.err
    with cluster(external_cluster.connection) as control:
        assert {"found.a", "found.b", "theirs"} <= set(control.topics())
        assert "them" in control.users()


def test_an_import_of_some_topics_takes_nothing_else(tmp_path, external_cluster):
    home = Home(tmp_path / "home")
    file = tmp_path / "part.yaml"
    at = ("--bootstrap-server", external_cluster.bootstrap_servers)
    at += ("--command-config", str(external_cluster.client_properties))
    answer = home.run("odin", "import", "part", *at, "-f", file, "--topic", "found.*", "--yes", "--json")
    assert set(answer.ops) == {"found.a", "found.b"}
    assert home.run("odin", "preview", "-f", file, "--expect-no-changes", "--json").json["changes"] == []


def test_a_protected_context_wants_its_name(home, external_cluster):
    at = ("--bootstrap-server", external_cluster.bootstrap_servers)
    at += ("--command-config", str(external_cluster.client_properties))
    home.run("context", "add", "prod", *at, "--protected")
    stack = Stack(home, {"stack": "careful", "target": "external", "cluster": {"context": "prod"}})
    stack.document["topics"] = [{"name": "careful", "partitions": 1, "replication": 1}]
    assert "--confirm prod" in stack.up(code=4).err
    stack.up("--confirm", "prod")
    stack.settled()
    stack.destroy()
    # Another stack reaches the same cluster by its servers: it is protected all the same.
    at_servers = {
        "bootstrap_servers": external_cluster.bootstrap_servers,
        "client_properties": str(external_cluster.client_properties),
    }
    stack = Stack(home, {"stack": "careless", "target": "external", "cluster": at_servers})
    stack.document["topics"] = [{"name": "careless", "partitions": 1, "replication": 1}]
    assert "the context prod is protected" in stack.up(code=4).err
    stack.up("--confirm", "prod")
    stack.destroy()
    home.run("context", "remove", "prod", "--yes")


def test_another_cluster_behind_the_same_address_is_refused(home, tmp_path):
    with RealCluster(tmp_path / "one", brokers=1, security="none") as first:
        home.run("context", "add", "moving", "--bootstrap-server", first.bootstrap_servers)
        stack = Stack(home, {"stack": "stays", "target": "external", "cluster": {"context": "moving"}})
        stack.document |= {"security": {"sasl": "none", "authorizer": False}}
        stack.document["topics"] = [{"name": "stays", "partitions": 1, "replication": 1}]
        stack.up()
        port = next(iter(first.specs.values())).client_port
    second = RealCluster(tmp_path / "two", brokers=1, security="none")
    second.specs = {1: _at_port(second, port)}
    with second:
        for verb in (("preview",), ("drift",), ("up", "--yes")):
            assert second.cluster_id in stack.odin(*verb, code=4).err
        with cluster(second.connection) as control:
            assert control.topics() == {}


def _at_port(other: RealCluster, port: int) -> nodes.NodeSpec:
    from dataclasses import replace

    return replace(other.specs[1], client_port=port)


def test_wrong_password_and_nobody_there_are_one_sentence(team, external_cluster, tmp_path):
    stack = team("lost", ["lost"])
    wrong = {
        key: value.replace('password="', 'password="not-') if key == "sasl.jaas.config" else value
        for key, value in external_cluster.connection.properties.items()
    }
    file = tmp_path / "wrong.properties"
    file.write_text(render_properties(wrong))
    stack.document["cluster"]["client_properties"] = str(file)
    answer = stack.up(code=1)  # the cluster was reached: it is the login that failed
    assert "refuses the login of the user" in answer.err and len(answer.err.strip().splitlines()) <= 3, answer.err
    assert "not-" not in answer.err + answer.out
    stack.document["cluster"]["bootstrap_servers"] = "127.0.0.1:1"
    answer = stack.up(code=3)
    assert "127.0.0.1:1" in answer.err and len(answer.err.strip().splitlines()) <= 3, answer.err


def test_the_second_of_two_ups_is_told_who_is_at_it(team):
    """The first one hangs at a stopped broker's answer for as long as the second one looks."""
    stack = team("busy", [f"busy.{number}" for number in range(40)])
    first = stack.home.start("odin", "up", "-f", stack.write(), "--yes")
    try:
        _until_state(stack)
        first.send_signal(signal.SIGSTOP)
        second = stack.up(code=75)
        assert str(first.pid) in second.err and "odin up busy" in second.err
    finally:
        first.send_signal(signal.SIGCONT)
    finished(first)
    stack.settled()
    stack.destroy()


def _until_state(stack: Stack) -> None:
    """Wait until an `up` has begun to write: it holds the lease then."""
    for _ in range(3000):
        if (stack.home.stack(stack.name) / "steps.log").exists():
            return
        time.sleep(0.01)
    raise AssertionError("the run never began")


def test_ctrl_c_leaves_something_that_the_next_up_finishes(team, tmp_path):
    """What is under way is finished and recorded; what would come after it, deletions for one, is not begun."""
    stack = team("cut", ["cut.going"])
    stack.up()
    stack.document["topics"] = []
    stack.add_topic("cut.new", replication=1)
    answer, begun = interrupted_up(stack, tmp_path / "trace", step=1)
    assert answer.err.strip().splitlines()[-1] == (
        "interrupted: what was done is recorded; run the same command again to continue"
    )
    assert answer.ops == {"cut.new": "create"} and [step.name for step in begun] == ["create topic cut.new"]
    assert stack.up().ops == {"cut.going": "delete"}
    stack.settled()
    stack.destroy()


def test_putting_a_longer_retention_back_wants_permission(team, external_cluster):
    """What somebody sets on a stack's topic while Odin looks away is drift; to undo it can lose data as any change can."""
    stack = team("watched", ["watched"])
    stack.up()
    with cluster(external_cluster.connection) as control:
        control.alter_configs([ConfigChange("topic", "watched", {"retention.ms": "90000000000"})])
    with AckedProducer(external_cluster.connection) as producer:
        producer.send("watched", b"old", timestamp_ms=int((time.time() - 30 * 86400) * 1000))
    planned = stack.preview()
    assert "drift" in planned.err and planned.ops == {"watched": "update"}
    assert "--allow-data-loss watched" in stack.up(code=4).err
    stack.up("--allow-data-loss", "watched")
    stack.settled()
    stack.destroy()


def test_destroy_leaves_a_context_that_it_did_not_make(home, external_cluster):
    at = ("--bootstrap-server", external_cluster.bootstrap_servers)
    at += ("--command-config", str(external_cluster.client_properties))
    home.run("context", "add", "same-name", *at)
    stack = Stack(home, {"stack": "same-name", "target": "external", "cluster": {"context": "same-name"}})
    stack.document["topics"] = [{"name": "same-name", "partitions": 1, "replication": 1}]
    stack.up()
    stack.destroy()
    assert "same-name" in home.run("context", "list").out
