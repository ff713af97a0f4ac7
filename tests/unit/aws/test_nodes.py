"""NodeControl over Auto Scaling groups of one, against moto: found by tag, replaced with the volume kept, commands through SSM."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.machines.aws.nodes import Ec2Nodes

REGION = "eu-west-1"


@functools.cache
def client(service: str) -> Any:
    """One client for all tests: making one reads megabytes of descriptions."""
    return boto3.client(service, REGION)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        for node, roles in ((1, "broker+controller"), (2, "broker"), (3, "broker")):
            _group("orders", node, roles)
        _group("other", 1, "broker")
        yield


def _group(stack: str, node: int, roles: str) -> None:
    tags = {"asgard:stack": stack, "asgard:node": str(node), "asgard:roles": roles}
    zone = f"{REGION}{'abc'[(node - 1) % 3]}"
    name = f"{stack}-{node}"
    ec2, scaling = client("ec2"), client("autoscaling")
    ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "m7g.large"}
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name, LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"}, MinSize=1, MaxSize=1,
        DesiredCapacity=1, AvailabilityZones=[zone], Tags=[{"Key": k, "Value": v, "PropagateAtLaunch": False} for k, v in tags.items()],
    )  # fmt: skip
    spec = [{"Key": k, "Value": v} for k, v in {**tags, "asgard:volume": "data"}.items()]
    ec2.create_volume(
        AvailabilityZone=zone, Size=10, VolumeType="gp3", TagSpecifications=[{"ResourceType": "volume", "Tags": spec}]
    )


def nodes(slept: list[float] | None = None) -> Ec2Nodes:
    return Ec2Nodes("orders", REGION, sleep=(slept if slept is not None else []).append)


def instance_of(name: str) -> str:
    scaling = client("autoscaling")
    (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return str(group["Instances"][0]["InstanceId"])


def data_volumes(ec2: Any) -> set[str]:
    found = ec2.describe_volumes(Filters=[{"Name": "tag:asgard:volume", "Values": ["data"]}])["Volumes"]
    return {v["VolumeId"] for v in found}


def test_the_nodes_of_a_stack_are_found_by_tag_with_roles_and_zone(cloud: None) -> None:
    found = [(n.id, n.state, n.roles, n.rack) for n in nodes().nodes()]
    assert found == [
        (1, "running", ("broker", "controller"), f"{REGION}a"),
        (2, "running", ("broker",), f"{REGION}b"),
        (3, "running", ("broker",), f"{REGION}c"),
    ]


def test_replacing_a_node_gives_a_new_instance_and_keeps_the_volume(cloud: None) -> None:
    ec2: Any = client("ec2")
    before, volumes = instance_of("orders-2"), data_volumes(ec2)
    others = [instance_of(name) for name in ("orders-1", "orders-3", "other-1")]
    nodes().replace(2)
    assert instance_of("orders-2") != before
    assert [instance_of(name) for name in ("orders-1", "orders-3", "other-1")] == others
    assert data_volumes(ec2) == volumes
    gone = ec2.describe_instances(InstanceIds=[before])["Reservations"][0]["Instances"][0]
    assert gone["State"]["Name"] == "terminated"


def test_a_node_whose_volume_is_gone_is_not_replaced(cloud: None) -> None:
    ec2: Any = client("ec2")
    (volume,) = ec2.describe_volumes(
        Filters=[{"Name": "tag:asgard:node", "Values": ["3"]}, {"Name": "tag:asgard:volume", "Values": ["data"]}]
    )["Volumes"]
    ec2.delete_volume(VolumeId=volume["VolumeId"])
    before = instance_of("orders-3")
    with pytest.raises(Refused, match="data volume of node 3 of orders is gone"):
        nodes().replace(3)
    assert instance_of("orders-3") == before


@pytest.mark.parametrize(
    ("verb", "command"),
    [
        ("start", "systemctl start kafka.service"),
        ("stop", "systemctl stop kafka.service"),
        ("kill", "systemctl kill -s KILL kafka.service"),
        ("pause", "systemctl kill -s STOP kafka.service"),
        ("resume", "systemctl kill -s CONT kafka.service"),
        ("restart", "systemctl restart kafka.service"),
    ],
)
def test_the_broker_process_is_reached_through_ssm(cloud: None, verb: str, command: str) -> None:
    getattr(nodes(), verb)(2)
    (sent,) = client("ssm").list_commands()["Commands"]
    assert instance_of("orders-2") in sent["InstanceIds"]  # moto adds those of every other instance
    assert sent["Parameters"]["commands"][-1] == command


def test_a_node_without_an_instance_and_one_that_is_unknown(cloud: None) -> None:
    client("autoscaling").set_desired_capacity(AutoScalingGroupName="orders-2", DesiredCapacity=1)
    with pytest.raises(WrongUsage, match="no node 9 in eu-west-1 \\(nodes: 1, 2, 3\\)"):
        nodes().stop(9)
    ec2: Any = client("ec2")
    ec2.stop_instances(InstanceIds=[instance_of("orders-2")])
    assert [n.state for n in nodes().nodes()] == ["running", "stopped", "running"]
    with pytest.raises(Failed, match="node 2 of orders has no running instance"):
        nodes().kill(2)
    nodes().start(2)
    assert [n.state for n in nodes().nodes()] == ["running"] * 3
