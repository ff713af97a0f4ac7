"""Sends waiting rows of a table: in parallel by receiver, each in order, so that none blocks another.

A table of notices has at least the columns `id`, `state` (waiting, sent, failed), `attempts`, `next_at`, `error` and
`created_at`. A receiver gets its notices in the order of their ids: a later one (an alert is cleared) may only make sense
after an earlier one (it is raised). A notice that a killed process was just sending is sent again: delivery is at least
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from asgard.core.database import Database
from asgard.core.errors import AsgardError
from asgard.core.post import BadMessage

TRIES = 30
OLD_S = 86400.0
"""A notice that is older than this is given up when it fails: a receiver that is gone must not gather notices for ever."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 30.0, 600.0
"""Each further pause is twice as long, up to the longest: later notices wait for it, and a new alert must not wait for hours."""
MOST = 100
"""Rows of a receiver per round."""


@dataclass(frozen=True)
class NotSent:
    """Why a notice was not sent. `for_good`: it would never be, so it is not tried again, and the next one gets its turn."""

    why: str
    for_good: bool = False


def not_sent(why: str, error: Exception) -> NotSent:
    """`why` in the words of the caller, and from the error whether trying again may help.

    It would not if the receiver refuses this message, or if the message can't be made (any error but Asgard's and the system's).
    """
    return NotSent(why, for_good=isinstance(error, BadMessage) or not isinstance(error, (AsgardError, OSError)))


def deliver(
    database: Database,
    table: sa.Table,
    *,
    receiver: Sequence[sa.Column[Any]],
    send: Callable[[Any], NotSent | None],
    only: sa.ColumnElement[bool] = sa.true(),
) -> dict[str, int]:
    """Send what is due; the numbers `sent`, waiting for `later`, and `failed` for good. Never raises because of a receiver.

    `receiver` are the columns that name one. If its oldest waiting row fails or is not due yet, its other rows wait too.
    """
    queues = _due(database, table, receiver, only)
    counts = {"sent": 0, "later": 0, "failed": 0}
    if not queues:
        return counts

    def serve(rows: Sequence[Any]) -> list[tuple[Any, NotSent | None]]:
        told: list[tuple[Any, NotSent | None]] = []
        for row in rows:
            wrong = send(row)
            told.append((row, wrong))
            if wrong and not wrong.for_good:
                break
        return told

    with ThreadPoolExecutor(min(8, len(queues)), "notices") as pool:
        for told in pool.map(serve, queues):
            for row, wrong in told:
                counts[_settle(database, table, row, wrong)] += 1
    return counts


def _due(
    database: Database, table: sa.Table, receiver: Sequence[sa.Column[Any]], only: sa.ColumnElement[bool]
) -> list[Sequence[Any]]:
    """The waiting rows of each receiver whose oldest one is due, in order."""
    c = table.c
    waiting = sa.and_(c.state == "waiting", only)
    oldest = sa.select(sa.func.min(c.id)).where(waiting).group_by(*receiver)
    with database.read() as connection:
        due = sa.select(*receiver).where(c.id.in_(oldest), c.next_at <= database.now(connection)).order_by(c.id)
        queues = []
        for names in connection.execute(due).all():
            same = [column == name for column, name in zip(receiver, names, strict=True)]
            query = sa.select(table).where(waiting, *same).order_by(c.id).limit(MOST)
            queues.append(connection.execute(query).all())
        return queues


def _settle(database: Database, table: sa.Table, row: Any, wrong: NotSent | None) -> str:
    attempts = row.attempts + 1
    with database.write() as connection:
        values: dict[str, Any] = {"state": "sent", "error": None}
        if wrong is not None:
            now = database.now(connection)
            given_up = wrong.for_good or attempts >= TRIES or now - row.created_at > OLD_S
            pause = min(FIRST_PAUSE_S * 2**row.attempts, LONGEST_PAUSE_S)
            values = {"state": "failed" if given_up else "waiting", "error": wrong.why, "next_at": now + pause}
        connection.execute(sa.update(table).where(table.c.id == row.id).values(attempts=attempts, **values))
    return "sent" if wrong is None else "failed" if values["state"] == "failed" else "later"
