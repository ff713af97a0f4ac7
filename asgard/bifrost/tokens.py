"""API tokens: who may log in without a password of their own. A token acts as its person, within its scope, until it ends.

The store keeps a SHA-256 hash. The secret has 256 random bits, so a slow hash would protect nothing more.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import sqlalchemy as sa

from asgard.bifrost.authorise import Action, What
from asgard.bifrost.gate import Bifrost, NotFound, demand
from asgard.bifrost.store import tables
from asgard.bifrost.store.requests import new_id
from asgard.bifrost.teams import Actor
from asgard.core.errors import WrongUsage

Scope = Literal["read", "request", "full"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
LONGEST_S = 366 * 86400.0
_REQUEST: frozenset[Action] = frozenset({"request.create", "request.cancel", "request.retry"})
_USED_EVERY_S = 60.0
_t = tables.tokens.c


@dataclass(frozen=True)
class Token:
    """A token without its secret. Times are seconds since 1970."""

    id: str
    person: str
    scope: Scope
    about: str | None
    made_by: str
    made_at: float
    expires_at: float
    used_at: float | None = None
    revoked_at: float | None = None

    def works(self, now: float) -> bool:
        """Whether it is still valid."""
        return self.revoked_at is None and now < self.expires_at


_FIELDS = tuple(f.name for f in fields(Token))


def permits(scope: Scope, action: Action) -> bool:
    """Whether a token of that scope is enough for an action: `read` looks, `request` also asks, `full` is the person. Pure."""
    if scope == "full":
        return True
    if action.startswith("token."):
        return False
    return action.endswith(".view") or (scope == "request" and action in _REQUEST)


def make(
    gate: Bifrost, who: Actor, *, scope: Scope, lasts_s: float, about: str | None = None, person: str | None = None
) -> tuple[Token, str]:
    """A new token and its secret, which is stored nowhere. `person`: for somebody else; only the owner of the store may use it."""
    if person is None:
        demand(who, "token.create", What(requester=who.name), "tokens")
    elif not gate.directory.actor(person).known:
        raise WrongUsage(f"{person} is not in {gate.directory.file.name}")
    if not 0 < lasts_s <= LONGEST_S:
        raise WrongUsage("a token lasts for at most 366d", "Say it with --for, as in --for 30d.")
    token_id, secret = new_id("k"), secrets.token_urlsafe(32)
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        token = Token(token_id, person or who.name, scope, about, who.name, now, now + lasts_s)
        values = {name: getattr(token, name) for name in _FIELDS}
        connection.execute(sa.insert(tables.tokens).values(**values, hash=_hash(secret)))
    return token, f"asgard.{token_id}.{secret}"


def of_secret(gate: Bifrost, text: str) -> Token | None:
    """The token that a secret belongs to, if it is valid; it is then marked as used."""
    parts = text.strip().split(".")
    known = parts[1] if len(parts) == 3 and parts[0] == "asgard" else ""
    with gate.store.read() as connection:
        now = gate.store.now(connection)
        row = connection.execute(sa.select(tables.tokens).where(_t.id == known)).one_or_none()
    # Always compared, so that response times do not reveal which ids exist.
    right = hmac.compare_digest(_hash(parts[-1]), row.hash if row is not None else _hash(""))
    if row is None or not right or not _of(row).works(now):
        return None
    if row.used_at is None or now - row.used_at > _USED_EVERY_S:
        with gate.store.write() as connection:
            connection.execute(sa.update(tables.tokens).where(_t.id == known).values(used_at=now))
    return _of(row)


def of_id(gate: Bifrost, token_id: str) -> Token | None:
    """A token by its id, if it is valid."""
    with gate.store.read() as connection:
        row = connection.execute(sa.select(tables.tokens).where(_t.id == token_id)).one_or_none()
        return None if row is None or not _of(row).works(gate.store.now(connection)) else _of(row)


def listed(gate: Bifrost, who: Actor) -> list[Token]:
    """The tokens that a person may see: their own; data engineers and auditors all."""
    query = sa.select(tables.tokens).order_by(_t.made_at)
    if not (who.data_engineer or who.auditor):
        query = query.where(_t.person == who.name)
    with gate.store.read() as connection:
        return [_of(row) for row in connection.execute(query).all()]


def find(gate: Bifrost, token_id: str) -> Token:
    """A token by its id, whatever its state. Raises NotFound."""
    with gate.store.read() as connection:
        row = connection.execute(sa.select(tables.tokens).where(_t.id == token_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no token {token_id}")
    return _of(row)


def revoke(gate: Bifrost, who: Actor, token_id: str) -> Token:
    """Revoke a token now, with every session that it started."""
    token = find(gate, token_id)
    demand(who, "token.revoke", What(requester=token.person), f"token {token_id}")
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        connection.execute(
            sa.update(tables.tokens)
            .where(_t.id == token_id, _t.revoked_at.is_(None))
            .values(revoked_at=now, revoked_by=who.name)
        )
    return find(gate, token_id)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _of(row: Any) -> Token:
    return Token(**{name: getattr(row, name) for name in _FIELDS})
