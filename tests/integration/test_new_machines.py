"""A new launch template rolled out: moto's instances, and a real broker for each, which lives and dies with its instance."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asgard.core.errors import Refused
from asgard.journal import events
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import connect
from asgard.kafka.model import NewTopic
from asgard.machines import targets
from asgard.machines.aws.nodes import Ec2Nodes
from asgard.odin.engine.state import State
from asgard.odin.lifecycle import roll
from asgard.odin.lifecycle.session import Session
from asgard.odin.spec.model import StackSpec
from tests.harness import RealCluster
from tests.harness.acked import AckedProducer
from tests.unit.aws import test_nodes
from tests.unit.aws.test_new_machines import another_version
from tests.unit.aws.test_nodes import REGION, instance_of

pytestmark = pytest.mark.kafka


class Killed(BaseException):
    """This process died here."""


class Machines(Ec2Nodes):
    """The stack's groups in moto. A broker's process ends with its instance; a successor starts it on the same log directory.

    SSM is missing from moto's machines, so `stop` is the same controlled shutdown by hand. `dies`: the process is killed
    when this node's instance is terminated, once.
    """

    def __init__(self, cluster: RealCluster) -> None:
        super().__init__("orders", REGION, sleep=lambda seconds: None)
        self.cluster = cluster
        self.dies: int | None = None
        self.done: list[tuple[str, int]] = []

    def stop(self, node: int) -> None:
        self.done.append(("stop", node))
        self.cluster.stop(node)

    def replace(self, node: int) -> None:
        if self.dies == node:
            self.dies = None
            raise Killed
        self.done.append(("replace", node))
        self.cluster.kill(node)
        super().replace(node)
        self.cluster.start_node(node)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from test_nodes.cloud.__wrapped__(monkeypatch)  # type: ignore[attr-defined]


@pytest.fixture
def machines(secured_cluster: RealCluster, cloud: None, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """What the target of the stack answers with."""
    made = Machines(secured_cluster)
    target = SimpleNamespace(nodes=lambda stack: made, outdated=lambda stack: made.outdated())
    monkeypatch.setattr(targets, "of", lambda name: target)
    return made


def rolled(cluster: RealCluster) -> list[int]:
    """`odin up` after its program: the nodes that got a new machine."""
    spec = SimpleNamespace(name="orders", target="aws-ec2", kafka=SimpleNamespace(version=None))
    with closing(open_journal()) as journal, connect(cluster.connection) as control:
        session = SimpleNamespace(
            journal=journal,
            store=SimpleNamespace(load=State),
            writes=SimpleNamespace(check=lambda: None),
            control=lambda state: control,
        )
        return roll.roll(cast(Session, session), cast(StackSpec, spec))


def whole(control: Any, topic: str) -> bool:
    return all(len(p.isr) == 3 for p in control.topics([topic])[topic].partitions)


def test_every_node_gets_a_new_machine_while_producers_write_and_a_killed_run_goes_on(
    machines: Machines, secured_cluster: RealCluster, own_home: Path, topic_name: str
) -> None:
    with connect(secured_cluster.connection) as control:
        # Kafka leaves a single replica whose node was killed before without a leader when that node stops again (KIP-966).
        control.delete_topics([name for name, topic in control.topics().items() if not topic.internal])
        control.create_topics([NewTopic(topic_name, 6, 3, {"min.insync.replicas": "2"})])
        before = {node: instance_of(f"orders-{node}") for node in (1, 2, 3)}
        for node in before:
            another_version(node)
        first, second, last = roll.order([1, 2, 3], machines.nodes(), control)
        assert last == control.quorum().leader
        with AckedProducer(secured_cluster.connection, timeout_s=120) as producer:
            try:
                with producer.sending(topic_name):
                    machines.dies = second
                    with pytest.raises(Killed):
                        rolled(secured_cluster)
                    assert machines.done == [("stop", first), ("replace", first), ("stop", second)]
                    assert rolled(secured_cluster)[0] == second, "the node that was left down comes first"
                    assert machines.done[3] == ("replace", second), "it was down already"
                    assert rolled(secured_cluster) == [], "nothing is outdated any more"
            finally:
                secured_cluster.all_up()
        assert [node for what, node in machines.done if what == "replace"] == [first, second, last]
        assert all(instance_of(f"orders-{node}") != instance for node, instance in before.items())
        assert whole(control, topic_name)
        assert producer.failed == [] and len(producer.acked) > 100
        assert producer.lost(secured_cluster.connection) == []
        control.delete_topics([topic_name])
    with closing(open_journal()) as journal:
        found = [event.data["node"] for event in events.read(journal, events.EventFilter("odin.node.replaced"))]
    assert found == [first, second, last]


def test_no_node_gets_a_new_machine_while_another_partition_lacks_a_replica(
    machines: Machines, secured_cluster: RealCluster, own_home: Path, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roll, "NODE_S", 2.0)
    with connect(secured_cluster.connection) as control:
        control.create_topics([NewTopic(topic_name, 3, 3)])
        leader = control.quorum().leader
        down, wanted = (node for node in (1, 2, 3) if node != leader)
        another_version(wanted)
        before = instance_of(f"orders-{wanted}")
        secured_cluster.kill(down)
        try:
            until = time.monotonic() + 60
            while whole(control, topic_name) and time.monotonic() < until:
                time.sleep(0.1)
            with pytest.raises(Refused, match=f"node {wanted} was not restarted: .* under-replicated"):
                rolled(secured_cluster)
        finally:
            secured_cluster.all_up()
        assert machines.done == [] and instance_of(f"orders-{wanted}") == before
        control.delete_topics([topic_name])
