"""What a plan would lose is judged by what the brokers really keep, whatever their defaults are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asgard.core.errors import Refused
from asgard.kafka.connection import Connection
from asgard.kafka.model import ConfigChange, NewTopic, Offsets
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import Result, Step
from asgard.odin.lifecycle import apply
from asgard.odin.lifecycle.losses import losses_of
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.lifecycle.session import Session
from asgard.odin.provider.cluster import ClusterClient
from asgard.odin.resources.kinds import BROKER, CONFIG
from asgard.odin.spec.read import load
from tests.harness.memory_cluster import NO_LEFTOVERS, MemoryCluster, external_stack

DAY_MS = 86_400_000
AWS = "stack: orders\ntarget: {target}\nkafka: {{version: {version}, brokers: 3{config}}}\naws: {{region: eu-central-1}}\n"
LOCAL = "stack: orders\ntarget: local\nkafka: {{brokers: 3{config}}}\n"
FILES = {
    BROKER: LOCAL,
    "aws:ec2/launchTemplate:LaunchTemplate": AWS.replace("{target}", "aws-ec2").replace("{version}", "4.3.1"),
    "aws:msk/configuration:Configuration": AWS.replace("{target}", "aws-msk").replace("{version}", "3.9.x"),
}
"""What holds the brokers' server.properties, and the stack file."""


@pytest.fixture
def cluster() -> MemoryCluster:
    """3,000 records, of which 2,000 are older than any retention that is asked about."""
    made = MemoryCluster()
    made.create_topics([NewTopic("a", 1, 3)])
    made.held["a", 0] = Offsets(0, 3000)
    made.first_at["a", 0] = lambda timestamp_ms: 2000
    return made


def losses(cluster: MemoryCluster, *steps: Step, state: State | None = None, spec: Any = None) -> dict[str, list[str]]:
    session = cast(Session, SimpleNamespace(control=lambda state: cluster, external=None))
    found = losses_of(Result(list(steps)), session, state or State(), spec)
    assert all(loss.records == 2000 for loss in found)
    return {loss.topic: list(loss.why) for loss in found}


def test_a_topic_that_goes_back_to_the_brokers_shorter_retention_loses_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: MemoryCluster
) -> None:
    cluster.install(monkeypatch, tmp_path / "home")
    cluster.delete_topics(["a"])
    cluster.static = {"log.retention.hours": "24"}

    def up(topic: str, *lost: str) -> None:
        spec = external_stack(tmp_path / "asgard.yaml", topic)
        options = OdinOptions(allow_data_loss=frozenset(lost))
        apply.up(spec, options, lambda planned: None, leftovers=NO_LEFTOVERS)

    up("name: a, retention: 3d")
    with pytest.raises(Refused, match="this deletes data of a; nothing was changed"):
        up("name: a")
    up("name: a", "a")
    assert cluster.config == {"a": {}}


def test_the_provider_judges_by_the_same_defaults(cluster: MemoryCluster) -> None:
    cluster.static = {"log.retention.hours": "24"}
    cluster.config["a"] = {"retention.ms": str(3 * DAY_MS)}

    async def ask() -> dict[str, Any]:
        client = ClusterClient(Connection("broker:9092"), connect=lambda connection: cast(Any, cluster))
        found = await client.losses(ConfigChange("topic", "a", {}, ("retention.ms",)))
        await client.close()
        return dict(found)

    assert asyncio.run(ask())["a"].why == (f"retention.ms {3 * DAY_MS} -> {DAY_MS}",)


@pytest.mark.parametrize("token", FILES)
@pytest.mark.parametrize(
    ("static", "dynamic", "wanted", "why"),
    [
        ({}, {}, ", config: {log.retention.hours: 24}", f"retention.ms {7 * DAY_MS} -> {DAY_MS}"),
        ({"log.retention.hours": "720"}, {}, "", f"retention.ms {30 * DAY_MS} -> {7 * DAY_MS}"),
        ({"log.retention.hours": "24"}, {}, ", config: {log.retention.hours: 24}", None),
        ({}, {}, ", config: {log.retention.hours: 720}", None),
        ({}, {"log.retention.ms": "9000000"}, ", config: {log.retention.hours: 1}", None),
    ],
)
def test_a_shorter_retention_in_server_properties_loses_data(
    tmp_path: Path, cluster: MemoryCluster, token: str, static: Any, dynamic: Any, wanted: str, why: str | None
) -> None:
    cluster.static, cluster.dynamic = static, dynamic
    file = tmp_path / "asgard.yaml"
    file.write_text(FILES[token].format(config=wanted))
    restarted = Step("update", f"urn:pulumi:orders::asgard::{token}::orders")
    assert losses(cluster, restarted, spec=load(file)) == ({"a": [why]} if why else {})


def test_without_the_stacks_default_topics_have_what_the_brokers_have(cluster: MemoryCluster) -> None:
    urn = f"urn:pulumi:orders::asgard::{CONFIG}::cluster"
    gone = Step("delete", urn, old={"broker": "", "config": {"log.retention.ms": str(30 * DAY_MS)}})
    cluster.static, cluster.dynamic = {"log.retention.hours": "24"}, {"log.retention.ms": str(30 * DAY_MS)}
    assert losses(cluster, gone) == {"a": [f"retention.ms {30 * DAY_MS} -> {DAY_MS}"]}
    previous = {"urn": urn, "type": CONFIG, "outputs": {"previous": {"log.retention.ms": str(2 * DAY_MS)}}}
    assert losses(cluster, gone, state=State({urn: previous})) == {"a": [f"retention.ms {30 * DAY_MS} -> {2 * DAY_MS}"]}
    cluster.config["a"] = {"retention.ms": str(30 * DAY_MS)}
    assert losses(cluster, gone) == {}
