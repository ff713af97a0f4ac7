"""What people do with grants: look, extend, give up or withdraw; and what happens automatically: reminders, expiry, leavers.

Each change is one transaction that also marks the environment, so that the next run of the queue brings Kafka to the same state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import sqlalchemy as sa

from asgard.bifrost import life, notices
from asgard.bifrost.authorise import What, authorise
from asgard.bifrost.desired import GrantRow, Undo
from asgard.bifrost.gate import Bifrost, NotFound, demand
from asgard.bifrost.notices import TeamMessage
from asgard.bifrost.store import queue, rows, tables
from asgard.bifrost.teams import Actor
from asgard.core.errors import Refused, WrongUsage
from asgard.core.units import format_duration

_g = tables.grants.c
Placed = tuple[str, GrantRow]
"""Environment and grant."""


def grants(gate: Bifrost, who: Actor) -> list[Placed]:
    """The grants that a person may see: of their teams' users, and to their teams' topics."""
    teams = [team for team, _ in who.teams]
    everything = who.data_engineer or who.auditor
    where = [] if everything else [sa.or_(_g.team.in_(teams), _g.owner.in_(teams))]
    with gate.store.read() as connection:
        return rows.placed_grants(connection, where=where)


def find(gate: Bifrost, who: Actor, grant_id: str) -> Placed:
    """A grant by its id, if this person may see it; otherwise it does not exist."""
    with gate.store.read() as connection:
        found = rows.placed_grants(connection, where=[_g.id == grant_id])
    what = what_of(found[0][1]) if found else What("\0")
    if not found or not authorise(who, "grant.view", what).allowed:
        raise NotFound(f"there is no grant {grant_id}")
    return found[0]


def what_of(grant: GrantRow) -> What:
    """A grant as authorisation sees it."""
    return What(grant.team, grant.requester, counterpart=grant.owner if grant.owner != grant.team else None)


def extend(gate: Bifrost, who: Actor, grant_id: str, lasts_s: float) -> Placed:
    """Extend a grant to last so long from now, in one step, if policy allows the same access for that time."""
    from asgard.bifrost.ask import AccessWant, Ask
    from asgard.bifrost.policy.judge import judge
    from asgard.bifrost.service import world_of

    environment, grant = find(gate, who, grant_id)
    demand(who, "grant.extend", what_of(grant), f"grant {grant_id}")
    if grant.expires_at is None:
        raise WrongUsage(f"grant {grant_id} has no end")
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        if grant.field != "groups" and grant.team in gate.directory.by_name:
            access = AccessWant(grant.name, grant.user, grant.field)
            ask = Ask(grant.team or "", environment, access=(access,), lasts_s=lasts_s)
            judged = judge(gate.policy, ask, world_of(gate, connection, ask, who), suggest=False)
            if judged.outcome != "allow":
                raise Refused(
                    f"an extension {judged.sentence}",
                    f"Ask for it: asgard bifrost request access {grant.name} --user {grant.user} --for …",
                )
        done = connection.execute(
            sa.update(tables.grants)
            .where(_g.id == grant_id, _g.expires_at > now)
            .values(expires_at=max(grant.expires_at, now + lasts_s), reminded=99)
        )
        if done.rowcount != 1:
            raise Refused(f"grant {grant_id} has ended meanwhile", "Ask for it again.")
        return rows.placed_grants(connection, where=[_g.id == grant_id])[0]


def withdraw(gate: Bifrost, who: Actor, grant_id: str) -> Placed:
    """End a grant now: the team gives it up, or the owner of the topic takes it back. Raises Refused if it is in the stack file itself."""
    environment, grant = find(gate, who, grant_id)
    demand(who, "grant.withdraw", what_of(grant), f"grant {grant_id}")
    if grant.origin == "adopted":
        raise Refused(
            f"{grant.user} has {grant.field} {grant.name} in the stack file itself",
            "A data engineer takes it out there; `asgard odin up` then withdraws it.",
        )
    _end(gate, environment, [grant], "was withdrawn by " + who.name)
    return environment, grant


def anything_over(gate: Bifrost) -> bool:
    """Whether a grant, or the overlap of a rotation, has expired but is still there."""
    c = tables.credentials.c
    with gate.store.read() as connection:
        now = gate.store.now(connection)
        over = connection.execute(sa.select(_g.id).where(_g.expires_at <= now).limit(1)).first()
        retired = connection.execute(
            sa.select(c.principal).where(c.retire_at <= now, c.state != "gone").limit(1)
        ).first()
    return over is not None or retired is not None


def lapse(gate: Bifrost) -> list[Placed]:
    """End the grants that have expired."""
    with gate.store.read() as connection:
        now = gate.store.now(connection)
        over = rows.placed_grants(connection, where=[_g.expires_at.is_not(None), _g.expires_at <= now])
    for environment in dict.fromkeys(environment for environment, _ in over):
        _end(gate, environment, [grant for place, grant in over if place == environment], "has ended")
    return over


def remind(gate: Bifrost) -> int:
    """Notify teams of grants that end soon: 7, 3 and 1 days before; returns how many."""
    count = 0
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        soon = [_g.expires_at.is_not(None), _g.expires_at <= now + max(life.REMINDERS_DAYS) * life.DAY_S]
        for environment, grant in rows.placed_grants(connection, where=soon):
            for due in life.due([grant], now):
                if due.what != "remind" or grant.expires_at is None:
                    continue
                left = format_duration(grant.expires_at - now)
                text = (
                    f"access of {grant.user} to {grant.field} {grant.name} ({environment}) ends in {left}. "
                    f"asgard bifrost extend {grant.id} --for 30d"
                )
                key = f"{grant.id}:{due.days}:{grant.expires_at:.0f}"
                notices.tell(connection, gate.directory, TeamMessage(grant.team or "", "reminder", key, text), now)
                connection.execute(sa.update(tables.grants).where(_g.id == grant.id).values(reminded=due.days))
                count += 1
    return count


def watched(connection: sa.engine.Connection, environment: str, held: Iterable[GrantRow]) -> life.Watched:
    """What is known about reads in an environment: looks of `bifrost tick`, and which users have consumer groups."""
    since = rows.value(connection, f"reads-since:{environment}")
    return life.Watched(None if since is None else float(since), frozenset(g.user for g in held if g.field == "groups"))


def dormant(gate: Bifrost, held: list[Placed], days: float) -> tuple[list[Placed], list[Placed]]:
    """Of these grants: those unused for so long, and the read grants for which Kafka can't tell."""
    now = gate.store.time()
    unused, unknown = [], []
    with gate.store.read() as connection:
        seen = {e: watched(connection, e, rows.grants(connection, environment=e)) for e in {e for e, _ in held}}
    for environment, grant in held:
        answer = life.dormant(grant, now, days, seen[environment])
        if answer:
            unused.append((environment, grant))
        elif answer is None and grant.field == "consume":
            unknown.append((environment, grant))
    return unused, unknown


