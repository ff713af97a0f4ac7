"""Faults on AWS beside instances, against moto: EBS volumes, ECS tasks, experiments of Fault Injection Service, and their way back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from moto import mock_aws
from moto.moto_api import state_manager

from asgard.core.errors import Refused, WrongUsage
from asgard.loki.chaos.faults import cloud
from asgard.loki.chaos.kind import FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite
from asgard.loki.monkey.config import Group
from asgard.machines.aws import ebs, ecs

REGION = "eu-west-1"
CHAOS = {"chaos": ("allowed",)}
NO_REACH = cast(Reach, SimpleNamespace())


@pytest.fixture(autouse=True)
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield


def site() -> ChaosSite:
    return cast(ChaosSite, SimpleNamespace(rng=random.Random(7)))


def done(plan: FaultPlan) -> dict[str, Any]:
    """Carry a plan out; its undo record as it then stands."""
    undo = dict(plan.undo)
    plan.notes.write = undo.update  # type: ignore[method-assign]
    plan.do()
    return undo


def test_a_volume_is_detached_and_attached_again_to_the_same_device() -> None:
    ec2 = boto3.client("ec2", REGION)
    instance = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    zone = ec2.describe_instances()["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"]
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "chaos", "Value": "allowed"}]}]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=tags)["VolumeId"]  # type: ignore[arg-type]
    with pytest.raises(Refused, match="no healthy volume has the tags"):
        cloud.detach_volume(site(), tags=CHAOS)
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    assert [m.id for m in ebs.members(CHAOS).members] == [volume]

    plan = cloud.detach_volume(site(), tags=CHAOS)
    undo = done(plan)
    assert ebs.attachment(volume) is None and plan.machines == 1
    assert "attached to" in cloud.KINDS["detach_volume"].restore(NO_REACH, undo)
    assert ebs.attachment(volume) == (instance, "/dev/sdf")
    assert "is attached" in cloud.KINDS["detach_volume"].restore(NO_REACH, undo)  # twice does no harm


def test_a_volume_whose_instance_is_gone_is_left_for_the_successor() -> None:
    ec2 = boto3.client("ec2", REGION)
    instance = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    zone = ec2.describe_instances()["Reservations"][0]["Instances"][0]["Placement"]["AvailabilityZone"]
    volume = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    undo = done(cloud.detach_volume(site(), volume=volume))
    ec2.terminate_instances(InstanceIds=[instance])
    assert "free for its successor" in cloud.KINDS["detach_volume"].restore(NO_REACH, undo)


def test_a_task_is_stopped_and_one_that_did_not_opt_in_is_not() -> None:
    # moto moves a task on each time it is described; here it goes on running.
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": 1000})
    client = boto3.client("ecs", REGION)
    client.create_cluster(clusterName="edge")
    client.register_task_definition(
        family="proxy", containerDefinitions=[{"name": "proxy", "image": "proxy", "memory": 64}]
    )
    client.put_account_setting(name="taskLongArnFormat", value="enabled")
    for value in ("allowed", "no"):
        client.run_task(
            cluster="edge", taskDefinition="proxy", launchType="FARGATE", tags=[{"key": "chaos", "value": value}],
            networkConfiguration={"awsvpcConfiguration": {"subnets": [boto3.client("ec2", REGION).describe_subnets()["Subnets"][0]["SubnetId"]]}},
        )  # fmt: skip
    found = ecs.members("edge", CHAOS).members
    assert len(found) == 1
    plan = cloud.stop_task(site(), "edge", tags=CHAOS)
    undo = done(plan)
    assert undo["task"] == found[0].id and not plan.lasts
    status = {
        t["taskArn"]: t["lastStatus"] for t in client.describe_tasks(cluster="edge", tasks=[found[0].id])["tasks"]
    }
    assert status == {found[0].id: "STOPPED"}
    assert ecs.members("edge", CHAOS).members == ()


def fis_template(guarded: bool) -> str:
    client = boto3.client("fis", REGION)
    condition: dict[str, str] = {"source": "none"}
    if guarded:
        condition = {
            "source": "aws:cloudwatch:alarm",
            "value": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:orders-offline",
        }
    made = client.create_experiment_template(
        clientToken="t", description="network latency", roleArn="arn:aws:iam::123456789012:role/fis",
        stopConditions=[condition],  # type: ignore[list-item]
        targets={"brokers": {"resourceType": "aws:ec2:instance", "resourceTags": {"chaos": "allowed"}, "selectionMode": "COUNT(1)"}},
        actions={"latency": {"actionId": "aws:ssm:send-command", "targets": {"Instances": "brokers"}}},
    )  # fmt: skip
    return str(made["experimentTemplate"]["id"])


def test_an_experiment_of_fis_is_started_and_stopped() -> None:
    plan = cloud.run_fis_experiment(site(), fis_template(guarded=True), machines=2)
    assert plan.machines == 2 and "aws:ssm:send-command" in plan.text
    undo = done(plan)
    assert undo["experiment"]
    said = cloud.KINDS["run_fis_experiment"].restore(NO_REACH, undo)
    assert undo["experiment"] in said
    state = boto3.client("fis", REGION).get_experiment(id=undo["experiment"])["experiment"]["state"]["status"]
    assert state in ("stopped", "stopping", "completed")


def test_a_template_without_a_stop_condition_is_refused_before_anything_starts() -> None:
    with pytest.raises(Refused, match="has no stop condition"):
        cloud.run_fis_experiment(site(), fis_template(guarded=False))
    assert boto3.client("fis", REGION).list_experiments()["experiments"] == []
    with pytest.raises(WrongUsage, match="machines is 0"):
        cloud.run_fis_experiment(site(), "EXT1", machines=0)


def test_groups_of_a_monkey_may_be_volumes_and_tasks(tmp_path: Any) -> None:
    from asgard.core.errors import InvalidFile
    from asgard.loki.monkey.config import read

    file = tmp_path / "monkey.yaml"
    group = "  - {{name: disks, kind: {kind}, opt_in: {{chaos: allowed}}, probability: 5%, min_healthy: 2, size: 3{more}}}\n"
    file.write_text("groups:\n" + group.format(kind="volume", more="") + group.format(kind="ecs", more=", cluster: edge").replace("disks", "tasks"))  # fmt: skip
    groups: tuple[Group, ...] = read(file).groups
    assert [(g.kind, g.action, g.cluster) for g in groups] == [("volume", "detach", None), ("ecs", "stop", "edge")]
    file.write_text("groups:\n" + group.format(kind="ecs", more=""))
    with pytest.raises(InvalidFile, match="`cluster` belongs to kind ecs"):
        read(file)
