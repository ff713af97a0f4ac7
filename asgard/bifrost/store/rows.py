"""Topics, users and grants as rows, and what teams use."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from asgard.bifrost.ask import lifted
from asgard.bifrost.desired import Desired, GrantRow, TopicRow, Undo, UserRow
from asgard.bifrost.store import tables
from asgard.bifrost.teams import Usage

_x = tables.resources.c
_g = tables.grants.c
_GRANT = tuple(f.name for f in fields(GrantRow))


def load(connection: Connection, environment: str) -> Desired:
    """Everything of an environment."""
    desired = Desired()
    for row in connection.execute(sa.select(tables.resources).where(_x.environment == environment)).all():
        made = _resource(row)
        desired.table(row.kind)[made.name] = made
    for grant in grants(connection, environment=environment):
        desired.grants[grant.key] = grant
    return desired


def topics(
    connection: Connection,
    environment: str | None = None,
    *,
    names: Collection[str] | None = None,
    prefixes: Collection[str] = (),
    teams: Collection[str] | None = None,
    unowned: bool = False,
) -> list[tuple[str, TopicRow]]:
    """Topics with their environments: by names or prefixes, by teams, or all."""
    query = sa.select(tables.resources).where(_x.kind == "topic").order_by(_x.name)
    if environment is not None:
        query = query.where(_x.environment == environment)
    if names is not None:
        query = query.where(
            sa.or_(_x.name.in_(list(names)), *(_x.name.startswith(p, autoescape=True) for p in prefixes))
        )
    if teams is not None:
        query = query.where(_x.team.in_(list(teams)))
    if unowned:
        query = query.where(_x.team.is_(None))
    return [(row.environment, _resource(row)) for row in connection.execute(query).all()]


def users(
    connection: Connection,
    environment: str | None = None,
    *,
    names: Collection[str] | None = None,
    teams: Collection[str] | None = None,
) -> list[tuple[str, UserRow]]:
    """Users with their environments."""
    query = sa.select(tables.resources).where(_x.kind == "user").order_by(_x.name)
    if environment is not None:
        query = query.where(_x.environment == environment)
    if names is not None:
        query = query.where(_x.name.in_(list(names)))
    if teams is not None:
        query = query.where(_x.team.in_(list(teams)))
    return [(row.environment, _resource(row)) for row in connection.execute(query).all()]


def grants(connection: Connection, *, environment: str | None = None, where: Iterable[Any] = ()) -> list[GrantRow]:
    """Grants, by user."""
    return [grant for _, grant in placed_grants(connection, environment=environment, where=where)]


def placed_grants(
    connection: Connection, *, environment: str | None = None, where: Iterable[Any] = ()
) -> list[tuple[str, GrantRow]]:
    """Grants with their environments."""
    query = sa.select(tables.grants).where(*where).order_by(_g.user, _g.field, _g.name)
    if environment is not None:
        query = query.where(_g.environment == environment)
    return [(row.environment, _grant(row)) for row in connection.execute(query).all()]


def of_team(team: str) -> Any:
    """The condition for `placed_grants`: grants of a team's users."""
    return _g.team == team


def save(connection: Connection, environment: str, desired: Desired, changed: Iterable[Undo], now: float) -> None:
    """Write the changed rows as they now are in `desired`."""
    keys = dict.fromkeys((table, key) for table, key, _ in changed)
    resources = [(table, key) for table, key in keys if table != "grant"]
    given = [key for table, key in keys if table == "grant"]
    for kind in ("topic", "user"):
        names = [key for table, key in resources if table == kind]
        for part in _parts(names):
            connection.execute(
                sa.delete(tables.resources).where(_x.environment == environment, _x.kind == kind, _x.name.in_(part))
            )
    for part in _parts(given):
        connection.execute(
            sa.delete(tables.grants).where(
                _g.environment == environment,
                sa.or_(*(sa.and_(_g.user == u, _g.field == f, _g.name == n) for u, f, n in part)),
            )
        )
    new = [
        _values(environment, table, desired.table(table)[key], now)
        for table, key in resources
        if key in desired.table(table)
    ]
    if new:
        connection.execute(sa.insert(tables.resources), new)
    kept = [{"environment": environment, **asdict(desired.grants[key])} for key in given if key in desired.grants]
    if kept:
        connection.execute(sa.insert(tables.grants), kept)


