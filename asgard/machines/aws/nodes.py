"""The nodes of a stack on EC2, as the port that healing and load tests use: each is an Auto Scaling group of one.

The group's tags `asgard:stack`, `asgard:node` and `asgard:roles` say which node it is; the instance may change, the
volume and the address stay. The broker process is controlled through SSM (`systemctl`), since no SSH key exists: `stop`
keeps the instance, `replace` terminates it and waits for its successor. The state of a node is that of its instance:
only Kafka knows whether it serves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asgard.core import events
from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.kafka.model import Node
from asgard.machines.aws import client as aws

TEMPLATE_TAG = "aws:ec2launchtemplate:version"
"""The tag that AWS writes on each instance: the version of the launch template that created it."""
STACK_TAG, NODE_TAG, ROLES_TAG, VOLUME_TAG = "asgard:stack", "asgard:node", "asgard:roles", "asgard:volume"
COMMAND_S = 330.0
"""How long a command on an instance may take: a controlled shutdown has five minutes."""
SUCCESSOR_S = 900.0
"""How long a new instance may take until its group reports it in service."""


@dataclass(frozen=True)
class _Place:
    """A node's group and what lives in it now; `instance` None while the group has none.

    `version` of the launch template created the instance, `wanted` would create its successor.
    """

    group: str
    node: int
    roles: tuple[str, ...]
    zone: str | None
    instance: str | None
    state: str
    version: str | None
    wanted: str | None


class Ec2Nodes:
    """`NodeControl` over the Auto Scaling groups of a stack. `sleep` is time.sleep (tests pass their own)."""

    def __init__(self, stack: str, region: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._stack = stack
        self._region = region
        self._sleep = sleep
        self._clients: dict[str, Any] = {}

    def nodes(self) -> list[Node]:
        """All nodes of the stack, by id."""
        return [
            Node(p.node, "running" if p.state == "running" else "stopped", p.zone, p.roles)
            for p in sorted(self._places().values(), key=lambda p: p.node)
        ]

    def outdated(self) -> list[int]:
        """Nodes whose instance was created from an older version of its launch template than the group has now, by
        id."""
        places = self._places().values()
        return sorted(p.node for p in places if p.version and p.wanted and p.wanted.isdigit() and p.version != p.wanted)

    def start(self, node: int) -> None:
        """Start the instance if it is stopped, then the broker process."""
        place = self._of(node)
        if place.instance is not None and place.state in ("stopped", "stopping"):
            with aws.errors(f"starting the instance of node {node}"):
                client = self._client("ec2")
                if place.state == "stopping":
                    client.get_waiter("instance_stopped").wait(InstanceIds=[place.instance])
                client.start_instances(InstanceIds=[place.instance])
                client.get_waiter("instance_running").wait(InstanceIds=[place.instance])
        self._systemctl(node, "start kafka.service")

    def stop(self, node: int) -> None:
        """Controlled shutdown of the broker process."""
        self._systemctl(node, "stop kafka.service")

    def kill(self, node: int) -> None:
        """SIGKILL to the broker process; systemd does not start it again until `start`."""
        self._run(node, ["systemctl mask --runtime kafka.service", "systemctl kill -s KILL kafka.service"])

    def pause(self, node: int) -> None:
        """SIGSTOP to the broker process."""
        self._systemctl(node, "kill -s STOP kafka.service")

    def resume(self, node: int) -> None:
        """SIGCONT."""
        self._systemctl(node, "kill -s CONT kafka.service")

    def restart(self, node: int) -> None:
        """Controlled shutdown, start."""
        self._systemctl(node, "restart kafka.service")

    def replace(self, node: int) -> None:
        """Terminate the instance and wait for its successor, which takes over volume, address and node id.

        Raises Refused if the volume is gone: then Odin creates a new one (`odin up`), and Kafka fills it from the
        replicas.
        """
        place = self._of(node)
        self._check_volume(place)
        if place.instance is not None:
            with aws.errors(f"terminating the instance of node {node}"):
                self._client("autoscaling").terminate_instance_in_auto_scaling_group(
                    InstanceId=place.instance, ShouldDecrementDesiredCapacity=False
                )
        self._await_successor(place)

    def _check_volume(self, place: _Place) -> None:
        filters = [
            {"Name": f"tag:{STACK_TAG}", "Values": [self._stack]},
            {"Name": f"tag:{NODE_TAG}", "Values": [str(place.node)]},
            {"Name": f"tag:{VOLUME_TAG}", "Values": ["data"]},
        ]
        with aws.errors(f"looking for the volume of node {place.node}"):
            found = self._client("ec2").describe_volumes(Filters=filters)["Volumes"]
        if not [v for v in found if v["State"] in ("available", "in-use")]:
            raise Refused(
                f"the data volume of node {place.node} of {self._stack} is gone; its instance was left alone",
                "`asgard odin up` creates a new volume for it; Kafka copies the replicas back.",
            )

    def _await_successor(self, former: _Place) -> None:
        waited = 0.0
        while waited <= SUCCESSOR_S:
            now = self._places()[former.node]
            if now.instance not in (None, former.instance) and now.state == "running":
                return
            events.progress(
                f"replacing node {former.node}", f"waiting for the new instance, {waited:.0f} s", done=waited, unit="s"
            )
            self._sleep(5)
            waited += 5
        raise Failed(
            f"group {former.group} has no new running instance after {SUCCESSOR_S:.0f} s",
            "Check the group's activity: a zone without capacity, or a launch template that does not start.",
        )

    def _places(self) -> Mapping[int, _Place]:
        """Every node's group and instance: two calls, however many there are."""
        with aws.errors(f"listing the nodes of {self._stack}"):
            pages = (
                self._client("autoscaling")
                .get_paginator("describe_auto_scaling_groups")
                .paginate(Filters=[{"Name": f"tag:{STACK_TAG}", "Values": [self._stack]}])
            )
            groups = [g for page in pages for g in page["AutoScalingGroups"]]
            wanted = [i["InstanceId"] for g in groups for i in g["Instances"]]
            alive = self._instances(wanted)
        return {place.node: place for place in (_place(g, alive) for g in groups) if place is not None}

    def _instances(self, wanted: list[str]) -> dict[str, Mapping[str, Any]]:
        if not wanted:
            return {}
        pages = self._client("ec2").get_paginator("describe_instances").paginate(InstanceIds=wanted)
        return {
            i["InstanceId"]: i
            for page in pages
            for r in page["Reservations"]
            for i in r["Instances"]
            if i["State"]["Name"] not in _GONE
        }

    def _of(self, node: int) -> _Place:
        places = self._places()
        if node not in places:
            known = ", ".join(map(str, sorted(places))) or "none"
            raise WrongUsage(f"stack {self._stack} has no node {node} in {self._region} (nodes: {known})")
        return places[node]

    def _systemctl(self, node: int, what: str) -> None:
        self._run(node, ["systemctl unmask --runtime kafka.service", f"systemctl {what}"])

    def _run(self, node: int, commands: list[str]) -> None:
        """Run commands on the node's instance through SSM. Raises Failed with what they printed."""
        place = self._of(node)
        if place.instance is None or place.state != "running":
            raise Failed(f"node {node} of {self._stack} has no running instance", "`asgard thor heal` replaces it.")
        ssm = self._client("ssm")
        with aws.errors(f"running a command on node {node}"):
            sent = ssm.send_command(
                InstanceIds=[place.instance],
                DocumentName="AWS-RunShellScript",
                Comment=f"asgard: node {node} of {self._stack}",
                Parameters={"commands": commands, "executionTimeout": [str(int(COMMAND_S))]},
            )["Command"]["CommandId"]
            answer = self._answer(ssm, sent, place.instance)
        if answer["Status"] != "Success":
            said = str(answer.get("StandardErrorContent") or answer.get("StatusDetails") or "").strip()[:300]
            raise Failed(f"node {node} of {self._stack}: `{commands[-1]}` ended as {answer['Status']}: {said}")

    def _answer(self, ssm: Any, command: str, instance: str) -> dict[str, Any]:
        waited = 0.0
        while True:
            try:
                answer: dict[str, Any] = ssm.get_command_invocation(CommandId=command, InstanceId=instance)
            except ssm.exceptions.InvocationDoesNotExist:
                answer = {"Status": "Pending"}  # SSM lists a command a moment after it accepted it.
            if answer["Status"] not in ("Pending", "InProgress", "Delayed") or waited > COMMAND_S:
                return answer
            self._sleep(1)
            waited += 1

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = aws.client(service, self._region)
        return self._clients[service]


def _place(group: Mapping[str, Any], alive: Mapping[str, Mapping[str, Any]]) -> _Place | None:
    tags = {t["Key"]: t["Value"] for t in group.get("Tags", ())}
    if not tags.get(NODE_TAG, "").isdigit():
        return None
    member = next((i for i in group["Instances"] if i["InstanceId"] in alive), None)
    zone = member["AvailabilityZone"] if member else next(iter(group.get("AvailabilityZones", ())), None)
    instance = alive[member["InstanceId"]] if member else None
    written = {} if instance is None else {t["Key"]: t["Value"] for t in instance.get("Tags", ())}
    return _Place(
        group["AutoScalingGroupName"],
        int(tags[NODE_TAG]),
        tuple(tags.get(ROLES_TAG, "broker").split("+")),
        zone,
        None if instance is None else instance["InstanceId"],
        "none" if instance is None else str(instance["State"]["Name"]),
        written.get(TEMPLATE_TAG),
        group.get("LaunchTemplate", {}).get("Version"),
    )


_GONE = ("shutting-down", "terminated")
