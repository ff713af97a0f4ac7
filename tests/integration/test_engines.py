"""Stacks on a real broker: both engines on one stack, and what a large stack leaves out of its program."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgard.cluster.moves.record import OLD_FORMAT
from asgard.compose.settle import leftovers
from asgard.core.errors import Busy
from asgard.journal import leases, operations
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import connect
from asgard.kafka.model import ConfigChange
from asgard.odin import program as programs
from asgard.odin.engine.goals import Goal
from asgard.odin.engine.stack import StackRef
from asgard.odin.lifecycle import apply
from asgard.odin.lifecycle.options import EngineName, OdinOptions
from asgard.odin.spec.model import StackSpec
from asgard.odin.spec.read import load
from tests.harness import RealCluster
from tests.harness.moto_server import moto_server

pytestmark = pytest.mark.kafka
needs_cli = pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH")


class Stack:
    """A stack file for an external cluster, and the verbs on it."""

    def __init__(self, home: Path, cluster: RealCluster, prefix: str) -> None:
        self.file = home / "asgard.yaml"
        self.prefix = prefix
        self.cluster = cluster

    def write(
        self, topics: dict[str, int], retention: str = "1h", throttle: str = "50MB/s", engine: str = ""
    ) -> StackSpec:
        lines = [
            f"  - {{name: {self.prefix}-{n}, partitions: {p}, replication: 1, retention: {retention}}}"
            for n, p in topics.items()
        ]
        self.file.write_text(
            f"stack: {self.prefix}\ntarget: external\n"
            f"cluster: {{bootstrap_servers: '{self.cluster.bootstrap_servers}'}}\n"
            "security: {sasl: none, authorizer: false}\n"
            f"limits: {{throttle: {throttle}}}\n"
            + (f"engine: {engine}\n" if engine else "")
            + ("topics:\n" + "\n".join(lines) if lines else "topics: []")
            + "\n"
        )
        return load(self.file)

    def preview(self, spec: StackSpec, engine: EngineName = "embedded") -> list[str]:
        return self._changes(apply.preview(spec, OdinOptions(engine=engine), leftovers()))

    def up(self, spec: StackSpec, engine: EngineName = "embedded") -> list[str]:
        options = OdinOptions(engine=engine)
        return self._changes(apply.up(spec, options, lambda _: None, leftovers=leftovers()))

    def _changes(self, outcome: apply.ApplyOutcome) -> list[str]:
        assert outcome.result.ok, outcome.result.errors
        steps = [s for s in outcome.result.steps if s.op not in ("same", "refresh") and not s.is_bookkeeping]
        return sorted(f"{s.op} {s.name.removeprefix(self.prefix + '-')}" for s in steps)


@pytest.fixture
def stack(tmp_path: Path, plain_broker: RealCluster, topic_name: str, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    return Stack(tmp_path, plain_broker, topic_name)


def test_one_topic_more_registers_that_one_only(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    registered: list[str] = []
    goals = programs.goals

    def noting(spec: StackSpec, within: list[programs.Declared], ref: StackRef) -> list[Goal]:
        registered.extend(thing.name.removeprefix(stack.prefix + "-") for thing in within)
        return goals(spec, within, ref)

    monkeypatch.setattr(programs, "goals", noting)

    def told(spec: StackSpec) -> tuple[list[str], set[str]]:
        registered.clear()
        return stack.up(spec), set(registered)

    assert told(stack.write({"a": 1, "b": 1}))[0] == ["create a", "create b"]
    assert told(stack.write({"a": 1, "b": 1, "c": 1})) == (["create c"], {"c"})
    assert told(stack.write({"a": 1, "b": 2, "c": 1})) == (["update b"], {"b"})
    with connect(stack.cluster.connection) as control:
        control.alter_configs([ConfigChange("topic", f"{stack.prefix}-a", {"retention.ms": "7200000"})])
    assert told(stack.write({"a": 1, "b": 2, "c": 1})) == (["update a"], {"a"})
    assert told(stack.write({"a": 1, "b": 2})) == (["delete c"], set())
    # What all of them depend on has changed: all are registered.
    assert told(stack.write({"a": 1, "b": 2}, throttle="40MB/s"))[1] == {"a", "b"}
    assert stack.preview(stack.write({"a": 1, "b": 2}, throttle="40MB/s")) == []


def test_preview_and_drift_tell_what_a_dead_run_left_in_the_cluster_and_up_settles_it(stack: Stack) -> None:
    spec = stack.write({"a": 1})
    stack.up(spec)
    with open_journal() as journal:
        change = leases.cluster_change(stack.cluster.cluster_id)
        for lease_name in (change, leases.cluster_change("another cluster")):
            with leases.hold(journal, lease_name, priority=leases.Priority.CHANGE, doing="a run that dies") as lease:
                operations.begin(journal, OLD_FORMAT, "somewhere", {"format": OLD_FORMAT}, lease)
    found: list[str] = []
    settled: list[str] = []
    left = operations.Leftovers(
        {OLD_FORMAT: lambda operation, lease: "put back"},
        lambda done: settled.append(done.operation.lease),
        lambda them: found.extend(operation.lease for operation in them),
    )
    apply.preview(spec, OdinOptions(), left)
    assert (found, settled) == ([change], [])
    apply.drift(stack.prefix, spec, left)
    assert (found, settled) == ([change, change], [])
    assert apply.up(spec, OdinOptions(), lambda _: None, leftovers=left).quick
    assert settled == [change]


@needs_cli
def test_both_engines_work_on_one_stack_and_see_no_difference(stack: Stack) -> None:
    spec = stack.write({"a": 1, "b": 1})
    assert stack.preview(spec, "pulumi") == stack.preview(spec) == ["create a", "create b"]
    assert stack.up(spec, "pulumi") == ["create a", "create b"]
    assert stack.preview(spec) == stack.preview(spec, "pulumi") == []
    spec = stack.write({"a": 3, "c": 1}, retention="2h")
    assert stack.preview(spec, "pulumi") == stack.preview(spec) == ["create c", "delete b", "update a"]
    assert stack.up(spec) == ["create c", "delete b", "update a"]
    assert stack.preview(spec, "pulumi") == []
    spec = stack.write({})
    assert stack.up(spec, "pulumi") == ["delete a", "delete c"]
    assert stack.preview(spec) == []


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket and a KMS key in moto's server; the bucket's URL for Pulumi."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with moto_server() as (host, port):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        boto3.client("s3", "us-east-1").create_bucket(Bucket="team-state")
        keys = boto3.client("kms", "us-east-1")
        keys.create_alias(AliasName="alias/asgard", TargetKeyId=keys.create_key()["KeyMetadata"]["KeyId"])
        yield "s3://team-state/kafka?region=us-east-1&use_path_style=true"


@needs_cli
@pytest.mark.parametrize("kept", ["directory", "bucket"])
def test_two_machines_work_on_one_stack_through_a_backend(
    stack: Stack, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    backend = f"{{backend: '{folder}'}}"
    if kept == "bucket":
        key = "awskms://alias/asgard?region=us-east-1"
        backend = f"{{backend: '{request.getfixturevalue('cloud')}', secrets: '{key}'}}"
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "correct-horse")
    spec = stack.write({"a": 1}, engine=backend)
    assert stack.up(spec, "pulumi") == ["create a"]
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "another"))
    assert stack.preview(spec, "pulumi") == []
    spec = stack.write({"a": 3, "b": 1}, engine=backend)
    assert stack.up(spec, "pulumi") == ["create b", "update a"]
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    assert stack.preview(spec, "pulumi") == []
    if kept == "directory":
        lock = folder / ".pulumi/locks/organization/asgard" / stack.prefix / "somebody.json"
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(
            '{"pid": 1, "username": "somebody", "hostname": "another", "timestamp": "2026-01-01T00:00:00Z"}'
        )
        with pytest.raises(Busy):
            stack.up(stack.write({"a": 3}, engine=backend), "pulumi")
        lock.unlink()
    assert stack.up(stack.write({}, engine=backend), "pulumi") == ["delete a", "delete b"]
