"""Instances of Auto Scaling groups: the tags are the group's, its size is the desired capacity, and it replaces failed
instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgard.machines.aws import client as aws
from asgard.machines.member import Member, Population, opted_in


def members(tags: Mapping[str, tuple[str, ...]], region: str | None = None) -> Population:
    """The instances of the Auto Scaling groups that have all these tags, each with one of its values."""
    client = aws.client("autoscaling", region)
    filters = [{"Name": f"tag:{name}", "Values": list(values)} for name, values in sorted(tags.items())]
    with aws.errors("listing Auto Scaling groups"):
        pages = client.get_paginator("describe_auto_scaling_groups").paginate(Filters=filters)
        groups = [g for page in pages for g in page["AutoScalingGroups"]]
    groups = [g for g in groups if opted_in(_tags(g), tags)]
    found = [_member(instance, group) for group in groups for instance in group.get("Instances", ())]
    return Population(tuple(found), {g["AutoScalingGroupName"]: int(g["DesiredCapacity"]) for g in groups})


def kill_instance(instance: str, region: str | None = None) -> str:
    """Terminate an instance of an Auto Scaling group, which starts another: its desired capacity stays. It can't be
    undone."""
    client = aws.client("autoscaling", region)
    with aws.errors(f"terminating {instance} in its Auto Scaling group"):
        client.terminate_instance_in_auto_scaling_group(InstanceId=instance, ShouldDecrementDesiredCapacity=False)
    return f"{instance} is terminated for good; its group starts another"


def _member(instance: dict[str, Any], group: dict[str, Any]) -> Member:
    health, cycle = str(instance["HealthStatus"]), str(instance["LifecycleState"])
    healthy = cycle == "InService" and health.lower() == "healthy"
    return Member(
        instance["InstanceId"],
        "asg",
        group["AutoScalingGroupName"],
        _tags(group),
        cycle if healthy or cycle != "InService" else f"InService, {health.lower()}",
        healthy,
    )


def _tags(group: dict[str, Any]) -> dict[str, str]:
    return {t["Key"]: t["Value"] for t in group.get("Tags", ())}
