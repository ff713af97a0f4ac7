"""Who did what: moves of requests, credentials handed over, tokens created and revoked; from the store, newest first."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from asgard.bifrost.authorise import What, authorise
from asgard.bifrost.gate import Bifrost, Denied, demand
from asgard.bifrost.states import VERBS
from asgard.bifrost.store import tables
from asgard.bifrost.teams import Actor


@dataclass(frozen=True)
class TrailEntry:
    """An action of a person. `request` names the request it belongs to."""

    at: float
    actor: str
    what: str
    about: str
    team: str | None
    reason: str | None = None
    request: str | None = None


def trail(gate: Bifrost, who: Actor, team: str | None = None, *, last: int = 300) -> list[TrailEntry]:
    """The trail of one team, or of all teams whose record this person may see."""
    if team is not None:
        demand(who, "audit.view", What(team), f"team {team}")
        teams: list[str] | None = [team]
    elif who.data_engineer or who.auditor:
        teams = None
    else:
        teams = [name for name, _ in who.teams if authorise(who, "audit.view", What(name)).allowed]
        if not teams:
            raise Denied("the record is for owners of teams, data engineers and auditors")
    moves, r, c, t = tables.transitions.c, tables.requests.c, tables.credentials.c, tables.tokens.c
    joined = sa.select(moves.at, moves.actor, moves.after, moves.reason, r.id, r.kind, r.subject, r.team).join_from(
        tables.transitions, tables.requests, moves.request == r.id
    )
    handed = sa.select(tables.credentials).where(c.handed_at.is_not(None)).order_by(c.handed_at.desc()).limit(last)
    if teams is not None:
        joined, handed = joined.where(r.team.in_(teams)), handed.where(c.team.in_(teams))
    with gate.store.read() as connection:
        rows = connection.execute(joined.order_by(moves.id.desc()).limit(last)).all()
        found = [
            TrailEntry(m.at, m.actor, f"request {VERBS[m.after]}", f"{m.kind} {m.subject}", m.team, m.reason, m.id)
            for m in rows
        ]
        found += [
            TrailEntry(k.handed_at, k.handed_to, "credentials taken", k.principal, k.team, k.how)
            for k in connection.execute(handed).all()
        ]
        if teams is None:
            for k in connection.execute(sa.select(tables.tokens).order_by(t.made_at.desc()).limit(last)).all():
                found.append(TrailEntry(k.made_at, k.made_by, "token created", f"{k.id} of {k.person}", None, k.about))
                if k.revoked_at is not None:
                    found.append(
                        TrailEntry(k.revoked_at, k.revoked_by or "", "token revoked", f"{k.id} of {k.person}", None)
                    )
    return sorted(found, key=lambda step: -step.at)[:last]
