"""Which passwords were handed over, to whom and when: never the passwords. Each is handed over once, or is visibly lost.

    ready -> opening -> handed        opening is written before a password is read, handed after it was shown or written

A run that dies in between leaves `opening`: the password may have been seen, so it is not shown again; `bifrost rotate` creates a new one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.bifrost.store import tables

_c = tables.credentials.c


@dataclass(frozen=True)
class Credential:
    """A principal's password, without the secret itself: its state and whom it was handed to."""

    principal: str
    user: str
    team: str | None
    state: str
    made_at: float
    handed_at: float | None = None
    handed_to: str | None = None
    how: str | None = None
    retire_at: float | None = None


_FIELDS = tuple(f.name for f in fields(Credential))


def of_user(connection: Connection, environment: str, user: str) -> list[Credential]:
    """Credentials of a user's principals, the newest last; without those that are gone."""
    query = sa.select(tables.credentials).where(_c.environment == environment, _c.user == user, _c.state != "gone")
    return [_of(row) for row in connection.execute(query.order_by(_c.made_at)).all()]


def of_principals(connection: Connection, environment: str, principals: Collection[str]) -> list[Credential]:
    """Credentials of these principals; without those that are gone."""
    query = sa.select(tables.credentials).where(
        _c.environment == environment, _c.state != "gone", _c.principal.in_(list(principals))
    )
    return [_of(row) for row in connection.execute(query).all()]


def retiring(connection: Connection, environment: str, now: float) -> list[Credential]:
    """Credentials whose time after a rotation is over."""
    query = sa.select(tables.credentials).where(
        _c.environment == environment, _c.state != "gone", _c.retire_at.is_not(None), _c.retire_at <= now
    )
    return [_of(row) for row in connection.execute(query).all()]


def move(connection: Connection, environment: str, principal: str, before: str, after: str, **values: Any) -> bool:
    """Move a credential to another state, if it is still in the one that the caller saw."""
    done = connection.execute(
        sa.update(tables.credentials)
        .where(_c.environment == environment, _c.principal == principal, _c.state == before)
        .values(state=after, **values)
    )
    return bool(done.rowcount == 1)


def retire(connection: Connection, environment: str, principals: list[str], at: float) -> None:
    """Retire these at a given time."""
    connection.execute(
        sa.update(tables.credentials)
        .where(_c.environment == environment, _c.principal.in_(principals), _c.retire_at.is_(None))
        .values(retire_at=at)
    )


def _of(row: Any) -> Credential:
    return Credential(**{name: getattr(row, name) for name in _FIELDS})
