"""What is known about the world when a request is judged, and each item of the request as facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from asgard.bifrost.ask import AccessWant, Ask, ChangeWant, DeleteWant, Item, TopicWant, UserWant, configs_of
from asgard.bifrost.estimate import storage_bytes
from asgard.bifrost.policy.fields import Value
from asgard.bifrost.teams import RESOURCES, Budget, Team, Usage

PREFIX_ENDS = (".", "-", "_", "*")


@dataclass(frozen=True)
class PolicyTopic:
    """A topic that exists, or has been requested. `team` None: it has no owner; `readers`: other teams that may read it; `certain` False: its
    request waits for approval, or failed: the name is taken, and nothing can depend on it.
    """

    name: str
    team: str | None = None
    partitions: int = 0
    replication: int = 0
    min_isr: int | None = None
    retention_ms: int | None = None
    throughput: float | None = None
    tags: frozenset[str] = frozenset()
    readers: int = 0
    managed: bool = True
    certain: bool = True


@dataclass(frozen=True)
class PolicyUser:
    """A user that exists, or has been requested: `certain` as for topics. A principal that a rotation created is not certain: nothing
    can be given to it apart from its user.
    """

    name: str
    team: str | None = None
    managed: bool = True
    certain: bool = True


@dataclass(frozen=True)
class Headroom:
    """The cluster's headroom as last measured; None: not known. Replicas and bytes that the fullest broker may still take."""

    brokers: int | None = None
    disk_free: float | None = None
    capacity_bytes: int | None = None
    replicas_left: int | None = None
    default_replication: int = 3
    default_min_isr: int | None = None
    default_retention_ms: int | None = 7 * 86_400_000


@dataclass(frozen=True)
class World:
    """Everything a decision looks at. `used` is the team's usage: what it has and what it has already asked for."""

    team: Team
    role: str = "member"
    topics: Mapping[str, PolicyTopic] = field(default_factory=dict)
    users: Mapping[str, PolicyUser] = field(default_factory=dict)
    namespaces: Mapping[str, str] = field(default_factory=dict)
    used: Usage = field(default_factory=Usage)
    headroom: Headroom = Headroom()

    @property
    def budget(self) -> Budget:
        """The team's budget."""
        return self.team.budget


def usage_of(ask: Ask, world: World) -> Usage:
    """What an ask uses of the budget (a deletion gives nothing back until it is done)."""
    total = Usage(users=len(ask.users))
    for topic in ask.topics:
        facts = _sized(topic, world)
        total += Usage(topic.partitions, int(_number(facts["storage"])), _number(facts["throughput"]))
    for change in ask.changes:
        before = world.topics.get(change.topic)
        if before is not None:
            facts = _sized(change, world)
            had = storage_bytes(
                before.throughput, before.retention_ms, before.replication or world.headroom.default_replication
            )
            more = Usage(
                int(_number(facts["partitions"])) - before.partitions,
                int(_number(facts["storage"])) - had,
                _number(facts["throughput"]) - (before.throughput or 0.0),
            )
            total += Usage(max(0, more.partitions), max(0, more.storage), max(0.0, more.throughput))
    return total


def common_facts(ask: Ask, world: World) -> dict[str, Value]:
    """The facts that all items of an ask have in common; they take a look at each of its items."""
    asked = usage_of(ask, world)
    return {
        "team": ask.team,
        "role": world.role,
        "environment": ask.environment,
        "reason": bool(ask.reason),
        **_budget(asked, world),
        **_headroom(asked, world),
    }


def facts_of(item: Item, ask: Ask, world: World, common: Mapping[str, Value]) -> tuple[str, dict[str, Value]]:
    """The kind of an item, and its facts by the names of `fields.FIELDS`; `common` is what `common_facts` found."""
    facts: dict[str, Value] = dict(common)
    match item:
        case TopicWant():
            kind, name = "topic", item.name
            facts |= _sized(item, world)
            facts |= {"exists": name in world.topics, "described": bool(item.description), "tags": frozenset(item.tags)}
            facts |= {"owner": ask.team, "own": True}
        case ChangeWant():
            kind, name = "change", item.topic
            known = _there(world.topics.get(name))
            facts |= {"exists": known is not None, **_ownership(name, ask, world)}
            facts["managed"] = known is None or known.managed
            if known is not None:
                facts |= _sized(item, world)
                if item.tags is not None:
                    facts["tags"] = frozenset(item.tags)
        case UserWant():
            kind, name = "user", item.name
            facts |= {"exists": name in world.users, "groups_in_namespace": _own_groups(item, world)}
            facts |= {"produce_quota": item.produce_quota or 0.0, "consume_quota": item.consume_quota or 0.0}
        case AccessWant():
            kind, name = "access", item.topic
            new = {topic.name: topic for topic in ask.topics}
            facts |= {"operation": item.operation, "user": item.user, "prefix": is_prefix(name)}
            facts["groups_in_namespace"] = _own_groups(item, world)
            facts["for"] = math.inf if ask.lasts_s is None else ask.lasts_s * 1000
            known_user = _there(world.users.get(item.user))
            mine = any(user.name == item.user for user in ask.users)
            facts["own_user"] = mine or (known_user is not None and known_user.team == ask.team)
            if name in new:
                facts |= {"owner": ask.team, "own": True, "tags": frozenset(new[name].tags), "exists": True}
            else:
                there = any(t.certain for t in covered(name, world)) or any(
                    t.startswith(name.removesuffix("*")) for t in new if is_prefix(name)
                )
                facts |= {"exists": there, **_ownership(name, ask, world)}
        case DeleteWant():
            kind, name = "delete", item.name
            if item.what == "topic":
                known = _there(world.topics.get(name))
                facts |= {"exists": known is not None, **_ownership(name, ask, world)}
                facts["readers"] = float(known.readers if known else 0)
                facts["managed"] = known is None or known.managed
            else:
                user = _there(world.users.get(name))
                owner = user.team if user else None
                facts |= {"exists": user is not None, "owner": owner or "", "own": owner == ask.team}
                facts["managed"] = user is None or user.managed
                facts |= {"tags": frozenset(), "readers": 0.0}
    return kind, facts | {"kind": kind, "name": name, "in_namespace": world.team.owns_name(name)}


