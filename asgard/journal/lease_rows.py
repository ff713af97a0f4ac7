"""The rows of leases and of waiting requests: an attempt to take a lease, its renewal, its release, and the current holders.

Each function is one transaction of the journal, or a part of one; `journal.rules` decides who may take a lease,
`journal.leases` is for the process that holds one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from asgard.core import process
from asgard.core.process import Identity
from asgard.journal.rules import Blocked, Claimant, LeaseState, Timing, Wait, blocked, next_in_line
from asgard.journal.store import tables
from asgard.journal.store.database import Database

_l = tables.leases.c
_w = tables.waits.c


def attempt(
    journal: Database,
    name: str,
    request: Wait,
    timing: Timing,
    *,
    register: bool,
    is_dead: Callable[[Identity], bool] = process.is_dead,
) -> tuple[Blocked | tuple[int, float], Wait]:
    """One attempt: the fence and the end (by the journal's clock), or the holder in the way; and the current request.

    With `register` a request that fails waits in line for `timing.ttl_s` from now.
    """
    with journal.read() as connection:
        now = journal.now(connection)
        state = state_of(connection, name)
        in_the_way = blocked(state, waits_for(connection, name), request, now, is_dead)
    if in_the_way and not register:
        return in_the_way, request  # nothing to write: waiting processes don't disturb working ones
    with journal.write() as connection:
        now = journal.now(connection)
        if register:
            request = _register(connection, name, request, now, timing)
        state = state_of(connection, name)
        in_the_way = blocked(state, waits_for(connection, name), request, now, is_dead)
        if in_the_way:
            return in_the_way, request
        taken = _take(connection, name, state, request.claimant, now, timing)
        if taken is None:  # another process was faster (with a database that lets two read at once)
            now_there = state_of(connection, name)
            holder = now_there.holder if now_there and now_there.holder else request.claimant
            return Blocked(holder, holds=True), request
        connection.execute(sa.delete(tables.waits).where(_w.lease == name, sa.or_(_w.id == request.id, _w.until < now)))
        return taken, request


def _register(connection: Connection, name: str, request: Wait, now: float, timing: Timing) -> Wait:
    me = request.claimant
    me = replace(me, since=me.since or now, until=now + timing.ttl_s)
    again = sa.update(tables.waits).where(_w.id == request.id).values({_w.until: me.until})
    if connection.execute(again).rowcount == 0:
        connection.execute(sa.insert(tables.waits).values(id=request.id, lease=name, **_columns(me)))
    return Wait(request.id, me)


def _take(
    connection: Connection, name: str, state: LeaseState | None, me: Claimant, now: float, timing: Timing
) -> tuple[int, float] | None:
    until = now + timing.ttl_s
    values = {**_columns(replace(me, since=now, until=until)), "takeover_at": until + timing.call_deadline_s}
    if state is None:
        try:
            with connection.begin_nested():
                connection.execute(sa.insert(tables.leases).values(name=name, fence=1, **values))
        except IntegrityError:
            return None
        return 1, until
    # Only the row that was judged: with that fence, and not renewed since.
    same_end = _l.until.is_(None) if state.holder is None else _l.until == state.holder.until
    update = sa.update(tables.leases).where(_l.name == name, _l.fence == state.fence, same_end)
    taken = connection.execute(update.values(fence=state.fence + 1, **values)).rowcount == 1
    return (state.fence + 1, until) if taken else None


def renew(journal: Database, name: str, fence: int, timing: Timing) -> float | None:
    """Extend a held lease; the new end by the journal's clock, or None if it is no longer held with this fence.

    Works even after it expired: as long as no other process took it, none wrote under it.
    """
    with journal.write() as connection:
        until = journal.now(connection) + timing.ttl_s
        update = sa.update(tables.leases).where(*held_with(name, fence))
        values = {_l.until: until, _l.takeover_at: until + timing.call_deadline_s}
        return until if connection.execute(update.values(values)).rowcount == 1 else None


def lock(connection: Connection, name: str, fence: int) -> bool:
    """Whether the lease is held with this fence; if so, that stays true until the transaction ends."""
    # An update that changes nothing locks the row.
    update = sa.update(tables.leases).where(*held_with(name, fence)).values(fence=fence)
    return connection.execute(update).rowcount == 1


def give_back(journal: Database, name: str, fence: int) -> None:
    """Free a held lease; its row and fence stay. Does nothing if it is no longer held with this fence."""
    free = dict.fromkeys((_l.host, _l.boot, _l.pid, _l.started, _l.since, _l.until, _l.takeover_at))
    with journal.write() as connection:
        connection.execute(sa.update(tables.leases).where(*held_with(name, fence)).values(free))


def listed(journal: Database) -> list[LeaseState]:
    """All leases that are held, and those that were, by name."""
    with journal.read() as connection:
        return [_asstate_of(row) for row in connection.execute(sa.select(tables.leases).order_by(_l.name))]


def waiting(journal: Database) -> list[tuple[str, Claimant]]:
    """Lease and request of every waiting process, the first in line first."""
    with journal.read() as connection:
        now = journal.now(connection)
        rows = connection.execute(sa.select(tables.waits).order_by(_w.lease, _w.priority.desc(), _w.since)).all()
    waits = [(row.lease, _as_claimant(row)) for row in rows]
    return [(name, c) for name, c in waits if c.until > now and not process.is_dead(c.who)]


def held_with(name: str, fence: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Selects the row of a lease that is held with this fence."""
    return (_l.name == name, _l.fence == fence, _l.pid.is_not(None))


def wanted_by(journal: Database, name: str, fence: int) -> Claimant | None:
    """Who waits with a higher priority than the holder with this fence."""
    with journal.read() as connection:
        now = journal.now(connection)
        mine = connection.execute(sa.select(_l.priority).where(*held_with(name, fence))).scalar()
        first = next_in_line(waits_for(connection, name), now, process.is_dead)
    return first.claimant if first and mine is not None and first.claimant.priority > mine else None


def state_of(connection: Connection, name: str) -> LeaseState | None:
    """The current lease; None if it was never held."""
    row = connection.execute(sa.select(tables.leases).where(_l.name == name)).one_or_none()
    return None if row is None else _asstate_of(row)


def waits_for(connection: Connection, name: str) -> list[Wait]:
    """Who waits for it, in no order."""
    rows = connection.execute(sa.select(tables.waits).where(_w.lease == name)).all()
    return [Wait(row.id, _as_claimant(row)) for row in rows]


def _asstate_of(row: Row[Any]) -> LeaseState:
    held = row.pid is not None
    return LeaseState(row.name, row.fence, _as_claimant(row) if held else None, row.takeover_at if held else 0.0)


def _as_claimant(row: Row[Any]) -> Claimant:
    who = Identity(row.host, row.boot, row.pid, row.started)
    return Claimant(who, row.actor, row.doing, row.priority, row.since, row.until)


def _columns(c: Claimant) -> dict[str, Any]:
    return {
        "host": c.who.host,
        "boot": c.who.boot,
        "pid": c.who.pid,
        "started": c.who.started,
        "actor": c.actor,
        "doing": c.doing,
        "priority": c.priority,
        "since": c.since,
        "until": c.until,
    }
