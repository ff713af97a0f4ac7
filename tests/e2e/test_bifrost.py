"""Self-service on a real cluster with an authorizer: a team asks and has it, with credentials of its own, and nobody else's."""

from __future__ import annotations

import subprocess
import time

import pytest

from asgard.compose.bifrost_check import _fetch as fetch
from asgard.compose.bifrost_check import _produce as produce
from asgard.core.errors import AsgardError
from asgard.kafka.model import ConfigChange
from tests.e2e.bifrost_world import World
from tests.e2e.command import cluster


@pytest.fixture(scope="module")
def world(tmp_path_factory, external_cluster):
    return World(tmp_path_factory.mktemp("bifrost"), external_cluster, "bf-")


@pytest.fixture(scope="module")
def ready(world):
    """Two teams with a topic and a user each; the folder is a git repository."""
    subprocess.run(["git", "init", "-q"], cwd=world.folder, check=True)
    for person, team in (("linus", "orders"), ("grace", "payments")):
        name = world.name(f"{team}.created")
        answer = world.bundle(
            person,
            topics=[{"name": name, "replication": 1, "partitions": 2, "tags": ["pii"] if team == "payments" else []}],
            users=[{"name": world.name(f"{team}.api"), "produce": [name], "consume": [name]}],
        )
        assert answer.json["state"] == "ready"
    orders = world.credentials("linus", world.name("orders.api"))
    payments = world.credentials("grace", world.name("payments.api"))
    return world, orders, payments


def refused(action, connection, topic):
    with pytest.raises(AsgardError) as caught:
        action(connection, topic)
    assert "not authorised" in caught.value.what


def test_own_credentials_work_and_a_stranger_is_refused_by_kafka(ready):
    world, orders, payments = ready
    mine, theirs = world.name("orders.created"), world.name("payments.created")
    for connection, own, other in ((orders, mine, theirs), (payments, theirs, mine)):
        produce(connection, own)
        fetch(connection, own)
        refused(produce, connection, other)
        refused(fetch, connection, other)


def test_credentials_are_handed_over_once_and_only_to_the_team(ready):
    world, orders, _ = ready
    user = world.name("orders.api")
    again = world.run("linus", "credentials", user, "--show", code=4)
    assert "already handed over to linus" in again.err
    foreign, missing = (world.run("grace", "credentials", name, "--show", code=2) for name in (user, "nobody"))
    assert foreign.err.replace(user, "nobody") == missing.err
    secret = orders.for_librdkafka()["sasl.password"]
    history = subprocess.run(["git", "log", "-p", "--all"], cwd=world.folder, capture_output=True, check=True).stdout
    assert b"orders.created" in history and secret.encode() not in history
    found = [p for p in world.folder.rglob("*") if p.is_file() and secret.encode() in p.read_bytes()]
    assert found == [], "the password is nowhere in the clear: store, journal, state, managed file, git"


