"""`pulumi-resource-asgard` as the Pulumi CLI uses it: started as a process, its port read from stdout, spoken to over gRPC."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import proto
from pulumi.runtime.proto import provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN, _special_secret_sig, _special_sig_key

from asgard.journal import leases
from asgard.journal.leases import Priority
from asgard.journal.store.database import open_journal
from asgard.odin.provider.writes import Writes
from asgard.odin.resources.kinds import BROKER, KINDS, TOPIC, USER
from tests.harness import AckedProducer, RealCluster
from tests.provider_driver import urn_of

pytestmark = pytest.mark.kafka


def struct(values: dict[str, Any]) -> struct_pb2.Struct:
    """Plain values as they travel."""
    return json_format.ParseDict(values, struct_pb2.Struct())


def plain(values: struct_pb2.Struct) -> dict[str, Any]:
    """What travelled as plain values."""
    found: dict[str, Any] = json_format.MessageToDict(values)
    return found


def secret(value: Any) -> dict[str, Any]:
    """A secret as it travels."""
    return {_special_sig_key: _special_secret_sig, "value": value}


@pytest.fixture(scope="module")
def stub() -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    """The provider in a process of its own."""
    with started({"ASGARD_ALLOW_DATA_LOSS": "may-go, other"}) as stub:
        yield stub


@contextlib.contextmanager
def started(variables: dict[str, str]) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    """A provider process with these variables, as long as the block."""
    script = Path(sys.executable).with_name("pulumi-resource-asgard")
    environment = {**os.environ, **variables}
    process = subprocess.Popen([script, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        process.stdout.close()


def configure(stub: provider_pb2_grpc.ResourceProviderStub, cluster: RealCluster) -> Any:
    """As the CLI configures: maps come as JSON text."""
    properties = json.dumps({"security.protocol": "PLAINTEXT"})
    args = struct({"bootstrapServers": cluster.bootstrap_servers, "clientProperties": secret(properties)})
    return stub.Configure(proto.ConfigureRequest(args=args, acceptSecrets=True))


def test_the_plugin_says_who_it_is_and_what_it_has(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    from asgard import __version__

    assert stub.GetPluginInfo(empty_pb2.Empty()).version == __version__
    schema = json.loads(stub.GetSchema(proto.GetSchemaRequest(version=0)).schema)
    assert schema["name"] == "asgard"
    assert set(schema["resources"]) == set(KINDS)


def test_a_topic_over_the_wire(
    stub: provider_pb2_grpc.ResourceProviderStub, plain_broker: RealCluster, topic_name: str
) -> None:
    answer = configure(stub, plain_broker)
    assert (answer.acceptSecrets, answer.supportsPreview) == (True, True)
    urn = urn_of(TOPIC, topic_name)
    news = struct({"name": topic_name, "partitions": 2, "replication": 1, "config": {"retention.ms": 3600000}})

    checked = stub.Check(proto.CheckRequest(urn=urn, news=news))
    assert not checked.failures
    inputs = plain(checked.inputs)
    assert inputs["config"] == {"retention.ms": "3600000"}

    preview = stub.Create(proto.CreateRequest(urn=urn, properties=checked.inputs, preview=True))
    assert preview.id == ""
    assert plain(preview.properties) == {**inputs, "topicId": UNKNOWN}
    made = stub.Create(proto.CreateRequest(urn=urn, properties=checked.inputs))
    assert made.id == topic_name
    assert len(plain(made.properties)["topicId"]) == 22

    same = stub.Diff(proto.DiffRequest(urn=urn, id=made.id, olds=made.properties, news=checked.inputs))
    assert same.changes == proto.DiffResponse.DIFF_NONE

    wanted = struct({**inputs, "partitions": 3, "config": {"retention.ms": "7200000"}})
    diff = stub.Diff(proto.DiffRequest(urn=urn, id=made.id, olds=made.properties, news=wanted))
    assert diff.changes == proto.DiffResponse.DIFF_SOME
    assert not diff.replaces
    kinds = {path: found.kind for path, found in diff.detailedDiff.items()}
    assert kinds == {"partitions": proto.PropertyDiff.UPDATE, 'config["retention.ms"]': proto.PropertyDiff.UPDATE}
    ignoring = proto.DiffRequest(
        urn=urn, id=made.id, olds=made.properties, news=wanted, ignoreChanges=["partitions", "config"]
    )
    assert stub.Diff(ignoring).changes == proto.DiffResponse.DIFF_NONE

    update = proto.UpdateRequest(urn=urn, id=made.id, olds=made.properties, news=wanted)
    stub.Update(update)
    read = stub.Read(proto.ReadRequest(urn=urn, id=made.id, properties=made.properties, inputs=checked.inputs))
    assert plain(read.inputs) == plain(wanted)

    imported = stub.Read(proto.ReadRequest(urn=urn, id=topic_name))
    assert imported.id == topic_name
    assert plain(imported.inputs) == plain(wanted)

    stub.Delete(proto.DeleteRequest(urn=urn, id=made.id, properties=read.properties))
    assert stub.Read(proto.ReadRequest(urn=urn, id=made.id, properties=read.properties)).id == ""


def test_refusals_arrive_as_sentences_without_a_traceback(
    stub: provider_pb2_grpc.ResourceProviderStub, plain_broker: RealCluster, topic_name: str
) -> None:
    configure(stub, plain_broker)
    urn = urn_of(TOPIC, topic_name)
    topic = struct({"name": topic_name, "partitions": 2, "replication": 1, "config": {}})
    made = stub.Create(proto.CreateRequest(urn=urn, properties=topic))
    fewer = struct({"name": topic_name, "partitions": 1, "replication": 1, "config": {}})
    with pytest.raises(grpc.RpcError) as refused:
        stub.Diff(proto.DiffRequest(urn=urn, id=made.id, olds=made.properties, news=fewer))
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "Kafka can't remove partitions" in refused.value.details()
    with AckedProducer(plain_broker.connection) as producer:
        producer.send(topic_name, b"precious")
    with pytest.raises(grpc.RpcError) as refused:
        stub.Delete(proto.DeleteRequest(urn=urn, id=made.id, properties=made.properties))
    assert f"--allow-data-loss {topic_name}" in refused.value.details()
    assert "Traceback" not in refused.value.details()
    assert "File" not in refused.value.details()


def test_the_environment_allows_data_loss_by_name(
    stub: provider_pb2_grpc.ResourceProviderStub, plain_broker: RealCluster
) -> None:
    configure(stub, plain_broker)
    urn = urn_of(TOPIC, "may-go")
    topic = struct({"name": "may-go", "partitions": 1, "replication": 1, "config": {}})
    made = stub.Create(proto.CreateRequest(urn=urn, properties=topic))
    with AckedProducer(plain_broker.connection) as producer:
        producer.send("may-go", b"not precious")
    stub.Delete(proto.DeleteRequest(urn=urn, id=made.id, properties=made.properties))
    assert stub.Read(proto.ReadRequest(urn=urn, id=made.id, properties=made.properties)).id == ""


def test_started_for_a_command_it_writes_under_that_commands_leases(
    plain_broker: RealCluster, topic_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    urn = urn_of(TOPIC, topic_name)
    topic = struct({"name": topic_name, "partitions": 1, "replication": 1, "config": {}})
    with open_journal() as journal, contextlib.ExitStack() as held:
        name = leases.cluster_change(plain_broker.cluster_id)
        lease = held.enter_context(leases.hold(journal, name, priority=Priority.CHANGE, doing="odin up"))
        with started(Writes(journal, "stack s", [lease]).environment()) as stub:
            configure(stub, plain_broker)
            made = stub.Create(proto.CreateRequest(urn=urn, properties=topic))
            held.close()
            with (
                leases.hold(journal, name, priority=Priority.CHANGE, doing="somebody else"),
                pytest.raises(grpc.RpcError) as refused,
            ):
                stub.Delete(proto.DeleteRequest(urn=urn, id=made.id, properties=made.properties))
            assert f"the lease {name} is no longer ours" in refused.value.details()
            assert stub.Read(proto.ReadRequest(urn=urn, id=made.id, properties=made.properties)).id == topic_name


def test_every_failure_of_a_check_comes_at_once(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    news = struct({"name": "no/name", "partitions": 0, "replicas": 3})
    failures = stub.Check(proto.CheckRequest(urn=urn_of(TOPIC, "t"), news=news)).failures
    found = {failure.property: failure.reason for failure in failures}
    assert set(found) == {"partitions", "replicas", "replication"}
    assert found["partitions"] == "partitions is 0; 1 is the least"


def test_secrets_and_unknowns_pass_through(
    stub: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    news = struct({"name": "orders-api", "password": "clear"})
    checked = stub.Check(proto.CheckRequest(urn=urn_of(USER, "u"), news=news))
    assert plain(checked.inputs)["password"] == {_special_sig_key: _special_secret_sig, "value": "clear"}
    unknown = struct({"name": UNKNOWN, "password": secret(UNKNOWN)})
    checked = stub.Check(proto.CheckRequest(urn=urn_of(USER, "u"), news=unknown))
    assert not checked.failures
    assert plain(checked.inputs)["name"] == UNKNOWN


def test_nothing_is_asked_of_a_cluster_that_is_not_known_yet(
    stub: provider_pb2_grpc.ResourceProviderStub, topic_name: str
) -> None:
    stub.Configure(proto.ConfigureRequest(args=struct({"bootstrapServers": UNKNOWN}), acceptSecrets=True))
    urn = urn_of(TOPIC, topic_name)
    topic = struct({"name": topic_name, "partitions": 1, "replication": 1})
    checked = stub.Check(proto.CheckRequest(urn=urn, news=topic))
    preview = stub.Create(proto.CreateRequest(urn=urn, properties=checked.inputs, preview=True))
    assert plain(preview.properties)["topicId"] == UNKNOWN
    with pytest.raises(grpc.RpcError) as refused:
        stub.Create(proto.CreateRequest(urn=urn, properties=checked.inputs))
    assert "has no address of Kafka" in refused.value.details()


def test_a_node_that_is_down_differs_from_what_is_wanted(stub: provider_pb2_grpc.ResourceProviderStub) -> None:
    values: dict[str, Any] = {"cluster": "c", "clusterId": "x", "nodeId": 1, "roles": ["broker"], "version": "4.3.1"}
    olds = struct({**values, "running": False})
    diff = stub.Diff(proto.DiffRequest(urn=urn_of(BROKER, "b"), id="c/1", olds=olds, news=struct(values)))
    assert dict(diff.detailedDiff).keys() == {"running"}
