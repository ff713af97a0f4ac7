"""Operations: temporary settings and their earlier values, so that any other command can put them back.

The order that survives a crash at any point:

1. read the current value;
2. `begin` with that value in `undo` (on disk when it returns);
3. change the cluster;
4. put the old value back;
5. `finish`.

After a crash between 2 and 5 the operation is open and its lease dead. The next command that changes things calls
`settle`, which takes that lease (its holder can't come back) and calls the handler of the operation's kind. A handler
may find the value not yet changed, or already put back: it must be safe to repeat, and leave any other value alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Row

from asgard.core import process
from asgard.core.errors import AsgardError, Busy
from asgard.journal.errors import LeaseLost
from asgard.journal.leases import TIMING, Held, Lease, Priority, Timing, hold, listed, whoami
from asgard.journal.secrets import blot, to_json
from asgard.journal.store import tables
from asgard.journal.store.database import Database, insert

_o = tables.operations.c
KEPT = "asgard.kept-"
"""Operations whose kind begins like this stay set after their command has ended: their handler raises Busy until it is
time."""


@dataclass(frozen=True)
class Operation:
    """A temporary setting under a lease. `undo` is what its kind's handler needs to put things back."""

    id: int
    kind: str
    subject: str
    undo: dict[str, Any]
    lease: str
    fence: int
    actor: str
    began_at: float
    ended_at: float | None = None
    outcome: str | None = None

    @property
    def kept(self) -> bool:
        """Whether it stays on purpose after its command has ended, until it is time."""
        return self.kind.startswith(KEPT)


@dataclass(frozen=True)
class Unfinished:
    """An unfinished operation; `unheld`: the process that began it no longer holds its lease."""

    operation: Operation
    unheld: bool

    @property
    def abandoned(self) -> bool:
        """Whether an interrupted run left it; what is kept on purpose is not abandoned."""
        return self.unheld and not self.operation.kept


@dataclass(frozen=True)
class Settled:
    """The result for an operation: `outcome` says what was done, or why it is still open; `waits`: it is not yet
    time."""

    operation: Operation
    done: bool
    outcome: str
    waits: bool = False


Handler = Callable[[Operation, Lease], str]
"""Puts back what an operation set, under the lease, and returns a sentence on what it did. Raises AsgardError to retry
later."""


def begin(journal: Database, kind: str, subject: str, undo: Mapping[str, object], lease: Held) -> Operation:
    """Record what is about to be set. Raises LeaseLost; ValueError if `undo` names a secret."""
    text = to_json(undo)
    with lease.guard() as connection:
        began = Operation(
            0, kind, blot(subject), json.loads(text), lease.name, lease.fence, whoami(), journal.now(connection)
        )
        values = {c.name: getattr(began, c.name) for c in tables.operations.c if c.name not in ("id", "undo")}
        return replace(began, id=insert(connection, tables.operations, **values, undo=text))


def amend(journal: Database, operation: Operation, undo: Mapping[str, object], lease: Held) -> None:
    """Replace what an open operation would put back: for example, moves now in flight. Raises LeaseLost."""
    text = to_json(undo)
    with lease.guard() as connection:
        still_open = sa.update(tables.operations).where(_o.id == operation.id, _o.ended_at.is_(None))
        connection.execute(still_open.values(undo=text))


def finish(journal: Database, operation: Operation, lease: Held, outcome: str = "put back as it was") -> None:
    """Close an operation: nothing of it is left in the cluster. Raises LeaseLost if another process is settling it."""
    with lease.guard() as connection:
        still_open = sa.update(tables.operations).where(_o.id == operation.id, _o.ended_at.is_(None))
        connection.execute(still_open.values(ended_at=journal.now(connection), outcome=blot(outcome)))


def history(journal: Database, *, last: int = 100) -> list[Operation]:
    """The newest operations, finished ones too, oldest first."""
    with journal.read() as connection:
        rows = connection.execute(sa.select(tables.operations).order_by(_o.id.desc()).limit(last)).all()
    return [_operation(row) for row in reversed(rows)]


def unfinished(journal: Database, *, under: str = "") -> list[Unfinished]:
    """Open operations whose lease's name begins with `under` (as in `cluster/<id>/`), in the order they were begun."""
    query = sa.select(tables.operations).where(_o.ended_at.is_(None)).order_by(_o.id)
    if under:
        query = query.where(_o.lease.startswith(under, autoescape=True))
    with journal.read() as connection:
        now = journal.now(connection)
        operations = [_operation(row) for row in connection.execute(query).all()]
    if not operations:
        return []
    held = {s.name: s.fence for s in listed(journal) if not s.is_free(now, process.is_dead)}
    return [Unfinished(o, unheld=held.get(o.lease) != o.fence) for o in operations]


def settle(
    journal: Database,
    handlers: Mapping[str, Handler],
    *,
    under: str,
    held: Collection[Lease] = (),
    priority: Priority = Priority.CHANGE,
    timing: Timing = TIMING,
) -> list[Settled]:
    """Put back what abandoned operations left, and what was kept until now, the newest first, and report the result of each.

    `handlers` by kind; an operation stays open if its kind has none, if its handler fails, or if another process got
    its lease meanwhile. `held` are the leases that the caller has already; others are taken only while needed.
    """
    results = []
    for entry in reversed(unfinished(journal, under=under)):
        if not entry.unheld:
            continue
        operation = entry.operation
        handler = handlers.get(operation.kind)
        if handler is None:
            results.append(Settled(operation, False, f"this version can't put {operation.kind} back"))
            continue
        try:
            with _lease_of(journal, operation, held, priority, timing) as lease:
                outcome = handler(operation, lease)
                finish(journal, operation, lease, outcome)
        except LeaseLost:
            raise
        except AsgardError as error:
            results.append(Settled(operation, False, error.what, waits=isinstance(error, Busy)))
        else:
            results.append(Settled(operation, True, outcome))
    return results


@dataclass(frozen=True)
class Leftovers:
    """How a command handles leftovers of dead runs: one that changes things settles them, one that reads reports them.

    `handlers` by kind of operation. `settled` gets the result of each, `found` those that are left as they are.
    """

    handlers: Mapping[str, Handler]
    settled: Callable[[Settled], None]
    found: Callable[[Sequence[Operation]], None]

    def settle(self, journal: Database, *, under: Iterable[str], held: Collection[Lease]) -> None:
        """Settle operations under leases with these prefixes; `held` are the leases that the caller has."""
        for prefix in under:
            for done in settle(journal, self.handlers, under=prefix, held=held):
                self.settled(done)

    def report(self, journal: Database, *, under: Iterable[str]) -> None:
        """Report what exists, if anything; nothing is changed."""
        left = [entry.operation for prefix in under for entry in unfinished(journal, under=prefix) if entry.abandoned]
        if left:
            self.found(left)


@contextmanager
def _lease_of(
    journal: Database, operation: Operation, held: Collection[Lease], priority: Priority, timing: Timing
) -> Iterator[Lease]:
    ours = next((lease for lease in held if lease.name == operation.lease), None)
    if ours is not None:
        yield ours
        return
    doing = f"settling operation {operation.id} ({operation.kind})"
    with hold(journal, operation.lease, priority=priority, doing=doing, timing=timing) as lease:
        yield lease


def _operation(row: Row[Any]) -> Operation:
    return Operation(
        row.id,
        row.kind,
        row.subject,
        json.loads(row.undo),
        row.lease,
        row.fence,
        row.actor,
        row.began_at,
        row.ended_at,
        row.outcome,
    )
