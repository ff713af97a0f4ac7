"""Requests as rows: written, read, and moved from state to state by compare-and-set, each move with its record."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from asgard.bifrost import states
from asgard.bifrost.ask import Ask, of_json, to_json
from asgard.bifrost.states import State
from asgard.bifrost.store import tables
from asgard.bifrost.teams import Usage
from asgard.core.errors import Refused

_r = tables.requests.c


@dataclass(frozen=True)
class Request:
    """A request. `by` names the approvals that are still missing, `version` counts its moves.

    `losses`: which records it was going to delete when it was sent, by topic, with a `sentence` each.
    """

    id: str
    number: int
    team: str
    requester: str
    environment: str
    kind: str
    subject: str
    state: State
    version: int
    ask: Ask
    judgement: dict[str, Any] = field(default_factory=dict)
    by: tuple[str, ...] = ()
    approved_by: tuple[str, ...] = ()
    reason: str | None = None
    token: str | None = None
    attempts: int = 0
    retry_at: float | None = None
    before: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    losses: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class StoredJudgement:
    """Policy's answer as it is kept with a request. `by` names the approvals that it needs, `usage` is what it will take."""

    document: Mapping[str, Any]
    by: tuple[str, ...]
    usage: Usage
    reason: str

    def columns(self) -> dict[str, Any]:
        """The columns of a request that hold it, apart from the reason."""
        return {
            "judgement": json.dumps(self.document, ensure_ascii=False),
            "by": json.dumps(self.by),
            "partitions": self.usage.partitions,
            "storage": self.usage.storage,
            "throughput": self.usage.throughput,
            "users": self.usage.users,
        }


@dataclass(frozen=True)
class Move:
    """One move of a request, as recorded."""

    id: int
    request: str
    at: float
    actor: str
    before: str | None
    after: State
    reason: str | None


def new_id(prefix: str) -> str:
    """An id that can't be guessed, and reveals no count."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return f"{prefix}-" + "".join(secrets.choice(alphabet) for _ in range(10))


def add(
    connection: Connection, ask: Ask, judged: StoredJudgement, *, requester: str, state: State, now: float
) -> Request:
    """Write a new request with the record of its first state."""
    last = connection.execute(sa.select(sa.func.max(_r.number))).scalar() or 0
    request_id = new_id("r")
    connection.execute(
        sa.insert(tables.requests).values(
            id=request_id,
            number=last + 1,
            team=ask.team,
            requester=requester,
            environment=ask.environment,
            kind=ask.kind,
            subject=ask.subject,
            token=ask.token,
            ask=to_json(ask),
            state=state,
            version=1,
            approved_by="[]",
            reason=judged.reason,
            attempts=0,
            created_at=now,
            updated_at=now,
            **judged.columns(),
        )
    )
    return _recorded(connection, get(connection, request_id), requester, None)


def move(
    connection: Connection,
    request: Request,
    after: State,
    *,
    actor: str,
    now: float,
    reason: str | None = None,
    **columns: Any,
) -> Request:
    """Move a request to another state, if it is still as the caller saw it. Raises Refused if it is not."""
    states.check(request.state, after)
    done = connection.execute(
        sa.update(tables.requests)
        .where(_r.id == request.id, _r.version == request.version)
        .values(state=after, version=request.version + 1, updated_at=now, reason=reason, **columns)
    )
    if done.rowcount != 1:
        raise Refused(
            f"someone else has decided {request.id} in the meantime",
            f"Look again: asgard bifrost requests {request.id}",
        )
    return _recorded(connection, get(connection, request.id), actor, request.state)


def _recorded(connection: Connection, request: Request, actor: str, before: State | None) -> Request:
    """The same request, once the move that made it what it is has been recorded."""
    connection.execute(
        sa.insert(tables.transitions).values(
            request=request.id,
            at=request.updated_at,
            actor=actor,
            before=before,
            after=request.state,
            reason=request.reason,
            journalled=0,
        )
    )
    return request


def get(connection: Connection, request_id: str) -> Request:
    """A request by its id. Raises KeyError."""
    row = connection.execute(sa.select(tables.requests).where(_r.id == request_id)).one_or_none()
    if row is None:
        raise KeyError(request_id)
    return _request(row)


def by_token(connection: Connection, team: str, token: str) -> Request | None:
    """The request that a team created with this token."""
    row = connection.execute(sa.select(tables.requests).where(_r.team == team, _r.token == token)).one_or_none()
    return None if row is None else _request(row)


def find(
    connection: Connection,
    *,
    in_states: Iterable[State] | None = None,
    teams: Iterable[str] | None = None,
    environment: str | None = None,
    last: int | None = None,
) -> list[Request]:
    """Matching requests, oldest first; `last`: only so many of the newest."""
    query = sa.select(tables.requests)
    if in_states is not None:
        query = query.where(_r.state.in_(sorted(in_states)))
    if teams is not None:
        query = query.where(_r.team.in_(list(teams)))
    if environment is not None:
        query = query.where(_r.environment == environment)
    if last is not None:
        return [_request(row) for row in connection.execute(query.order_by(_r.number.desc()).limit(last)).all()][::-1]
    return [_request(row) for row in connection.execute(query.order_by(_r.number)).all()]


def reserved(connection: Connection, team: str, environment: str) -> Usage:
    """What a team's unfinished requests will take."""
    columns = [sa.func.coalesce(sa.func.sum(_r[name]), 0) for name in ("partitions", "storage", "throughput", "users")]
    row = connection.execute(
        sa.select(*columns).where(_r.team == team, _r.environment == environment, _r.state.in_(sorted(states.RESERVES)))
    ).one()
    return Usage(int(row[0]), int(row[1]), float(row[2]), int(row[3]))


def history(connection: Connection, request_id: str) -> list[Move]:
    """Every move of a request."""
    t = tables.transitions.c
    rows = connection.execute(sa.select(tables.transitions).where(t.request == request_id).order_by(t.id)).all()
    return [Move(r.id, r.request, r.at, r.actor, r.before, r.after, r.reason) for r in rows]


def unjournalled(connection: Connection, limit: int = 500) -> list[Move]:
    """Moves that are not in the journal yet."""
    t = tables.transitions.c
    query = sa.select(tables.transitions).where(t.journalled == 0).order_by(t.id).limit(limit)
    return [Move(r.id, r.request, r.at, r.actor, r.before, r.after, r.reason) for r in connection.execute(query).all()]


def mark_journalled(connection: Connection, moves: Iterable[Move]) -> None:
    """Mark moves as being in the journal."""
    ids = [move.id for move in moves]
    if ids:
        connection.execute(sa.update(tables.transitions).where(tables.transitions.c.id.in_(ids)).values(journalled=1))


def _request(row: Row[Any]) -> Request:
    judgement = json.loads(row.judgement)
    losses = tuple(judgement.pop("losses", ()))  # they are next to policy's answer, in one column
    return Request(
        id=row.id,
        number=row.number,
        team=row.team,
        requester=row.requester,
        environment=row.environment,
        kind=row.kind,
        subject=row.subject,
        state=row.state,
        version=row.version,
        ask=of_json(row.ask),
        judgement=judgement,
        by=tuple(json.loads(row.by)),
        approved_by=tuple(json.loads(row.approved_by)),
        reason=row.reason,
        token=row.token,
        attempts=row.attempts,
        retry_at=row.retry_at,
        before=row.before,
        created_at=row.created_at,
        updated_at=row.updated_at,
        losses=losses,
    )
