"""Sends waiting rows of a table: in parallel by receiver, each retried separately, so that none blocks another.

A table of notices has at least the columns `id`, `state` (waiting, sent, failed), `attempts`, `next_at`, `error` and
`created_at`. A notice that a killed process was just sending is sent again: delivery is at least once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa

from asgard.core.database import Database

TRIES = 10
FIRST_PAUSE_S = 30.0
"""Each further pause is twice as long: the last one is two hours."""
MOST = 500
"""Rows per round."""


def deliver(
    database: Database,
    table: sa.Table,
    *,
    receiver: Callable[[Any], Hashable],
    send: Callable[[Any], str | None],
    only: sa.ColumnElement[bool] | None = None,
) -> dict[str, int]:
    """Send what is due; the numbers `sent`, waiting for `later`, and `failed` for good. Never raises because of a receiver.

    `send` returns None, or why it failed. After a failure, the receiver's other rows are skipped in this round.
    """
    c = table.c
    with database.read() as connection:
        now = database.now(connection)
        query = sa.select(table).where(c.state == "waiting", c.next_at <= now)
        query = query.where(only) if only is not None else query
        due = connection.execute(query.order_by(c.id).limit(MOST)).all()
    by_receiver: dict[Hashable, list[Any]] = {}
    for row in due:
        by_receiver.setdefault(receiver(row), []).append(row)
    counts = {"sent": 0, "later": 0, "failed": 0}
    if not by_receiver:
        return counts

    def serve(rows: list[Any]) -> list[tuple[Any, str | None]]:
        told: list[tuple[Any, str | None]] = []
        for row in rows:
            wrong = send(row)
            told.append((row, wrong))
            if wrong:
                break
        return told

    with ThreadPoolExecutor(min(8, len(by_receiver)), "notices") as pool:
        for told in pool.map(serve, by_receiver.values()):
            for row, wrong in told:
                counts[_settle(database, table, row, wrong)] += 1
    return counts


def _settle(database: Database, table: sa.Table, row: Any, wrong: str | None) -> str:
    attempts = row.attempts + 1
    with database.write() as connection:
        values: dict[str, Any] = {"state": "sent", "error": None}
        if wrong is not None:
            pause = FIRST_PAUSE_S * 2**row.attempts
            state = "failed" if attempts >= TRIES else "waiting"
            values = {"state": state, "error": wrong, "next_at": database.now(connection) + pause}
        connection.execute(sa.update(table).where(table.c.id == row.id).values(attempts=attempts, **values))
    return "sent" if wrong is None else "failed" if values["state"] == "failed" else "later"
