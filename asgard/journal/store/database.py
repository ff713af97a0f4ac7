"""The journal's database: a `core.database` of the journal's tables, at ASGARD_HOME/journal.db or at `ASGARD_JOURNAL`.

Commits made before a change to a cluster survive a power cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from asgard.core.database import BUSY_TIMEOUT_S, Database, Schema, insert, open_database
from asgard.journal.store import tables

__all__ = ["Database", "insert", "open_journal"]

SCHEMA = Schema(
    noun="journal",
    metadata=tables.metadata,
    meta=tables.meta,
    version=tables.SCHEMA_VERSION,
    variable="ASGARD_JOURNAL",
    file="journal.db",
    lost="events, claims and open operations",
)


def open_journal(
    url: str | None = None, *, clock: Callable[[], float] = time.time, busy_timeout_s: float = BUSY_TIMEOUT_S
) -> Database:
    """Open the journal, creating it if it does not exist; errors are those of `open_database`."""
    return open_database(SCHEMA, url, clock=clock, busy_timeout_s=busy_timeout_s)
