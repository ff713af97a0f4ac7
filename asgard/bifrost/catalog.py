"""What a team has, and what can be found: from the store alone, so it answers at once for thousands of topics.

Everybody finds names, owners and descriptions (if the catalogue is open); only its team, teams that share it, data engineers
and auditors see who reads and writes a topic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from asgard.bifrost import grants as given
from asgard.bifrost.authorise import What, authorise
from asgard.bifrost.desired import GrantRow, TopicRow, UserRow
from asgard.bifrost.gate import Bifrost, Denied, NotFound, demand
from asgard.bifrost.store import queue, requests, rows, tables
from asgard.bifrost.store.requests import Request
from asgard.bifrost.teams import RESOURCES, Actor, Budget, Usage
from asgard.core.errors import Refused, WrongUsage

_g = tables.grants.c


@dataclass(frozen=True)
class Entry:
    """A topic as the catalogue shows it. `consumers` and `producers` are (user, team); None: hidden from this person."""

    environment: str
    name: str
    team: str | None
    description: str | None
    tags: tuple[str, ...]
    partitions: int
    replication: int | None
    retention_ms: int | None
    origin: str
    consumers: tuple[tuple[str, str | None], ...] | None = None
    producers: tuple[tuple[str, str | None], ...] | None = None


@dataclass(frozen=True)
class Edge:
    """A step of lineage: data flows from a topic through a user into another one. None at either end of the lineage."""

    source: str | None
    user: str
    team: str | None
    target: str | None


@dataclass(frozen=True)
class Mine:
    """What a person's teams have, and what waits for this person."""

    teams: tuple[str, ...]
    topics: tuple[Entry, ...]
    users: tuple[tuple[str, UserRow], ...]
    grants: tuple[tuple[str, GrantRow], ...]
    open_requests: tuple[Request, ...]
    to_decide: tuple[Request, ...]


def mine(gate: Bifrost, who: Actor) -> Mine:
    """Only a person's own services."""
    if not who.known:
        raise Denied(f"{who.name} is in no team", "Ask the data team to add you to yours.")
    teams = tuple(team for team, _ in who.teams)
    with gate.store.read() as connection:
        topics = rows.topics(connection, teams=teams)
        users = rows.users(connection, teams=teams)
        held = rows.placed_grants(connection, where=[_g.team.in_(teams)])
        unfinished = ["draft", "pending", "approved", "applying", "failed"]
        opened = requests.find(connection, in_states=unfinished, teams=teams)  # type: ignore[arg-type]
        pending = requests.find(connection, in_states=["pending"])
    waiting = [r for r in pending if authorise(who, "request.decide", What(r.team, r.requester, r.by)).allowed]
    return Mine(
        teams, tuple(entry_of(e, t) for e, t in topics), tuple(users), tuple(held), tuple(opened), tuple(waiting)
    )


def catalog(gate: Bifrost, who: Actor, search: str = "", *, limit: int | None = None) -> list[Entry]:
    """Topics whose name, owner, description or tags contain every word of the search."""
    demand(who, "catalog.view", What(), "catalogue")
    own = {team for team, _ in who.teams}
    all_teams = gate.directory.open_catalog or who.data_engineer or who.auditor
    words = search.lower().split()
    with gate.store.read() as connection:
        found = rows.topics(connection, teams=None if all_teams else own)
    entries = []
    for environment, topic in found:
        text = " ".join([topic.name, topic.team or "", topic.description or "", *topic.tags]).lower()
        if all(word in text for word in words):
            entries.append(entry_of(environment, topic))
            if limit is not None and len(entries) == limit:
                break
    return entries