def test_the_change_is_in_git_with_the_requester_as_author(ready):
    world, _, _ = ready
    log = subprocess.run(
        ["git", "log", "--format=%an <%ae> %s"], cwd=world.folder, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert any(line.startswith("linus <linus@localhost> bifrost r-") and "orders.created" in line for line in log)
    assert any(line.startswith("grace <") for line in log)
    clean = subprocess.run(
        ["git", "status", "--porcelain", "stack.bifrost.yaml"], cwd=world.folder, capture_output=True, text=True
    )
    assert clean.stdout == ""


def test_access_by_consent_works_and_ends_on_time(ready):
    world, orders, _ = ready
    topic, user = world.name("payments.created"), world.name("orders.api")
    answer = world.run("linus", "request", "access", topic, "--user", user, "--for", "8s")
    asked = answer.json
    assert "asgard:kafka:Acl" in answer.err, "what approval would change is shown"
    assert asked["state"] == "pending" and asked["waits_for"] == ["team:payments"]
    for person in ("linus", "ada", "edgar", "audrey"):
        world.run(person, "approve", asked["id"], code=4)
    refused(fetch, orders, topic)
    assert world.run("grace", "approve", asked["id"]).json["state"] == "ready"
    began = time.time()
    fetch(orders, topic)
    time.sleep(max(0.0, 8.5 - (time.time() - began)))
    assert world.run("linus", "mine").json["teams"] == ["orders"]  # any command ends what is over
    refused(fetch, orders, topic)
    assert f"READ {topic}" not in world.part and world.run("linus", "grants").out.count(topic) == 0


def test_what_is_refused_comes_with_a_request_that_passes(ready):
    world, _, _ = ready
    answer = world.run("linus", "request", "topic", "returns", "--replication", "1", code=4).json
    assert answer["state"] == "rejected" and answer["policy"]["rule"] == "team-namespace"
    nearest = answer["policy"]["nearest"]
    assert nearest["topics"][0]["name"] == world.name("orders.returns")
    assert world.bundle("linus", **nearest).json["state"] == "ready"


def test_rotation_with_an_overlap(ready):
    world, orders, _ = ready
    user, topic = world.name("orders.api"), world.name("orders.created")
    done = world.run("linus", "rotate", user, "--overlap", "2s").json
    assert done["principal"] == f"{user}-2" and done["old"] == [user]
    new = world.credentials("linus", user)
    assert new.username == f"{user}-2"
    produce(new, topic)
    fetch(new, topic)
    time.sleep(max(0.0, done["until"] - time.time()) + 0.2)
    assert world.run("edgar", "tick").json["troubles"] == []
    with cluster(world.cluster.connection) as control:
        assert user not in control.users() and f"{user}-2" in control.users()
    with pytest.raises(AsgardError):
        produce(orders, topic)
    produce(new, topic)
    checked = world.run("linus", "check", user).json
    assert {(c["what"], c["worked"]) for c in checked} >= {("produce", True), ("consume", True), ("consume", False)}


def test_hand_made_changes_are_shown_and_never_overwritten_silently(ready):
    world, _, _ = ready
    topic = world.name("orders.created")
    with cluster(world.cluster.connection) as control:
        control.alter_configs([ConfigChange("topic", topic, {"retention.ms": "1234567"})])
    late = world.run("linus", "request", "topic", world.name("orders.late"), "--replication", "1", code=4)
    assert "changed by hand on the cluster" in late.err and "1234567" in late.err
    with cluster(world.cluster.connection) as control:
        assert control.topic_configs([topic])[topic]["retention.ms"] == "1234567"
    mended = world.run("edgar", "apply", "--mend", code=None)
    assert mended.code == 0 and any("retention.ms" in line for line in mended.json["drift"])
    file = world.folder / "stack.bifrost.yaml"
    file.write_text(file.read_text().replace('"partitions": 2', '"partitions": 7', 1))
    edited = world.run("linus", "request", "topic", world.name("orders.later"), "--replication", "1", code=4)
    assert "was changed by hand" in edited.err and '"partitions": 7' in edited.err
    world.run("edgar", "apply", "--mend")
    assert '"partitions": 7' not in world.part


def test_a_grant_missing_on_the_cluster_is_shown_and_made_again(ready):
    world, _, payments = ready
    topic, user = world.name("payments.created"), world.name("payments.api")
    with cluster(world.cluster.connection) as control:
        gone = [
            a
            for a in control.acls()
            if a.principal == f"User:{user}" and a.operation == "READ" and a.resource_name == topic
        ]
        control.delete_acls(gone)
    assert len(gone) == 1
    ticked = world.run("edgar", "tick").json
    assert ticked["missing"] == [f"{user} consume {topic}"] and ticked["troubles"] == []
    fetch(payments, topic)


def test_killed_between_transitions_nothing_is_lost_or_made_twice(ready, tmp_path):
    from tests.e2e import bifrost_killed as killed

    world, _, _ = ready
    found = killed.moments(world, tmp_path / "trace")
    names = [line.partition(" ")[2] for line in found]
    # Between the file and the cluster; the proof takes every moment.
    moment = names.index("before up") + 1
    assert killed.wrong_after_kill(world, moment, tmp_path / "trace") is None
    assert killed.wrong_after_cut_hand_over(world, world.name(f"orders.k{moment}-u")) is None