Known = TypeVar("Known", PolicyTopic, PolicyUser)


def _there(known: Known | None) -> Known | None:
    return known if known is not None and known.certain else None


def is_prefix(name: str) -> bool:
    """Whether a name under `produce` or `consume` is a prefix, as a stack file reads it."""
    return name.endswith(PREFIX_ENDS)


def covered(name: str, world: World) -> list[PolicyTopic]:
    """The topics that a name or prefix covers."""
    if not is_prefix(name):
        return [world.topics[name]] if name in world.topics else []
    prefix = name.removesuffix("*")
    return [topic for topic in world.topics.values() if topic.name.startswith(prefix)]


def owners_of(name: str, world: World) -> set[str]:
    """The teams whose topics a name or prefix covers, or could cover: also by their namespaces."""
    found = {topic.team or "" for topic in covered(name, world)}
    if is_prefix(name) or not found:
        prefix = name.removesuffix("*")
        found |= {
            team
            for space, team in world.namespaces.items()
            if prefix.startswith(space) or (is_prefix(name) and space.startswith(prefix))
        }
    return found


def _own_groups(item: UserWant | AccessWant, world: World) -> bool:
    # The start of a prefix is in all of its groups, so a prefix lies in a namespace as a name does, and `*` in none.
    return all(map(world.team.owns_name, item.groups))


def _ownership(name: str, ask: Ask, world: World) -> dict[str, Value]:
    owners = owners_of(name, world)
    tags = frozenset(tag for topic in covered(name, world) for tag in topic.tags)
    foreign = sorted(owners - {ask.team})
    owner = foreign[0] if foreign else next(iter(owners), "")
    return {"owner": owner, "own": owners == {ask.team}, "tags": tags}


def _sized(item: TopicWant | ChangeWant, world: World) -> dict[str, Value]:
    head = world.headroom
    if isinstance(item, TopicWant):
        before, partitions = 0, item.partitions
        replication: int = item.replication or head.default_replication
        retention, throughput, min_isr = item.retention_ms, item.throughput, item.min_isr
    else:
        known = world.topics[item.topic]
        before, partitions = known.partitions, item.partitions or known.partitions
        replication = known.replication or head.default_replication
        retention = known.retention_ms if item.retention_ms is None else item.retention_ms
        throughput = known.throughput if item.throughput is None else item.throughput
        min_isr = known.min_isr if item.min_isr is None else item.min_isr
    kept = head.default_retention_ms if retention is None else retention
    isr = min_isr or head.default_min_isr
    return {
        "partitions": float(partitions),
        "partitions_added": float(partitions - before),
        "replication": float(replication),
        "min_isr": None if isr is None else float(isr),
        "retention": None if kept is None else math.inf if kept < 0 else float(kept),
        "throughput": float(throughput or 0.0),
        "storage": float(storage_bytes(throughput, kept, replication)),
        "compacted": "compact" in item.config.get("cleanup.policy", ""),
        "configs": configs_of(item),
    }


def _budget(asked: Usage, world: World) -> dict[str, Value]:
    after = world.used + asked
    found: dict[str, Value] = {}
    for what in RESOURCES:
        limit, used = getattr(world.budget, what), getattr(after, what)
        found[f"budget.{what}"] = 0.0 if limit is None or not used else math.inf if limit == 0 else used / limit
    return found


def _headroom(asked: Usage, world: World) -> dict[str, Value]:
    head = world.headroom
    brokers = None if head.brokers is None else float(head.brokers)
    disk: Value = head.disk_free
    if disk is not None and head.capacity_bytes:
        disk = float(disk) - asked.storage / head.capacity_bytes  # type: ignore[arg-type]
    left: Value = None
    if head.replicas_left is not None and head.brokers:
        left = float(head.replicas_left - math.ceil(asked.partitions * head.default_replication / head.brokers))
    return {"brokers": brokers, "headroom.disk": disk, "headroom.partitions": left}


def _number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) and value != math.inf else 0.0