def topic(gate: Bifrost, who: Actor, name: str, environment: str | None = None) -> Entry:
    """One topic. Who uses it is shown to its team, to teams that share it, to data engineers and auditors."""
    where = gate.environment(environment).name
    own = {team for team, _ in who.teams}
    with gate.store.read() as connection:
        found = rows.topics(connection, where, names=[name])
        users = _users_of(rows.placed_grants(connection, environment=where), name) if found else ([], [])
    row = found[0][1] if found else None
    if row is None or not authorise(who, "catalog.view").allowed:
        raise NotFound(f"there is no topic {name} in {where}")
    shares = any(team in own for _, team in (*users[0], *users[1]))
    if authorise(who, "topic.view", What(row.team)).allowed or shares:
        return replace(entry_of(where, row), consumers=tuple(users[0]), producers=tuple(users[1]))
    if not gate.directory.open_catalog:
        raise NotFound(f"there is no topic {name} in {where}")
    return entry_of(where, row)


def _users_of(
    held: list[tuple[str, GrantRow]], topic: str
) -> tuple[list[tuple[str, str | None]], list[tuple[str, str | None]]]:
    def using(field: str) -> list[tuple[str, str | None]]:
        return [(g.user, g.team) for _, g in held if g.field == field and _covers(g.name, topic)]

    return using("consume"), using("produce")


def lineage(held: list[GrantRow], topic: str) -> tuple[Edge, ...]:
    """What feeds a topic and what it feeds, according to grants: a user that reads one and writes the other may carry data between them.

    Pure. Permissions say what can flow, not what does.
    """
    reads: dict[str, list[str]] = {}
    writes: dict[str, list[str]] = {}
    teams = {grant.user: grant.team for grant in held}
    for grant in held:
        if grant.field != "groups":
            (reads if grant.field == "consume" else writes).setdefault(grant.user, []).append(grant.name)
    found: list[Edge] = []
    for user in sorted(teams):
        if any(_covers(name, topic) for name in writes.get(user, ())):
            sources: list[str | None] = [name for name in reads.get(user, ()) if not _covers(name, topic)]
            found += [Edge(name, user, teams[user], topic) for name in (sources or [None])]
        if any(_covers(name, topic) for name in reads.get(user, ())):
            targets: list[str | None] = [name for name in writes.get(user, ()) if not _covers(name, topic)]
            found += [Edge(topic, user, teams[user], name) for name in (targets or [None])]
    return tuple(found)


def _covers(name: str, topic: str) -> bool:
    return name == topic or (name[-1:] in ".-_*" and topic.startswith(name.removesuffix("*")))


@dataclass(frozen=True)
class TeamUsage:
    """What a team has and asked for, against its budget, in one environment."""

    team: str
    environment: str
    used: Usage
    reserved: Usage
    budget: Budget

    def lines(self) -> list[tuple[str, float, float, float | None]]:
        """Resource, used, asked for, limit."""
        return [(r, getattr(self.used, r), getattr(self.reserved, r), getattr(self.budget, r)) for r in RESOURCES]


def usage(gate: Bifrost, who: Actor, team: str) -> list[TeamUsage]:
    """The usage of a team, by environment."""
    demand(who, "usage.view", What(team), f"team {team}")
    known = gate.directory.by_name.get(team)
    if known is None:
        raise NotFound(f"there is no team {team}")
    with gate.store.read() as connection:
        return [
            TeamUsage(
                team,
                e.name,
                rows.used(connection, team, e.name),
                requests.reserved(connection, team, e.name),
                known.budget,
            )
            for e in gate.directory.environments
        ]


def unowned(gate: Bifrost, who: Actor) -> list[Entry]:
    """Topics without an owner that this person could claim by name; data engineers and auditors see all of them."""
    demand(who, "catalog.view", What(), "catalogue")
    with gate.store.read() as connection:
        found = [entry_of(e, t) for e, t in rows.topics(connection, unowned=True)]
    if who.data_engineer or who.auditor or gate.directory.open_catalog:
        return found
    return [e for e in found if who.role_in(gate.directory.owner_of(e.name)) is not None]


