"""Another launch template: which nodes have an old machine, in which order they get new ones, what a preview says of them."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from asgard.kafka.model import Node
from asgard.kafka.ports import ControlPlane
from asgard.machines import targets as machines
from asgard.machines.aws import target
from asgard.odin import targets
from asgard.odin.engine.steps import Step
from asgard.odin.lifecycle import roll
from tests.unit.aws import test_nodes
from tests.unit.aws.test_nodes import client, instance_of, nodes

URN = "urn:pulumi:orders::asgard::aws:ec2/launchTemplate:LaunchTemplate::orders-{}"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from test_nodes.cloud.__wrapped__(monkeypatch)  # type: ignore[attr-defined]


def another_version(node: int) -> None:
    """What Pulumi does for a launch template that changed: a new version, which the group names."""
    name = f"orders-{node}"
    made = client("ec2").create_launch_template_version(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m7g.xlarge"}
    )["LaunchTemplateVersion"]["VersionNumber"]
    client("ec2").modify_launch_template(LaunchTemplateName=name, DefaultVersion=str(made))
    client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=name, LaunchTemplate={"LaunchTemplateName": name, "Version": str(made)}
    )


def test_nodes_of_an_older_template_are_outdated_until_they_are_replaced(cloud: None) -> None:
    assert nodes().outdated() == []
    for node in (1, 3):
        another_version(node)
    assert nodes().outdated() == [1, 3]
    before = instance_of("orders-3")
    nodes().replace(3)
    assert nodes().outdated() == [1] and instance_of("orders-3") != before


def test_only_a_stack_on_instances_has_outdated_machines(
    cloud: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    another_version(2)
    assert machines.of("aws-ec2").outdated("orders") == ()  # nobody has made this stack from here
    target.note("orders", test_nodes.REGION)
    assert list(machines.of("aws-ec2").outdated("orders")) == [2]
    for other in ("aws-msk", "local", "external"):
        assert list(machines.of(other).outdated("orders")) == []


def step(node: int, op: Any = "update", **diff: str) -> Step:
    return Step(op, URN.format(node), diff={path.replace("__", "."): how for path, how in diff.items()})


def test_a_plan_names_the_nodes_whose_template_changes() -> None:
    steps = [
        step(1, instanceType="update"),
        step(2, tags__team="update"),
        step(3, op="create"),
        step(4, userData="update"),
    ]
    assert targets.of("aws-ec2").outdates(steps, "orders") == {1, 4}
    assert roll.sentence({4, 1}) == "nodes 1, 4 get a new machine, one at a time; volume and address stay"
    assert roll.sentence({2}) == "node 2 gets a new machine; volume and address stay"


def test_a_node_that_a_former_run_left_down_comes_first_and_the_controller_last() -> None:
    known = [Node(i, "stopped" if i == 5 else "running", None, ("broker",)) for i in (1, 2, 3, 4, 5)]
    brokers = [SimpleNamespace(id=i, state="fenced" if i == 3 else "up") for i in (1, 2, 3, 4, 5)]
    control = SimpleNamespace(
        cluster=lambda: SimpleNamespace(brokers=brokers), quorum=lambda: SimpleNamespace(leader=1)
    )
    assert roll.order([1, 2, 3, 5], known, cast(ControlPlane, control)) == [3, 5, 2, 1]


@pytest.mark.parametrize(
    ("old", "new", "raises"),
    [("4.2.0", "4.3.1", True), ("4.3.0", "4.3.1", False), ("4.3.1", "4.3.1", False)],
)
def test_feature_levels_are_raised_after_the_nodes_run_another_release(old: str, new: str, raises: bool) -> None:
    urn = "urn:pulumi:orders::asgard::asgard:local:Ready::orders"
    changed = Step("update", urn, old={"version": old}, new={"version": new, "raisesLevels": False})
    assert roll.raises_levels([changed]) is raises
    at_once = Step("update", urn, old={"version": old}, new={"version": new, "raisesLevels": True})
    assert not roll.raises_levels([at_once])
