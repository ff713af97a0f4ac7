"""A whole run of the monkey but for Kafka: moto's cloud, the real journal, the lease of faults, the undo log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from asgard.compose import monkey as composed
from asgard.core.errors import Busy, Refused
from asgard.journal import events, leases, operations
from asgard.journal.store.database import open_journal
from asgard.kafka.connection import Connection
from asgard.kafka.model import Broker, ClusterInfo, Partition, Quorum, Topic
from asgard.kafka.target import Target
from asgard.loki.monkey.choose import Choice, Victim
from asgard.loki.monkey.config import Group, Monkey

REGION = "eu-west-1"
CHAOS = {"chaos": ("allowed",)}
WEB = Group("web", "asg", CHAOS, 2, "terminate", probability=1.0, region=REGION)
VMS = Group("vms", "ec2", CHAOS, 1, "stop", probability=1.0, region=REGION)
ALWAYS = Monkey("m", (WEB,), hours=("00:00-24:00",))
NEVER = replace(ALWAYS, days_off=((date(2020, 1, 1), date(2120, 1, 1)),))


class Cluster:
    """What a run asks of Kafka."""

    def __init__(self) -> None:
        self.isr = (1, 2, 3)

    def close(self) -> None:
        """Nothing is open."""

    def cluster(self) -> ClusterInfo:
        return ClusterInfo("abc", tuple(Broker(i) for i in (1, 2, 3)))

    def quorum(self) -> Quorum:
        return Quorum(1)

    def topics(self, names: Any = None, *, moves: bool = True) -> dict[str, Topic]:
        return {"t": Topic("t", "id", False, (Partition("t", 0, (1, 2, 3), self.isr, 1),))}

    def effective_topic_configs(self, names: Any, keys: Any = None) -> dict[str, dict[str, str]]:
        return {name: {"min.insync.replicas": "2"} for name in names}


class Near(Target):
    """A target whose cluster is `Cluster`."""

    def connect(self, *, deadline_s: float = 30.0) -> Any:
        return CLUSTER


CLUSTER = Cluster()
TARGET = Near(Connection("127.0.0.1:1"))


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three instances in an Auto Scaling group, and two that are nobody's but the monkey's to stop."""
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    monkeypatch.setattr(CLUSTER, "isr", (1, 2, 3))
    with mock_aws():
        ec2, scaling = boto3.client("ec2", REGION), boto3.client("autoscaling", REGION)
        scaling.create_launch_configuration(
            LaunchConfigurationName="c", ImageId="ami-12c6146b", InstanceType="t3.micro"
        )
        scaling.create_auto_scaling_group(
            AutoScalingGroupName="web-1", LaunchConfigurationName="c", MinSize=0, MaxSize=3, DesiredCapacity=3,
            AvailabilityZones=[f"{REGION}a"], Tags=[{"Key": "chaos", "Value": "allowed", "PropagateAtLaunch": False}],
        )  # fmt: skip
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "chaos", "Value": "allowed"}]}]
        ec2.run_instances(ImageId="ami-12c6146b", MinCount=2, MaxCount=2, TagSpecifications=tags)
        yield ec2


def states(cloud: Any) -> list[str]:
    found = cloud.describe_instances()["Reservations"]
    return sorted(i["State"]["Name"] for r in found for i in r["Instances"])


def run(monkey: Monkey, *, seed: int = 1, dry_run: bool = False, agree: Any = None) -> composed.MonkeyRun:
    def silent(choice: Choice, victim: Victim) -> None:
        """Yes."""

    return composed.run(TARGET, monkey, seed=seed, dry_run=dry_run, agree=agree or silent)


def test_a_run_takes_one_and_writes_down_whom_and_why_before_it_does(cloud: Any) -> None:
    ran = run(ALWAYS)
    assert ran.taken
    assert states(cloud) == ["running"] * 5 + ["terminated"]
    with open_journal() as journal:
        looked, injected, *rest = events.read(journal)
        assert operations.unfinished(journal) == []
    assert (looked.kind, injected.kind) == ("loki.monkey.looked", "loki.fault.injected")
    assert looked.correlation == injected.correlation, "the choice and the fault are tied together"
    assert looked.data["victim"]["id"] in injected.subject
    assert looked.data["seed"] == 1
    assert sorted(c["why"] for c in looked.data["considered"]) == [
        "chosen",
        "the dice chose another one",
        "the dice chose another one",
    ]
    assert [e.kind for e in rest] == ["loki.fault.ended"], "what is terminated is over at once"


def test_the_next_run_waits_until_the_cluster_can_show_it(cloud: Any) -> None:
    run(ALWAYS)
    second = run(ALWAYS)
    assert not second.taken
    assert "something was broken" in second.choice.why
    assert states(cloud).count("terminated") == 1


def test_a_stopped_instance_stays_stopped_and_is_nothing_for_the_next_command_to_put_back(cloud: Any) -> None:
    assert run(replace(ALWAYS, groups=(VMS,))).taken
    assert states(cloud).count("stopped") == 1
    with open_journal() as journal:
        assert operations.unfinished(journal) == []
        assert operations.history(journal)[-1].outcome == "left for healing"


def test_a_dry_run_leaves_nothing_behind(cloud: Any) -> None:
    ran = run(ALWAYS, dry_run=True)
    assert ran.choice.victim is not None
    assert not ran.taken
    assert states(cloud) == ["running"] * 5
    with open_journal() as journal:
        assert events.read(journal) == []


def test_a_no_leaves_nothing_behind_either(cloud: Any) -> None:
    def no(choice: Choice, victim: Victim) -> None:
        raise Refused("nothing was changed")

    with pytest.raises(Refused):
        run(ALWAYS, agree=no)
    assert states(cloud) == ["running"] * 5
    with open_journal() as journal:
        assert events.read(journal) == []
        assert all(lease.holder is None for lease in leases.listed(journal))


def test_what_has_changed_since_it_was_shown_is_not_taken(cloud: Any) -> None:
    def somebody_breaks_the_cluster(choice: Choice, victim: Victim) -> None:
        CLUSTER.isr = (1, 2)

    ran = run(ALWAYS, agree=somebody_breaks_the_cluster)
    assert not ran.taken
    assert "under-replicated" in ran.choice.why
    assert states(cloud) == ["running"] * 5


@pytest.mark.parametrize("lease", [leases.cluster_fault("abc"), leases.cluster_change("abc")])
def test_nobody_is_taken_while_the_cluster_is_broken_or_changed_by_others(cloud: Any, lease: str) -> None:
    with (
        open_journal() as journal,
        leases.hold(journal, lease, priority=leases.Priority.CHANGE, doing="loki drill orders"),
        pytest.raises(Busy, match="is held by loki drill orders"),
    ):
        run(ALWAYS)
    assert states(cloud) == ["running"] * 5


def test_outside_its_hours_a_run_asks_nobody_and_leaves_nothing_behind(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgard.machines.aws.asg.members", lambda *_: pytest.fail("AWS was asked"))
    ran = run(NEVER)
    assert not ran.taken
    assert "is a day off" in ran.choice.why
    with open_journal() as journal:
        assert events.read(journal) == []


def test_brokers_of_a_cluster_that_is_not_on_this_machine_are_not_the_monkeys(cloud: Any) -> None:
    brokers = Group("b", "broker", {"node": ("1",)}, 0, "kill", probability=1.0)
    with pytest.raises(Refused, match="not processes of a stack on this machine"):
        run(replace(ALWAYS, groups=(brokers,)))