def claim(gate: Bifrost, who: Actor, name: str, team: str | None = None, environment: str | None = None) -> Entry:
    """Make a team the owner of a topic without an owner."""
    where = gate.environment(environment).name
    space = gate.directory.owner_of(name)
    with gate.store.write() as connection:
        found = rows.topics(connection, where, names=[name])
        if not found:
            raise NotFound(f"there is no topic {name} in {where}")
        row = found[0][1]
        demand(who, "topic.claim", What(row.team, in_namespace_of=space), f"topic {name}")
        owner = team or space
        if owner is None or owner not in gate.directory.by_name:
            raise WrongUsage(f"which team is to own {name}?", "Say it with --team.")
        if not who.data_engineer and owner != space:
            raise Refused(f"{name} is in the namespace of {space}")
        desired = rows.load(connection, where)
        changed = [desired.put("topic", name, replace(row, team=owner))]
        rows.save(connection, where, desired, changed, gate.store.now(connection))
        connection.execute(
            sa.update(tables.grants)
            .where(_g.environment == where, _g.name == name, _g.field != "groups")
            .values(owner=owner)
        )
        if row.origin == "bifrost":
            queue.mark_dirty(connection, where)
        return entry_of(where, replace(row, team=owner))


def backstage(gate: Bifrost, who: Actor) -> list[dict[str, Any]]:
    """Backstage's catalogue entities: a Group for each team, a Resource for each topic."""
    found: list[dict[str, Any]] = []
    for team in gate.directory.teams:
        about = {"description": team.about} if team.about else {}
        found.append(
            {
                "apiVersion": "backstage.io/v1alpha1",
                "kind": "Group",
                "metadata": {"name": team.name, **about},
                "spec": {"type": "team", "children": []},
            }
        )
    for entry in catalog(gate, who):
        metadata: dict[str, Any] = {"name": _backstage_name(f"{entry.environment}.{entry.name}"), "title": entry.name}
        metadata |= {"description": entry.description} if entry.description else {}
        metadata |= {"tags": [t.lower() for t in entry.tags]} if entry.tags else {}
        found.append(
            {
                "apiVersion": "backstage.io/v1alpha1",
                "kind": "Resource",
                "metadata": metadata,
                "spec": {
                    "type": "kafka-topic",
                    "owner": f"group:{entry.team or 'unknown'}",
                    "lifecycle": entry.environment,
                },
            }
        )
    return found


def _backstage_name(name: str) -> str:
    """Names of at most 63 characters; a longer one ends in a hash of all of it."""
    import hashlib

    return name if len(name) <= 63 else f"{name[:54]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def shared_with(gate: Bifrost, who: Actor) -> list[tuple[str, GrantRow]]:
    """What other teams may do with the topics of this person's teams."""
    own = {team for team, _ in who.teams}
    return [(e, g) for e, g in given.grants(gate, who) if g.owner in own and g.team != g.owner]


def entry_of(environment: str, row: TopicRow) -> Entry:
    """A topic of the store as the catalogue shows it."""
    return Entry(
        environment,
        row.name,
        row.team,
        row.description,
        row.tags,
        row.partitions,
        row.replication,
        row.retention_ms,
        row.origin,
    )


@dataclass(frozen=True)
class Sight:
    """What a person sees of a cluster's traffic: topics of their teams and those shared with them, and their teams' groups."""

    topics: frozenset[str]
    shared: tuple[str, ...]
    groups: tuple[str, ...]

    def topic(self, name: str) -> bool:
        """Whether they may see this topic's traffic."""
        return name in self.topics or any(_covers(shared, name) for shared in self.shared)

    def group(self, name: str) -> bool:
        """Whether this consumer group is one of theirs."""
        return any(_covers(group, name) for group in self.groups)


def sight(gate: Bifrost, who: Actor, environment: str) -> Sight | None:
    """What this person sees of an environment's traffic; None: all of it. Authorisation decides, as for the pages of single topics."""
    if authorise(who, "topic.view", What()).allowed:
        return None
    own = [team for team, _ in who.teams if authorise(who, "topic.view", What(team)).allowed]
    with gate.store.read() as connection:
        topics = rows.topics(connection, environment, teams=own)
        held = rows.placed_grants(connection, environment=environment, where=[_g.team.in_(own)])
    return Sight(
        frozenset(topic.name for _, topic in topics),
        tuple(dict.fromkeys(g.name for _, g in held if g.field != "groups")),
        tuple(dict.fromkeys(g.name for _, g in held if g.field == "groups")),
    )
