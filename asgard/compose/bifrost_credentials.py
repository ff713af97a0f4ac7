"""Credentials of a team's users: handed over once, rotated with an overlap, tested by using them.

Odin creates the passwords and keeps them encrypted in the stack's state; Bifrost reads one at the moment of the hand-over and stores
nothing. A rotation creates a second Kafka user beside the first (`orders.api` and `orders.api-2`) with the same permissions: SCRAM has
one password per user and mechanism, so only this overlap works on every cluster. The old user is deleted when its time is over.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import sqlalchemy as sa

from asgard.bifrost.authorise import Action, What
from asgard.bifrost.desired import Desired, UserRow
from asgard.bifrost.gate import Bifrost, NotFound, demand
from asgard.bifrost.store import credentials, queue, rows
from asgard.bifrost.store.credentials import Credential
from asgard.bifrost.teams import Actor, Environment
from asgard.compose import bifrost_stack
from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.connection import Connection

How = Literal["shown", "file", "sealed"]


@dataclass(frozen=True)
class Secret:
    """A principal's credentials at the moment of their hand-over. Never print this unless explicitly requested."""

    principal: str
    connection: Connection

    def __repr__(self) -> str:
        return f"Secret({self.principal})"


def user_of(gate: Bifrost, who: Actor, environment: Environment, user: str, action: Action) -> UserRow:
    """A team's user, for those allowed to do this with it; for others it does not exist."""
    with gate.store.read() as connection:
        found = rows.users(connection, environment.name, names=[user])
    row = found[0][1] if found else None
    demand(who, action, What(row.team if row else "\0"), f"user {user}")
    if row is None:
        raise NotFound(f"there is no user {user}")
    return row


def listed(gate: Bifrost, who: Actor, environment: str | None, user: str) -> list[Credential]:
    """What is known about a user's credentials."""
    where = gate.environment(environment)
    user_of(gate, who, where, user, "grant.view")
    with gate.store.read() as connection:
        return credentials.of_user(connection, where.name, user)


@contextlib.contextmanager
def handing_over(gate: Bifrost, who: Actor, environment: str | None, user: str, how: How) -> Iterator[Secret]:
    """The newest credentials of a user, once. They count as handed over when the block ends.

    Raises Refused if they were already handed over, or if that was interrupted and someone may have seen them.
    """
    where = gate.environment(environment)
    row = user_of(gate, who, where, user, "credentials.take")
    if row.origin != "bifrost":
        raise Refused(f"{user} is in the stack file itself", "`asgard odin outputs --user` writes its credentials.")
    with gate.store.read() as connection:
        known = credentials.of_user(connection, where.name, user)
    if not known:
        raise WrongUsage(f"{user} has no credentials yet", "Its request has to be ready first: asgard bifrost requests")
    newest = known[-1]
    if newest.state != "ready":
        raise _handed(newest)
    # Read before marking: if there is nothing to read yet, nothing is lost.
    secret = Secret(newest.principal, connection_as(where, newest.principal))
    with gate.store.write() as connection:
        values = {"handed_to": who.name, "handed_at": gate.store.now(connection), "how": how}
        if not credentials.move(connection, where.name, newest.principal, "ready", "opening", **values):
            raise _handed(credentials.of_user(connection, where.name, user)[-1])
    yield secret
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        credentials.move(connection, where.name, newest.principal, "opening", "handed", handed_at=now)


def _handed(known: Credential) -> Refused:
    hint = f"If they are lost, `asgard bifrost rotate {known.user}` makes new ones."
    if known.state == "opening":
        return Refused(
            f"handing {known.principal} over to {known.handed_to} was interrupted: they may have been seen", hint
        )
    return Refused(f"the credentials of {known.principal} were already handed over to {known.handed_to}", hint)


def connection_as(where: Environment, principal: str) -> Connection:
    """The cluster as one of the stack's users sees it."""
    from asgard.odin.lifecycle import session
    from asgard.odin.lifecycle.credentials import client_properties

    spec = bifrost_stack.stack_spec(where)
    with session.reading(spec.name, spec) as opened:
        state = opened.store.load()
        cluster = opened.connection(state)
    if cluster is None:
        raise WrongUsage(f"stack {spec.name} has no cluster yet", f"asgard odin up -f {where.stack}")
    return Connection(cluster.bootstrap_servers, client_properties(spec.name, state, principal, cluster))


@dataclass(frozen=True)
class Rotated:
    """A rotation: the new principal, the old ones, and until when those remain valid (seconds since 1970)."""

    user: str
    principal: str
    old: tuple[str, ...]
    until: float


def rotate(gate: Bifrost, who: Actor, environment: str | None, user: str, *, overlap_s: float | None = None) -> Rotated:
    """New credentials beside the old ones, which stay valid for the overlap. `run_queue` applies it.

    Repeating it before the new ones were handed over is the same rotation.
    """
    where = gate.environment(environment)
    row = user_of(gate, who, where, user, "credentials.rotate")
    if row.origin != "bifrost":
        raise Refused(f"{user} is in the stack file itself", "A data engineer renames it there.")
    bifrost_stack.sync(gate, where)  # its users have names, too
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        until = now + (gate.directory.overlap_s if overlap_s is None else overlap_s)
        desired = rows.load(connection, where.name)
        row = desired.users[user]
        known = {c.principal: c for c in credentials.of_user(connection, where.name, user)}
        newest = known.get(row.principals[-1])
        if newest is not None and newest.state == "ready" and len(row.principals) > 1:
            retire_at = max((c.retire_at or now for c in known.values()), default=until)
            return Rotated(user, newest.principal, row.principals[:-1], retire_at)
        new = _next(connection, where.name, desired, row)
        changed = [desired.put("user", user, replace(row, principals=(*row.principals, new)))]
        rows.save(connection, where.name, desired, changed, now)
        queue.add_credential(connection, where.name, new, user, row.team, now)
        credentials.retire(connection, where.name, list(row.principals), until)
        queue.mark_dirty(connection, where.name)
    return Rotated(user, new, row.principals, until)


def _next(connection: sa.engine.Connection, environment: str, desired: Desired, row: UserRow) -> str:
    """The next name for a Kafka user of this user: one that no other user has, or will have."""
    numbers = [int(m[1]) for p in row.principals if (m := re.fullmatch(re.escape(row.name) + r"-([0-9]+)", p))]
    taken = {*desired.users, *(principal for user in desired.users.values() for principal in user.principals)}

    def asked_for(name: str) -> bool:
        return any(kind == "user" for kind, *_ in rows.taken_names(connection, environment, [name]))

    names = (f"{row.name}-{number}" for number in itertools.count(max(numbers, default=1) + 1))
    return next(name for name in names if name not in taken and not asked_for(name))


def end_overlaps(gate: Bifrost, environment: Environment) -> list[str]:
    """Retire the old principals whose overlap is over; `run_queue` deletes them."""
    with gate.store.write() as connection:
        now = gate.store.now(connection)
        over = credentials.retiring(connection, environment.name, now)
        if not over:
            return []
        desired = rows.load(connection, environment.name)
        changed = []
        for old in over:
            row = desired.users.get(old.user)
            if row is not None:
                left = tuple(p for p in row.principals if p != old.principal)
                changed.append(desired.put("user", old.user, replace(row, principals=left)))
            credentials.move(connection, environment.name, old.principal, old.state, "gone")
        rows.save(connection, environment.name, desired, changed, now)
        queue.mark_dirty(connection, environment.name)
        return [old.principal for old in over]