def _parts(items: list[Any], size: int = 200) -> Iterable[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _values(environment: str, kind: str, row: TopicRow | UserRow, now: float) -> dict[str, Any]:
    usage = row.usage() if isinstance(row, TopicRow) else Usage(users=1)
    spec = {k: v for k, v in asdict(row).items() if k not in ("name", "team", "origin", "request")}
    return {
        "environment": environment,
        "kind": kind,
        "name": row.name,
        "origin": row.origin,
        "team": row.team,
        "spec": json.dumps(spec, sort_keys=True, ensure_ascii=False),
        "request": row.request,
        "partitions": usage.partitions,
        "storage": usage.storage,
        "throughput": usage.throughput,
        "users": usage.users,
        "at": now,
    }


def used(connection: Connection, team: str, environment: str) -> Usage:
    """What a team has."""
    columns = [sa.func.coalesce(sa.func.sum(_x[name]), 0) for name in ("partitions", "storage", "throughput", "users")]
    row = connection.execute(sa.select(*columns).where(_x.team == team, _x.environment == environment)).one()
    return Usage(int(row[0]), int(row[1]), float(row[2]), int(row[3]))


def readers(connection: Connection, environment: str, topic: str, owner: str | None) -> int:
    """How many other teams may read a topic, by its name or by a prefix of it."""
    rows = connection.execute(
        sa.select(_g.name, _g.team).where(
            _g.environment == environment, _g.field == "consume", sa.or_(_g.team.is_(None), _g.team != (owner or ""))
        )
    ).all()
    return len(
        {
            r.team
            for r in rows
            if r.name == topic or (r.name[-1] in ".-_*" and topic.startswith(r.name.removesuffix("*")))
        }
    )


def take_names(
    connection: Connection, environment: str, team: str, request: str, names: Iterable[tuple[str, str]]
) -> None:
    """Reserve (kind, name) for an open request."""
    values = [
        {"environment": environment, "kind": kind, "name": name, "team": team, "request": request}
        for kind, name in names
    ]
    if values:
        connection.execute(sa.insert(tables.names), values)


def give_names_back(connection: Connection, request: str) -> None:
    """Release the names of a request that has ended."""
    connection.execute(sa.delete(tables.names).where(tables.names.c.request == request))


def taken_names(connection: Connection, environment: str, names: Collection[str]) -> list[tuple[str, str, str, bool]]:
    """Kind, name and team of what open requests will create, among these names; and whether it is certain: the request is approved."""
    c, r = tables.names.c, tables.requests.c
    query = sa.select(c.kind, c.name, c.team, r.state).join_from(tables.names, tables.requests, c.request == r.id)
    rows = connection.execute(query.where(c.environment == environment, c.name.in_(list(names)))).all()
    return [(row.kind, row.name, row.team, row.state in ("approved", "applying")) for row in rows]


def value(connection: Connection, name: str) -> str | None:
    """A single value of the store, by its name."""
    found = connection.execute(sa.select(tables.meta.c.value).where(tables.meta.c.name == name)).scalar()
    return None if found is None else str(found)


def set_value(connection: Connection, name: str, text: str) -> None:
    """Write a single value."""
    c = tables.meta.c
    if connection.execute(sa.update(tables.meta).where(c.name == name).values(value=text)).rowcount == 0:
        connection.execute(sa.insert(tables.meta).values(name=name, value=text))


def _resource(row: Row[Any]) -> Any:
    spec = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(row.spec).items()}
    named = {"name": row.name, "team": row.team, "origin": row.origin, "request": row.request, **spec}
    return lifted(TopicRow(**named)) if row.kind == "topic" else UserRow(**named)


def _grant(row: Row[Any]) -> GrantRow:
    return GrantRow(**{name: getattr(row, name) for name in _GRANT})
