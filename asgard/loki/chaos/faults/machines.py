"""What experiments can do to machines, by name: `stop_instance`, `terminate_instance`, `reboot_instance`, `kill_asg_instance`, `kill_container`.

Each takes one machine: the named one, or one picked at random from the healthy ones with the given tags or labels. A
stopped instance and a killed container are started again when the fault is over; a reboot ends by itself; what was
terminated can't be brought back, and the outcome says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from asgard.core import process
from asgard.core.errors import Refused, WrongUsage
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite
from asgard.machines import containers
from asgard.machines.aws import asg, ec2
from asgard.machines.member import Population

Labels = Mapping[str, str | Sequence[str]]


def stop_instance(
    site: ChaosSite, instance: str | None = None, tags: Labels | None = None, region: str | None = None
) -> FaultPlan:
    """Stop an EC2 instance, and start it again afterwards."""
    chosen = one_of(site, "instance", instance, "tags", tags, partial(_ec2, region))
    return _plan(chosen, "stopped", ec2.stop_instance, region, lasts=True)


def terminate_instance(
    site: ChaosSite, instance: str | None = None, tags: Labels | None = None, region: str | None = None
) -> FaultPlan:
    """Terminate an EC2 instance: there is no way back."""
    chosen = one_of(site, "instance", instance, "tags", tags, partial(_ec2, region))
    return _plan(chosen, "terminated, for good", ec2.terminate_instance, region, lasts=False)


def reboot_instance(
    site: ChaosSite, instance: str | None = None, tags: Labels | None = None, region: str | None = None
) -> FaultPlan:
    """Reboot an EC2 instance: it comes back by itself."""
    chosen = one_of(site, "instance", instance, "tags", tags, partial(_ec2, region))
    return _plan(chosen, "rebooted", ec2.reboot_instance, region, lasts=False)


def kill_asg_instance(
    site: ChaosSite, instance: str | None = None, tags: Labels | None = None, region: str | None = None
) -> FaultPlan:
    """Terminate an instance of an Auto Scaling group (the tags are the group's); the group starts another."""
    chosen = one_of(site, "instance", instance, "tags", tags, partial(_asg, region))
    return _plan(chosen, "of its Auto Scaling group terminated, for good", asg.kill_instance, region, lasts=False)


def kill_container(
    site: ChaosSite, container: str | None = None, labels: Labels | None = None, socket: str | None = None
) -> FaultPlan:
    """SIGKILL a container, and start it again afterwards."""
    chosen = one_of(site, "container", container, "labels", labels, partial(_containers, socket))
    subject = f"container {chosen[:12]}"
    host = process.identity().host if containers.is_local(socket) else None
    undo = {"container": chosen, "socket": socket, "host": host}
    return FaultPlan(
        subject, f"{subject} killed", partial(_do, containers.kill_container, chosen, socket), undo, machines=1
    )


def _plan(
    instance: str, done: str, act: Callable[[str, str | None], str], region: str | None, *, lasts: bool
) -> FaultPlan:
    subject = f"instance {instance}"
    undo = {"instance": instance, "region": region}
    return FaultPlan(subject, f"{subject} {done}", partial(_do, act, instance, region), undo, machines=1, lasts=lasts)


def _do(act: Callable[[str, str | None], str], machine: str, where: str | None) -> None:
    act(machine, where)


def one_of(
    site: ChaosSite,
    what: str,
    named: str | None,
    by: str,
    labels: Labels | None,
    look: Callable[[Mapping[str, tuple[str, ...]]], Population],
) -> str:
    """The named machine, or one of the healthy ones with these labels."""
    if (named is None) == (not labels):
        raise WrongUsage(f"name the {what} in one way", f"Give either {what} or {by}.")
    if named is not None:
        return named
    wanted = {name: (v,) if isinstance(v, str) else tuple(map(str, v)) for name, v in (labels or {}).items()}
    fit = sorted(m.id for m in look(wanted).members if m.healthy)
    if not fit:
        raise Refused(f"no healthy {what} has the {by} {wanted}", f"Look at the {by} and the region.")
    return site.rng.choice(fit)


def _ec2(region: str | None, wanted: Mapping[str, tuple[str, ...]]) -> Population:
    return ec2.members(wanted, region)


def _asg(region: str | None, wanted: Mapping[str, tuple[str, ...]]) -> Population:
    return asg.members(wanted, region)


def _containers(socket: str | None, wanted: Mapping[str, tuple[str, ...]]) -> Population:
    return containers.members(wanted, socket)


def _started(reach: Reach, undo: Mapping[str, Any]) -> str:
    return ec2.start_instance(str(undo["instance"]), undo["region"])


def _container_started(reach: Reach, undo: Mapping[str, Any]) -> str:
    return containers.start_container(str(undo["container"]), undo["socket"])


def _gone(reach: Reach, undo: Mapping[str, Any]) -> str:
    return f"{undo['instance']} may have been terminated: there is no way back"


def _by_itself(reach: Reach, undo: Mapping[str, Any]) -> str:
    return f"{undo['instance']} comes back by itself"


KINDS = {
    "stop_instance": FaultKind(stop_instance, _started),
    "terminate_instance": FaultKind(terminate_instance, _gone),
    "reboot_instance": FaultKind(reboot_instance, _by_itself),
    "kill_asg_instance": FaultKind(kill_asg_instance, _gone),
    "kill_container": FaultKind(kill_container, _container_started),
}
