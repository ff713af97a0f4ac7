"""EC2 instances: those with given tags, and stop, terminate, reboot, start.

Listed page by page, with the tags as filters of the call. Terminated instances, which AWS keeps listing for an hour,
are no longer members. An instance is healthy if it runs and passes both status checks: a starting one is not healthy
yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgard.core.errors import Failed
from asgard.machines.aws import client as aws
from asgard.machines.member import Member, Population, opted_in

_GONE = ("shutting-down", "terminated")


def members(tags: Mapping[str, tuple[str, ...]], region: str | None = None) -> Population:
    """The instances that have all these tags, each with one of its values."""
    client = aws.client("ec2", region)
    with aws.errors("listing EC2 instances"):
        pages = client.get_paginator("describe_instances").paginate(Filters=_filters(tags))
        found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
        statuses = _statuses(client) if found else {}
    # A filter of the call treats * and ? as wildcards; a named tag does not.
    listed = [i for i in found if i["State"]["Name"] not in _GONE and opted_in(_tags(i), tags)]
    return Population(tuple(_member(i, statuses.get(i["InstanceId"])) for i in listed))


def stop_instance(instance: str, region: str | None = None) -> str:
    """Stop an instance: its volumes stay, `start_instance` brings it back. A stopped one stays as it is."""
    client = aws.client("ec2", region)
    with aws.errors(f"stopping {instance}"):
        client.stop_instances(InstanceIds=[instance])
    return f"{instance} is stopping"


def start_instance(instance: str, region: str | None = None) -> str:
    """Start a stopped instance, waiting if it is still stopping; a running one stays as it is.

    Says so if it was terminated meanwhile: that can't be undone.
    """
    client = aws.client("ec2", region)
    with aws.errors(f"starting {instance}"):
        state = _state(client, instance)
        if state in ("running", "pending"):
            return f"{instance} is {state} already"
        if state in _GONE:
            return f"{instance} was terminated meanwhile; it can't be started again"
        if state == "stopping":
            client.get_waiter("instance_stopped").wait(
                InstanceIds=[instance], WaiterConfig={"Delay": 5, "MaxAttempts": 60}
            )
        client.start_instances(InstanceIds=[instance])
    return f"{instance} was started again"


def terminate_instance(instance: str, region: str | None = None) -> str:
    """Terminate an instance. It can't be undone: volumes marked for it are deleted too."""
    client = aws.client("ec2", region)
    with aws.errors(f"terminating {instance}"):
        client.terminate_instances(InstanceIds=[instance])
    return f"{instance} is terminated for good"


def reboot_instance(instance: str, region: str | None = None) -> str:
    """Reboot an instance: it comes back by itself."""
    client = aws.client("ec2", region)
    with aws.errors(f"rebooting {instance}"):
        client.reboot_instances(InstanceIds=[instance])
    return f"{instance} is rebooting"


def _state(client: Any, instance: str) -> str:
    found = client.describe_instances(InstanceIds=[instance])["Reservations"]
    if not found:
        raise Failed(f"there is no instance {instance}")
    return str(found[0]["Instances"][0]["State"]["Name"])


def _filters(tags: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
    return [{"Name": f"tag:{name}", "Values": list(values)} for name, values in sorted(tags.items())]


def _statuses(client: Any) -> dict[str, bool]:
    """Instance to whether both status checks pass, for all running ones: one call for hundreds of them."""
    pages = client.get_paginator("describe_instance_status").paginate()
    return {
        s["InstanceId"]: s["InstanceStatus"]["Status"] == "ok" and s["SystemStatus"]["Status"] == "ok"
        for page in pages
        for s in page["InstanceStatuses"]
    }


def _member(instance: dict[str, Any], passes: bool | None) -> Member:
    state, labels = str(instance["State"]["Name"]), _tags(instance)
    healthy = state == "running" and passes is True
    told = state if state != "running" or healthy else "running, status checks not passed"
    return Member(instance["InstanceId"], "ec2", "", labels, told, healthy, labels.get("Name", ""))


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {t["Key"]: t["Value"] for t in instance.get("Tags", ())}
