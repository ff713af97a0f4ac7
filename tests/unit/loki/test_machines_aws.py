"""EC2 instances and Auto Scaling groups, against moto: found by tag, taken away, started again; errors as sentences."""

from __future__ import annotations

import builtins
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from moto import mock_aws

from asgard.core.errors import AsgardError, ExitCode, Refused, Unreachable, WrongUsage
from asgard.loki.chaos.faults import machines
from asgard.loki.monkey.choose import Past, choose
from asgard.loki.monkey.config import Group, Monkey
from asgard.loki.monkey.health import Health
from asgard.machines.aws import asg, ec2
from asgard.machines.aws import client as aws

REGION = "eu-west-1"
IMAGE = "ami-12c6146b"
CHAOS = {"chaos": ("allowed",)}
NOON = 1795521600.0  # 2026-11-24T12:00Z, a Tuesday


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # takes a second each time
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        yield boto3.client("ec2", REGION)


def instances(cloud: Any, count: int, **tags: str) -> list[str]:
    found = [{"Key": k, "Value": v} for k, v in tags.items()]
    spec = [{"ResourceType": "instance", "Tags": found}] if found else []
    made = cloud.run_instances(ImageId=IMAGE, MinCount=count, MaxCount=count, TagSpecifications=spec)
    return [i["InstanceId"] for i in made["Instances"]]


def scaling_group(cloud: Any, name: str, capacity: int, **tags: str) -> Any:
    client = boto3.client("autoscaling", REGION)
    if not client.describe_launch_configurations()["LaunchConfigurations"]:
        client.create_launch_configuration(LaunchConfigurationName="c", ImageId=IMAGE, InstanceType="t3.micro")
    client.create_auto_scaling_group(
        AutoScalingGroupName=name, LaunchConfigurationName="c", MinSize=0, MaxSize=20, DesiredCapacity=capacity,
        AvailabilityZones=[f"{REGION}a"], Tags=[{"Key": k, "Value": v, "PropagateAtLaunch": False} for k, v in tags.items()],
    )  # fmt: skip
    return client


def states(cloud: Any) -> dict[str, str]:
    found = cloud.describe_instances()["Reservations"]
    return {i["InstanceId"]: i["State"]["Name"] for r in found for i in r["Instances"]}


def test_only_instances_with_the_tag_are_found(cloud: Any) -> None:
    mine = instances(cloud, 2, chaos="allowed", Name="kafka")
    instances(cloud, 2, chaos="no")
    instances(cloud, 2)
    found = ec2.members(CHAOS).members
    assert sorted(m.id for m in found) == sorted(mine)
    assert all(m.healthy and m.name == "kafka" for m in found)


def test_a_tag_is_meant_letter_by_letter_although_aws_takes_stars_as_wild(cloud: Any) -> None:
    instances(cloud, 1, chaos="allowed")
    [starred] = instances(cloud, 1, chaos="*")
    assert [m.id for m in ec2.members({"chaos": ("*",)}).members] == [starred]