def end_unused(gate: Bifrost, environment: str) -> tuple[list[GrantRow], list[GrantRow]]:
    """Notify teams of unused access, and withdraw what was announced long enough ago; returns both lists."""
    rule = gate.directory.dormant
    if rule is None:
        return [], []
    told, gone = [], []
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        held = rows.grants(connection, environment=environment)
        name = f"noticed:{environment}"
        before: dict[str, float] = json.loads(rows.value(connection, name) or "{}")
        noticed = {g.id: before[g.id] for g in held if g.id in before}
        for due in life.unused(held, noticed, rule, watched(connection, environment, held), now):
            grant = due.grant
            mine = sa.update(tables.grants).where(_g.id == grant.id)
            if due.what == "used":
                del noticed[grant.id]
                connection.execute(mine.where(_g.state == "noticed").values(state="active"))
            elif due.what == "notice":
                noticed[grant.id] = now
                connection.execute(mine.where(_g.state == "active").values(state="noticed"))
                text = (
                    f"{grant.user} has not read {grant.name} ({environment}) for {format_duration(now - due.since)}. "
                    f"Its access ends in {format_duration(rule.notice_s)} unless it is used."
                )
                key = f"{grant.id}:{now:.0f}"
                notices.tell(connection, gate.directory, TeamMessage(grant.team or "", "dormant", key, text), now)
                told.append(grant)
            else:
                gone.append(grant)
        rows.set_value(connection, name, json.dumps(noticed))
    if gone:
        _end(gate, environment, gone, "was withdrawn: it was unused, and the notice had no objection")
    return told, gone


def leaver(gate: Bifrost, who: Actor, person: str) -> list[Placed]:
    """End everything a leaver asked for, in one run of the queue. What a team asked for in its own namespace stays the team's."""
    demand(who, "leaver.run", What(), f"person {person}")
    with gate.store.read() as connection:
        found = [(e, g) for e, g in rows.placed_grants(connection, where=[_g.requester == person]) if g.owner != g.team]
    for environment in dict.fromkeys(environment for environment, _ in found):
        _end(gate, environment, [grant for place, grant in found if place == environment], f"ended: {person} left")
    return found


def _end(gate: Bifrost, environment: str, ended: list[GrantRow], why: str) -> None:
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        desired = rows.load(connection, environment)
        changed: list[Undo] = [desired.put("grant", grant.key, None) for grant in ended if grant.key in desired.grants]
        rows.save(connection, environment, desired, changed, now)
        for grant in ended:
            text = f"access of {grant.user} to {grant.field} {grant.name} ({environment}) {why}"
            message = TeamMessage(grant.team or "", "ended", f"{grant.id}:{now:.0f}", text)
            notices.tell(connection, gate.directory, message, now)
        queue.mark_dirty(connection, environment)
