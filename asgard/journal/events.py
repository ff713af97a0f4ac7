"""Events: what happened, for people and for the other services, which act on them.

A kind is `service.noun.verb` with the verb in the past tense: an event says what happened, never what to do.
Times are seconds since 1970 (UTC). Ids increase with time and are never reused.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from asgard.journal.leases import whoami
from asgard.journal.secrets import blot, to_json
from asgard.journal.store import tables
from asgard.journal.store.database import Database, insert

KEEP_S = 400 * 86400.0
SERVICES = ("odin", "loki", "thor", "heimdall", "bifrost")
_IRREGULAR = frozenset({"begun", "found", "held", "kept", "lost", "made", "put", "sent", "set", "taken", "written"})
_KIND = re.compile(r"([a-z]+)\.[a-z][a-z0-9-]*\.([a-z]+)")

_e = tables.events.c


@dataclass(frozen=True)
class Event:
    """One thing that happened. `correlation` links the events of one piece of work."""

    id: int
    at: float
    service: str
    kind: str
    subject: str
    actor: str
    correlation: str | None
    data: dict[str, Any]


@dataclass(frozen=True)
class EventFilter:
    """Which events: `kind` is exact, or a prefix with a star (`odin.*`); `since` is included, `until` is not."""

    kind: str | None = None
    subject: str | None = None
    correlation: str | None = None
    since: float | None = None
    until: float | None = None
    after_id: int = 0


def record(
    journal: Database,
    kind: str,
    subject: str,
    data: Mapping[str, object] | None = None,
    *,
    actor: str | None = None,
    correlation: str | None = None,
    connection: Connection | None = None,
) -> Event:
    """Record an event, in the caller's write transaction if `connection` is given (as in a lease's guard).

    Raises ValueError for a kind that is not `service.noun.verb`, and for data that names a secret.
    """
    if connection is None:
        with journal.write() as own:
            return record(journal, kind, subject, data, actor=actor, correlation=correlation, connection=own)
    event = Event(
        id=0,
        at=journal.now(connection),
        service=service_of(kind),
        kind=kind,
        subject=blot(subject),
        actor=actor or whoami(),
        correlation=correlation,
        data=json.loads(to_json(data or {})),
    )
    values = {c.name: getattr(event, c.name) for c in tables.events.c if c.name not in ("id", "data")}
    return replace(event, id=insert(connection, tables.events, **values, data=to_json(event.data)))


def service_of(kind: str) -> str:
    """The service that a kind belongs to. Raises ValueError if it is not a kind of event."""
    match = _KIND.fullmatch(kind)
    if not match or match[1] not in SERVICES:
        raise ValueError(f"{kind!r} is not a kind of event: write service.noun.verb with one of {', '.join(SERVICES)}")
    if not match[2].endswith("ed") and match[2] not in _IRREGULAR:
        raise ValueError(f"{kind!r}: the verb of an event is in the past tense (provisioned, started, lost)")
    return match[1]


def read(journal: Database, wanted: EventFilter = EventFilter(), *, last: int | None = None) -> list[Event]:
    """The events that match, oldest first; with `last`, only that many of the newest."""
    query = _query(wanted)
    with journal.read() as connection:
        if last is not None:
            rows = connection.execute(query.order_by(_e.id.desc()).limit(last)).all()[::-1]
        else:
            rows = list(connection.execute(query.order_by(_e.id)).all())
    return [_event(row) for row in rows]


def newest(journal: Database, wanted: EventFilter = EventFilter()) -> list[Event]:
    """Of the events that match, the newest of each subject, oldest first."""
    found = _query(wanted).subquery().c
    ids = sa.select(sa.func.max(found.id)).group_by(found.subject)
    with journal.read() as connection:
        rows = connection.execute(sa.select(tables.events).where(_e.id.in_(ids)).order_by(_e.id)).all()
    return [_event(row) for row in rows]


def follow(
    journal: Database,
    wanted: EventFilter = EventFilter(),
    *,
    seen: Sequence[Event] = (),
    poll_s: float = 0.5,
    stop: threading.Event | None = None,
) -> Iterator[Event]:
    """First `seen`, then each newer event that matches as it comes, until `stop` is set; without `seen`, all that match."""
    stop = stop or threading.Event()
    batch = list(seen) or read(journal, wanted)
    while True:
        for event in batch:
            wanted = replace(wanted, after_id=event.id)
            yield event
        if stop.wait(poll_s):
            return
        batch = read(journal, wanted)


def prune(journal: Database, older_than_s: float = KEEP_S) -> int:
    """Delete older events, and operations finished before then; how many of both."""
    with journal.write() as connection:
        before = journal.now(connection) - older_than_s
        gone = connection.execute(sa.delete(tables.events).where(_e.at < before)).rowcount
        finished = tables.operations.c.ended_at < before
        return gone + connection.execute(sa.delete(tables.operations).where(finished)).rowcount


def _query(wanted: EventFilter) -> sa.Select[Any]:
    query = sa.select(tables.events).where(_e.id > wanted.after_id)
    if wanted.kind:
        beginning, star, _ = wanted.kind.partition("*")
        query = query.where(_e.kind.startswith(beginning, autoescape=True) if star else _e.kind == wanted.kind)
    if wanted.subject:
        query = query.where(_e.subject == wanted.subject)
    if wanted.correlation:
        query = query.where(_e.correlation == wanted.correlation)
    if wanted.since is not None:
        query = query.where(_e.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(_e.at < wanted.until)
    return query


def _event(row: Row[Any]) -> Event:
    return Event(row.id, row.at, row.service, row.kind, row.subject, row.actor, row.correlation, json.loads(row.data))