def test_more_instances_than_a_page_holds_are_all_found(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = [instances(cloud, 1, chaos="allowed")[0] for _ in range(12)]  # a page ends between two calls that made some
    calls: list[str] = []
    real: Any = BaseClient._make_api_call

    def small_pages(self: Any, operation: str, given: dict[str, Any]) -> Any:
        calls.append(operation)
        return real(self, operation, {**given, "MaxResults": 5} if operation == "DescribeInstances" else given)

    monkeypatch.setattr(BaseClient, "_make_api_call", small_pages)
    assert sorted(m.id for m in ec2.members(CHAOS).members) == sorted(mine)
    assert calls.count("DescribeInstances") == 3
    assert calls.count("DescribeInstanceStatus") == 1, "one call for all of them"


def test_what_is_stopped_is_a_member_that_is_not_healthy_and_what_is_terminated_is_none(cloud: Any) -> None:
    first, second, third = instances(cloud, 3, chaos="allowed")
    ec2.stop_instance(first)
    ec2.terminate_instance(second)
    found = {m.id: (m.state, m.healthy) for m in ec2.members(CHAOS).members}
    assert found == {first: ("stopped", False), third: ("running", True)}


def test_an_instance_that_fails_its_status_checks_is_not_healthy(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    [instance] = instances(cloud, 1, chaos="allowed")
    real: Any = BaseClient._make_api_call

    def impaired(self: Any, operation: str, given: dict[str, Any]) -> Any:
        answer = real(self, operation, given)
        for status in answer.get("InstanceStatuses", ()):
            status["SystemStatus"]["Status"] = "impaired"
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", impaired)
    [found] = ec2.members(CHAOS).members
    assert (found.id, found.state, found.healthy) == (instance, "running, status checks not passed", False)


def test_a_stopped_instance_can_be_started_again_and_a_terminated_one_can_not(cloud: Any) -> None:
    [instance] = instances(cloud, 1)
    ec2.stop_instance(instance)
    assert states(cloud) == {instance: "stopped"}
    assert ec2.start_instance(instance) == f"{instance} was started again"
    assert ec2.start_instance(instance) == f"{instance} is running already"
    ec2.reboot_instance(instance)
    ec2.terminate_instance(instance)
    assert states(cloud) == {instance: "terminated"}
    assert ec2.start_instance(instance) == f"{instance} was terminated meanwhile; it can't be started again"


def test_instances_of_groups_with_the_tag_are_found_with_how_many_there_should_be(cloud: Any) -> None:
    scaling_group(cloud, "web", 3, chaos="allowed")
    scaling_group(cloud, "db", 2, chaos="no")
    scaling_group(cloud, "idle", 0, chaos="allowed")
    found = asg.members(CHAOS)
    assert {m.group for m in found.members} == {"web"}
    assert len(found.members) == 3
    assert found.sizes == {"web": 3, "idle": 0}


def test_a_group_keeps_its_size_when_an_instance_of_it_is_killed(cloud: Any) -> None:
    client = scaling_group(cloud, "web", 3, chaos="allowed")
    before = {m.id for m in asg.members(CHAOS).members}
    victim = min(before)
    asg.kill_instance(victim)
    assert client.describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"] == 3
    assert states(cloud)[victim] == "terminated"
    after = {m.id for m in asg.members(CHAOS).members}
    assert len(after) == 3
    assert victim not in after


def test_an_instance_that_is_on_its_way_out_of_its_group_is_not_healthy(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaling_group(cloud, "web", 2, chaos="allowed")
    real: Any = BaseClient._make_api_call

    def leaving(self: Any, operation: str, given: dict[str, Any]) -> Any:
        answer = real(self, operation, given)
        for group in answer.get("AutoScalingGroups", ()):
            group["Instances"][0]["LifecycleState"] = "Terminating:Wait"
            group["Instances"][1]["HealthStatus"] = "Unhealthy"
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", leaving)
    assert sorted((m.state, m.healthy) for m in asg.members(CHAOS).members) == [
        ("InService, unhealthy", False),
        ("Terminating:Wait", False),
    ]


def test_a_monkey_takes_instances_until_the_minimum_is_reached_and_no_other(cloud: Any) -> None:
    """EC2 and an Auto Scaling group, run after run, an hour apart; nobody brings the instances back."""
    mine = set(instances(cloud, 5, chaos="allowed"))
    others = set(instances(cloud, 3, chaos="no") + instances(cloud, 3))
    scaling_group(cloud, "web", 3, chaos="allowed")
    groups = (
        Group("vms", "ec2", CHAOS, 3, "terminate", probability=1.0, size=5, at_most=9),
        Group("web", "asg", CHAOS, "60%", "terminate", probability=1.0, at_most=9),
    )
    monkey = Monkey("m", groups, hours=("00:00-24:00",), at_most=9)
    kill = {"ec2": ec2.terminate_instance, "asg": asg.kill_instance}
    victims: list[tuple[str, str]] = []
    for hour in range(12):
        found = {"vms": ec2.members(CHAOS), "web": asg.members(CHAOS)}
        choice = choose(monkey, found, Health(), Past(), NOON + 3600 * hour, random.Random(hour))
        if choice.victim is None:
            break
        victims.append((choice.victim.group.name, choice.victim.member.id))
        kill[choice.victim.member.kind](choice.victim.member.id)
        running = {i for i, state in states(cloud).items() if state == "running"}
        assert len(running & mine) >= 3
        assert others <= running
        assert len(asg.members(CHAOS).members) == 3, "the group has started another"
    assert [group for group, _ in victims].count("vms") == 2
    assert [group for group, _ in victims].count("web") == 10, "as often as it was asked: its group brings them back"


@pytest.mark.parametrize(
    ("code", "said", "exit_code"),
    [
        ("UnauthorizedOperation", "You are not authorized. Encoded authorization failure message: xyz", ExitCode.REFUSED),
        ("AccessDenied", "User is not authorized to perform", ExitCode.REFUSED),
        ("OperationNotPermitted", "The instance may not be terminated", ExitCode.REFUSED),
        ("AuthFailure", "AWS was not able to validate the provided access credentials", ExitCode.UNREACHABLE),
        ("RequestExpired", "Request has expired.", ExitCode.UNREACHABLE),
        ("ExpiredTokenException", "The security token included in the request is expired", ExitCode.UNREACHABLE),
        ("RequestLimitExceeded", "Request limit exceeded.", ExitCode.UNREACHABLE),
        ("Throttling", "Rate exceeded", ExitCode.UNREACHABLE),
        ("InternalError", "", ExitCode.FAILED),
    ],
)  # fmt: skip
def test_what_aws_refuses_is_a_sentence_with_what_to_do(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, code: str, said: str, exit_code: ExitCode
) -> None:
    def refuse(self: Any, operation: str, given: dict[str, Any]) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": said}}, operation)

    monkeypatch.setattr(BaseClient, "_make_api_call", refuse)
    with pytest.raises(AsgardError) as caught:
        ec2.terminate_instance("i-1")
    assert caught.value.exit_code == exit_code
    assert caught.value.what.startswith(f"terminating i-1: AWS says {code}")
    assert "xyz" not in str(caught.value)
    assert caught.value.hint or code == "InternalError"


def test_an_instance_that_is_not_there_is_told(cloud: Any) -> None:
    with pytest.raises(WrongUsage, match="AWS says InvalidInstanceID"):
        ec2.stop_instance("i-0123456789abcdef0")


def test_without_credentials_it_is_said_where_they_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the credentials that it saw first
    with pytest.raises(Unreachable, match="listing EC2 instances: no AWS credentials were found") as caught:
        ec2.members(CHAOS, REGION)
    assert "AWS_PROFILE" in str(caught.value.hint)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(WrongUsage, match="no AWS region is known"):
        aws.client("ec2")


def test_without_the_extra_it_is_one_sentence_and_exit_code_2(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WrongUsage, match="AWS needs the package boto3, which is not installed") as caught:
        ec2.members(CHAOS)
    assert caught.value.hint == "Install it with: pip install 'asgard-kafka[aws]'"


def test_an_experiment_stops_one_of_those_with_a_tag_and_starts_it_again(cloud: Any) -> None:
    mine = instances(cloud, 3, chaos="allowed")
    instances(cloud, 3)
    site: Any = SimpleNamespace(rng=random.Random(2))
    kind = machines.KINDS["stop_instance"]
    plan = kind.plan(site, tags={"chaos": "allowed"}, region=REGION)
    plan.do()
    stopped = [i for i, state in states(cloud).items() if state == "stopped"]
    assert stopped == [plan.undo["instance"]]
    assert set(stopped) <= set(mine)
    assert kind.restore(None, plan.undo) == f"{stopped[0]} was started again"  # type: ignore[arg-type]
    assert set(states(cloud).values()) == {"running"}


@pytest.mark.parametrize(
    ("action", "state", "outcome"),
    [
        ("terminate_instance", "terminated", "there is no way back"),
        ("reboot_instance", "running", "comes back by itself"),
    ],
)
def test_what_an_experiment_can_not_put_back_is_said(cloud: Any, action: str, state: str, outcome: str) -> None:
    [instance] = instances(cloud, 1)
    site: Any = SimpleNamespace(rng=random.Random(2))
    kind = machines.KINDS[action]
    plan = kind.plan(site, instance=instance)
    assert not plan.lasts, "it is over as soon as it is done"
    plan.do()
    assert states(cloud) == {instance: state}
    assert outcome in kind.restore(None, plan.undo)  # type: ignore[arg-type]


def test_an_experiment_kills_an_instance_of_a_group(cloud: Any) -> None:
    scaling_group(cloud, "web", 2, chaos="allowed")
    site: Any = SimpleNamespace(rng=random.Random(2))
    plan = machines.KINDS["kill_asg_instance"].plan(site, tags={"chaos": "allowed"})
    plan.do()
    assert states(cloud)[str(plan.undo["instance"])] == "terminated"
    with pytest.raises(Refused, match="no healthy instance has the tags"):
        machines.kill_asg_instance(site, tags={"chaos": "never"})
