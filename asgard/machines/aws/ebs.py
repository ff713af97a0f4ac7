"""EBS volumes: those with given tags, and a forced detachment, as when a disk fails under a running broker."""

from __future__ import annotations

from collections.abc import Mapping

from asgard.machines.aws import client as aws
from asgard.machines.member import Member, Population, opted_in

WAIT = {"Delay": 5, "MaxAttempts": 60}


def members(tags: Mapping[str, tuple[str, ...]], region: str | None = None) -> Population:
    """The attached volumes that have all these tags, each with one of its values; a volume in use is healthy."""
    client = aws.client("ec2", region)
    filters = [{"Name": f"tag:{name}", "Values": list(values)} for name, values in sorted(tags.items())]
    with aws.errors("listing EBS volumes"):
        pages = client.get_paginator("describe_volumes").paginate(Filters=filters)
        found = [v for page in pages for v in page["Volumes"] if v.get("Attachments")]
    listed = []
    for volume in found:
        labels = {t["Key"]: t["Value"] for t in volume.get("Tags", ())}
        if opted_in(labels, tags):
            state = str(volume["State"])
            listed.append(
                Member(volume["VolumeId"], "volume", "", labels, state, state == "in-use", labels.get("Name", ""))
            )
    return Population(tuple(listed))


def attachment(volume: str, region: str | None = None) -> tuple[str, str] | None:
    """The instance and device that a volume is attached to; None if it is not attached."""
    client = aws.client("ec2", region)
    with aws.errors(f"looking at {volume}"):
        found = client.describe_volumes(VolumeIds=[volume])["Volumes"][0].get("Attachments", ())
    return (found[0]["InstanceId"], found[0]["Device"]) if found else None


def detach_volume(volume: str, instance: str, region: str | None = None) -> str:
    """Take a volume away from the instance without unmounting it."""
    client = aws.client("ec2", region)
    with aws.errors(f"detaching {volume}"):
        client.detach_volume(VolumeId=volume, InstanceId=instance, Force=True)
    return f"{volume} is detached by force"


def attach_volume(volume: str, instance: str, device: str, region: str | None = None) -> str:
    """Attach a volume again in its old place. Says so if it is attached already, or its instance is gone."""
    client = aws.client("ec2", region)
    with aws.errors(f"attaching {volume}"):
        held = client.describe_volumes(VolumeIds=[volume])["Volumes"][0].get("Attachments", ())
        if any(a["State"] in ("attached", "attaching") for a in held):
            return f"{volume} is attached to {held[0]['InstanceId']}"
        found = client.describe_instances(InstanceIds=[instance])["Reservations"]
        if not found or found[0]["Instances"][0]["State"]["Name"] in ("shutting-down", "terminated"):
            return f"{instance} was terminated meanwhile; {volume} is free for its successor"
        client.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig=WAIT)
        client.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    return f"{volume} is attached to {instance} again; its file system needs a mount or a restart of the node"
