"""A lease of one process under which another one writes: work for a command need not run in its own process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.journal.errors import TAKEN, lease_lost
from asgard.journal.lease_rows import held_with, lock, renew, wanted_by
from asgard.journal.rules import TIMING, Claimant, Timing
from asgard.journal.store import tables
from asgard.journal.store.database import Database


class Borrowed:
    """A lease held by another process, on whose behalf this one writes: each time, the journal is asked whether it is still held.

    If the holder has died and the lease is not taken, the work may be finished; this ends as soon as another process
    takes it.
    """

    def __init__(self, journal: Database, name: str, fence: int, timing: Timing = TIMING) -> None:
        self.name = name
        self.fence = fence
        self._journal = journal
        self._timing = timing

    @property
    def wanted_by(self) -> Claimant | None:
        """Like `journal.leases.Held`."""
        return wanted_by(self._journal, self.name, self.fence)

    def check(self, call_deadline_s: float) -> None:
        """Like `journal.leases.Held`; renews it if that helps."""
        with self._journal.read() as connection:
            now = self._journal.now(connection)
            until = connection.execute(
                sa.select(tables.leases.c.until).where(*held_with(self.name, self.fence))
            ).scalar()
        if until is not None and until - now <= call_deadline_s:
            until = renew(self._journal, self.name, self.fence, self._timing)
        if until is None or until - now <= call_deadline_s:
            raise lease_lost(self.name, TAKEN)

    @contextmanager
    def guard(self) -> Iterator[Connection]:
        """Like `journal.leases.Held`."""
        with self._journal.write() as connection:
            if not lock(connection, self.name, self.fence):
                raise lease_lost(self.name, TAKEN)
            yield connection
