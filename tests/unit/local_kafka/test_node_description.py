"""A node's description, the server.properties that follow from it, and where its passwords stand."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.kafka.connection import Connection, read_properties, render_properties
from asgard.machines.local import Credentials, InitialController, NodeSpec, RunDir, random_uuid, update
from asgard.machines.local.spec import credentials_of, server_properties
from asgard.machines.local.storage import arguments

VOTERS = (InitialController(1, 29093, "AAAAAAAAAAAAAAAAAAAAAA"), InitialController(2, 29094, "BBBBBBBBBBBBBBBBBBBBBB"))
COMBINED = NodeSpec(
    id=1,
    cluster_id="CCCCCCCCCCCCCCCCCCCCCC",
    roles=("broker", "controller"),
    voters=VOTERS,
    client_port=29092,
    controller_port=29093,
    rack="r0",
    internal_replication=3,
)
BROKER = replace(COMBINED, id=3, roles=("broker",), controller_port=None)
CREDENTIALS = Credentials("admin", "admin-secret", "controller", "controller-secret")
LOGS = [Path("/somewhere/data/log")]
PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20)


def test_a_secured_node_listens_on_loopback_with_scram_and_an_authorizer():
    properties = server_properties(COMBINED, LOGS, CREDENTIALS)
    assert properties["listeners"] == "CLIENT://127.0.0.1:29092,CONTROLLER://127.0.0.1:29093"
    assert properties["listener.security.protocol.map"] == "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
    assert properties["sasl.mechanism.inter.broker.protocol"] == "SCRAM-SHA-512"
    assert properties["super.users"] == "User:admin;User:controller"
    assert properties["allow.everyone.if.no.acl.found"] == "false"
    assert properties["log.dirs"] == "/somewhere/data/log"
    assert properties["controller.quorum.bootstrap.servers"] == "127.0.0.1:29093,127.0.0.1:29094"
    assert properties["broker.rack"] == "r0"


def test_an_open_node_has_no_authorizer_and_no_users():
    properties = server_properties(replace(COMBINED, sasl="none", authorizer=False), LOGS, None)
    assert properties["listener.security.protocol.map"] == "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT"
    assert not [key for key in properties if "sasl" in key or "authorizer" in key or key == "super.users"]


def test_a_broker_only_node_has_no_controller_listener_but_finds_the_quorum():
    properties = server_properties(BROKER, LOGS, CREDENTIALS)
    assert properties["listeners"] == "CLIENT://127.0.0.1:29092"
    assert properties["process.roles"] == "broker"
    assert properties["controller.quorum.bootstrap.servers"] == "127.0.0.1:29093,127.0.0.1:29094"


def test_internal_topics_have_the_replicas_that_the_cluster_can_hold():
    three = server_properties(COMBINED, LOGS, CREDENTIALS)
    one = server_properties(replace(COMBINED, internal_replication=1), LOGS, CREDENTIALS)
    for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert three[f"{topic}.replication.factor"] == "3"
        assert one[f"{topic}.replication.factor"] == "1"
    assert (three["transaction.state.log.min.isr"], one["transaction.state.log.min.isr"]) == ("2", "1")


def test_a_users_config_overrides_a_default_but_not_what_the_node_is():
    properties = server_properties(
        replace(COMBINED, static_config={"group.initial.rebalance.delay.ms": "3000"}), LOGS, CREDENTIALS
    )
    assert properties["group.initial.rebalance.delay.ms"] == "3000"
    with pytest.raises(WrongUsage, match=r"node 1: Asgard itself sets listeners, super\.users"):
        server_properties(replace(COMBINED, static_config={"listeners": "x", "super.users": "y"}), LOGS, CREDENTIALS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_port": None},
        {"controller_port": None},
        {"roles": ("broker",)},
        {"sasl": "none"},
    ],
)
def test_a_description_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(ValueError, match="node 1: "):
        replace(COMBINED, **wrong)


@given(admin=PASSWORDS, controller=PASSWORDS)
def test_any_password_survives_the_way_through_server_properties(admin, controller):
    credentials = Credentials("admin", admin, "controller", controller)
    properties = server_properties(COMBINED, LOGS, credentials)
    assert credentials_of(properties) == credentials


@given(password=PASSWORDS)
def test_any_password_survives_the_way_through_a_client_file(tmp_path_factory, password):
    path = tmp_path_factory.mktemp("client") / "client.properties"
    path.write_text(render_properties(Credentials("admin", password, "c", "x").client_properties()), encoding="utf-8")
    assert Connection("localhost:1", read_properties(path)).for_librdkafka()["sasl.password"] == password


def test_passwords_stand_in_server_properties_alone_and_only_its_owner_reads_it(tmp_path):
    run_dir = RunDir(tmp_path / "1")
    run_dir.write(COMBINED, CREDENTIALS)
    holding = [p.name for p in run_dir.path.rglob("*") if p.is_file() and b"-secret" in p.read_bytes()]
    assert holding == ["server.properties"]
    assert run_dir.properties.stat().st_mode & 0o777 == 0o600
    assert run_dir.path.stat().st_mode & 0o777 == 0o700
    assert "-secret" not in repr(CREDENTIALS)


def test_a_node_is_read_back_as_it_was_written(tmp_path):
    run_dir = RunDir(tmp_path / "1")
    spec = replace(COMBINED, static_config={"log.retention.ms": "1000"}, joins=True)
    run_dir.write(spec, CREDENTIALS)
    assert run_dir.spec() == spec
    assert run_dir.credentials() == CREDENTIALS


def test_describing_the_same_node_again_touches_no_file(tmp_path):
    run_dir = RunDir(tmp_path / "1")
    run_dir.write(COMBINED, CREDENTIALS)
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in run_dir.path.iterdir() if p.is_file()}
    run_dir.write(COMBINED, CREDENTIALS)
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in run_dir.path.iterdir() if p.is_file()} == before


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "asgard.node/v2"}', '{"format": "asgard.node/v1"}'])
def test_a_damaged_description_is_named(tmp_path, text):
    (tmp_path / "node.json").write_text(text)
    with pytest.raises(Failed, match=r"node\.json is not the description of a node"):
        RunDir(tmp_path).spec()


def test_the_first_voters_are_formatted_with_the_quorum_and_the_first_user(tmp_path):
    line = arguments(COMBINED, tmp_path, CREDENTIALS)
    voters = line[line.index("--initial-controllers") + 1]
    assert voters == "1@127.0.0.1:29093:AAAAAAAAAAAAAAAAAAAAAA,2@127.0.0.1:29094:BBBBBBBBBBBBBBBBBBBBBB"
    scram = line[line.index("--add-scram") + 1]
    assert scram.startswith("SCRAM-SHA-512=[name=admin,iterations=4096,salt=")
    assert not any("admin-secret" in argument for argument in line)


@pytest.mark.parametrize("spec", [BROKER, replace(COMBINED, joins=True)], ids=["broker only", "made anew"])
def test_nodes_that_join_are_formatted_without_a_quorum(tmp_path, spec):
    line = arguments(spec, tmp_path, CREDENTIALS)
    assert "--no-initial-controllers" in line
    assert "--initial-controllers" not in line
    assert "--add-scram" not in line


@given(st.integers())
def test_a_random_uuid_is_one_that_kafkas_tools_take(_):
    assert len(random_uuid()) == 22
    assert not random_uuid().startswith("-")


def test_a_node_with_two_log_directories_keeps_the_metadata_in_the_first(tmp_path: Path) -> None:
    node = RunDir(tmp_path / "1")
    node.write(replace(COMBINED, log_dirs=2), CREDENTIALS)
    assert read_properties(node.properties)["log.dirs"] == f"{tmp_path}/1/data/log,{tmp_path}/1/data/log-2"
    assert node.spec().log_dirs == 2


def test_a_node_can_be_given_more_log_directories_but_none_is_taken_away(tmp_path: Path) -> None:
    node = RunDir(tmp_path / "1")
    node.write(replace(COMBINED, log_dirs=2), CREDENTIALS)
    with pytest.raises(Refused, match="has 2 log directories, and 1 are asked for"):
        update(node, COMBINED)
    update(node, replace(COMBINED, log_dirs=3))
    assert len(read_properties(node.properties)["log.dirs"].split(",")) == 3
