"""The queue as rows: which requests are carried out now, what they change, and how to undo it. Each step is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.bifrost.desired import Desired, Granting, Undo, carry_out, undo_json, undo_of
from asgard.bifrost.store import requests as stored
from asgard.bifrost.store import rows, tables
from asgard.bifrost.store.requests import Request, new_id
from asgard.core.database import Database

WORKER = "bifrost"
"""The actor for what the queue does."""
FIRST_PAUSE_S = 30.0


def due(connection: Connection, environment: str, now: float) -> list[Request]:
    """What to carry out: what a dead run left half done, else what is approved."""
    left = stored.find(connection, in_states=["applying"], environment=environment)
    if left:
        return left
    return [
        r for r in stored.find(connection, in_states=["approved"], environment=environment) if (r.retry_at or 0) <= now
    ]


def begin(database: Database, environment: str, owner_of: Callable[[str], str | None]) -> list[Request]:
    """Take what is due: write its changes and their undo into the desired state, and mark it as being applied."""
    with database.write() as connection:
        now = database.now(connection)
        batch = due(connection, environment, now)
        if not batch or batch[0].state == "applying":
            return batch
        desired, changed, taken = rows.load(connection, environment), [], []
        for request in batch:
            how = Granting(
                request.id, request.requester, request.judgement["policy"], now, new_id, _owner(desired, owner_of)
            )
            try:
                undo = carry_out(desired, request.ask, how)
            except KeyError as error:
                moved = stored.move(connection, request, "applying", actor=WORKER, now=now)
                stored.move(
                    connection, moved, "failed", actor=WORKER, now=now, reason=f"{error.args[0]} is gone meanwhile"
                )
                continue
            changed += undo
            taken.append(
                stored.move(
                    connection, request, "applying", actor=WORKER, now=now, attempts=request.attempts + 1,
                    before=undo_json(undo),
                )
            )  # fmt: skip
        rows.save(connection, environment, desired, changed, now)
        mark_dirty(connection, environment)
        return taken


def _owner(desired: Desired, owner_of: Callable[[str], str | None]) -> Callable[[str], str | None]:
    def owner(name: str) -> str | None:
        known = desired.topics.get(name)
        return known.team if known is not None else owner_of(name.removesuffix("*"))

    return owner


def take_back(
    database: Database, environment: str, failed: Collection[tuple[Request, str]], *, retries: int
) -> list[Request]:
    """Undo what these requests changed, each with the reason. They wait for another try, after that many they have failed."""
    with database.write() as connection:
        now = database.now(connection)
        _undo(connection, environment, [request for request, _ in failed], now)
        moved = []
        for request, why in failed:
            if request.attempts <= retries:
                retry_at = now + FIRST_PAUSE_S * 2 ** min(8, request.attempts - 1)
                moved.append(
                    stored.move(connection, request, "approved", actor=WORKER, now=now, reason=why, retry_at=retry_at)
                )
            else:
                moved.append(stored.move(connection, request, "failed", actor=WORKER, now=now, reason=why))
        return moved


def put_off(
    database: Database, environment: str, batch: Collection[Request], why: str, *, pause_s: float
) -> list[Request]:
    """Undo what these requests changed, and try them again after so many seconds. It does not count as a try."""
    with database.write() as connection:
        now = database.now(connection)
        _undo(connection, environment, batch, now)
        return [
            stored.move(
                connection, request, "approved", actor=WORKER, now=now, reason=why, attempts=request.attempts - 1,
                retry_at=now + pause_s,
            )
            for request in batch
        ]  # fmt: skip


def _undo(connection: Connection, environment: str, batch: Collection[Request], now: float) -> None:
    desired = rows.load(connection, environment)
    changed: list[Undo] = []
    for request in sorted(batch, key=lambda r: -r.number):
        undo = undo_of(request.before or "[]")
        desired.undo(undo)
        changed += undo
    rows.save(connection, environment, desired, changed, now)
    mark_dirty(connection, environment)


def finish(database: Database, environment: str, done: Collection[Request]) -> list[Request]:
    """Mark these as being on the cluster: their grants are active, their users' passwords are ready to be handed over."""
    with database.write() as connection:
        now = database.now(connection)
        moved = []
        for request in done:
            moved.append(stored.move(connection, request, "ready", actor=WORKER, now=now, before=None))
            rows.give_names_back(connection, request.id)
            for user in request.ask.users:
                add_credential(connection, environment, user.name, user.name, request.team, now)
            for gone in request.ask.deletions:
                if gone.what == "user":
                    c = tables.credentials.c
                    connection.execute(
                        sa.update(tables.credentials)
                        .where(c.environment == environment, c.user == gone.name)
                        .values(state="gone")
                    )
        g = tables.grants.c
        connection.execute(
            sa.update(tables.grants)
            .where(g.environment == environment, g.state.in_(["wanted", "missing"]))
            .values(state="active", seen_at=now)
        )
        return moved


def add_credential(
    connection: Connection, environment: str, principal: str, user: str, team: str | None, now: float
) -> None:
    """Record that Odin created a password for a principal: it can be handed over, once."""
    c = tables.credentials.c
    values = {"user": user, "team": team, "state": "ready", "made_at": now}
    values |= {"handed_at": None, "handed_to": None, "how": None, "retire_at": None}
    there = connection.execute(
        sa.select(c.state).where(c.environment == environment, c.principal == principal)
    ).scalar()
    if there is None:
        connection.execute(sa.insert(tables.credentials).values(environment=environment, principal=principal, **values))
    elif there == "gone":
        connection.execute(
            sa.update(tables.credentials).where(c.environment == environment, c.principal == principal).values(**values)
        )


def mark_dirty(connection: Connection, environment: str) -> None:
    """Mark that the managed file no longer matches the desired state."""
    rows.set_value(connection, f"dirty:{environment}", new_id("d"))


def dirty(connection: Connection, environment: str) -> str | None:
    """A mark if something changed since the last successful run."""
    return rows.value(connection, f"dirty:{environment}") or None


def clean(database: Database, environment: str, mark: str | None) -> None:
    """Everything that was desired when the mark was read is on the cluster."""
    with database.write() as connection:
        if dirty(connection, environment) == mark:
            rows.set_value(connection, f"dirty:{environment}", "")
