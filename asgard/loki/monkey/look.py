"""One look at the cluster and at all members that opted in: what a choice is based on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asgard.core.errors import Refused
from asgard.kafka.model import ClusterInfo
from asgard.kafka.ports import ControlPlane, NodeControl
from asgard.loki.monkey import health
from asgard.loki.monkey.choose import Choice, Past
from asgard.loki.monkey.config import Group, Monkey
from asgard.loki.monkey.health import Health
from asgard.machines.member import Population

if TYPE_CHECKING:
    from asgard.journal.store.database import Database

LOOKED = "loki.monkey.looked"
_FAULTS = "loki.fault.*"
_MIN_ISR = "min.insync.replicas"
_REMEMBERED_S = 600.0


def cluster_health(control: ControlPlane, info: ClusterInfo, monkey: Monkey) -> Health:
    """What Kafka says of its brokers and partitions; two requests in bulk."""
    topics = control.topics()
    configs = control.effective_topic_configs(list(topics), [_MIN_ISR])
    least = {name: int(config[_MIN_ISR]) for name, config in configs.items() if config.get(_MIN_ISR, "").isdecimal()}
    return health.judge(info.brokers, topics.values(), least, monkey.exclude_topics)


def everybody(
    monkey: Monkey, info: ClusterInfo, nodes: NodeControl | None, stack: str | None, cluster: str
) -> dict[str, Population]:
    """What is found of each group of the file. Raises Refused if brokers are not Asgard's, Unreachable, WrongUsage."""
    return {group.name: _members(group, info, nodes, stack, cluster) for group in monkey.groups}


def _members(group: Group, info: ClusterInfo, nodes: NodeControl | None, stack: str | None, cluster: str) -> Population:
    from asgard.machines import containers
    from asgard.machines.aws import asg, ebs, ec2, ecs
    from asgard.machines.local import members as brokers

    match group.kind:
        case "broker":
            if nodes is None or stack is None:
                raise Refused(
                    f"group {group.name}: the brokers of {cluster} are not processes of a stack on this machine",
                    "Name the context of a local stack, or take instances (ec2, asg) or containers.",
                )
            return brokers.members(nodes.nodes(), {b.id: b.state for b in info.brokers}, stack)
        case "ec2":
            return ec2.members(group.opt_in, group.region)
        case "asg":
            return asg.members(group.opt_in, group.region)
        case "volume":
            return ebs.members(group.opt_in, group.region)
        case "ecs":
            return ecs.members(group.cluster or "default", group.opt_in, group.region)
        case "container":
            return containers.members(group.opt_in, group.socket)


def past(journal: Database, monkey: str, cluster_id: str) -> Past:
    """When this monkey last looked at this cluster, and when something in it was last broken."""
    from asgard.journal import events

    looks = events.read(journal, events.EventFilter(kind=LOOKED, subject=subject(monkey, cluster_id)), last=1)
    recent = events.read(journal, events.EventFilter(kind=_FAULTS, since=journal.time() - _REMEMBERED_S))
    broken = [event.at for event in recent if event.data.get("cluster_id") == cluster_id]
    return Past(looks[-1].at if looks else None, max(broken, default=None))


def subject(monkey: str, cluster_id: str) -> str:
    """What the events of a monkey are about."""
    return f"{cluster_id}/{monkey}"


def record(
    journal: Database,
    monkey: Monkey,
    cluster: str,
    cluster_id: str,
    choice: Choice,
    *,
    seed: int,
    run: str | None = None,
) -> None:
    """Record a choice before it is carried out, with all candidates if one is taken.

    `run` ties it to the fault that follows.
    """
    from asgard.journal import events

    data = {"cluster_id": cluster_id, "cluster": cluster, "monkey": monkey.name, "seed": seed, **document(choice)}
    if choice.victim is None:
        del data["considered"]  # each has the reason of its group
    events.record(journal, LOOKED, subject(monkey.name, cluster_id), data, correlation=run)


def document(choice: Choice) -> dict[str, Any]:
    """A choice as plain data."""
    from asgard.core.console import to_plain

    victim = choice.victim
    taken = victim and {"group": victim.group.name, "action": victim.group.action, **_named(to_plain(victim.member))}
    considered = [
        {"group": c.group, "taken": c.taken, "why": c.why, **_named(to_plain(c.member))} for c in choice.considered
    ]
    return {"victim": taken, "why": choice.why, "groups": to_plain(choice.groups), "considered": considered}


def _named(member: Mapping[str, Any]) -> dict[str, Any]:
    """A member without its labels: machines have many, and they may hold what does not belong in a journal."""
    return {("of" if key == "group" else key): value for key, value in member.items() if key != "labels"}
