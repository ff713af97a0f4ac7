"""Operations: what was set for a while, and its value before, so that any other command can put it back.

The order that survives a crash at any point:

1. read the value that is there;
2. `begin` with that value in `undo` (on disk when it returns);
3. change the cluster;
4. put the old value back;
5. `finish`.

After a crash between 2 and 5 the operation is open and its lease dead. Whoever changes things next calls `settle`, which
takes that lease (its holder can't come back) and calls the handler of the operation's kind. A handler may find the value
not yet changed, or already put back: it must do the same thing twice without harm, and leave a value alone that is neither.
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
"""Kinds that begin so stay set after their command has ended: their handler raises Busy until it is time."""


@dataclass(frozen=True)
class Operation:
    """Something set for a while under a lease. `undo` is what its kind's handler needs to put things back."""

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
    """An operation that is not finished; `unheld`: whoever began it no longer holds its lease."""

    operation: Operation
    unheld: bool

    @property
    def abandoned(self) -> bool:
        """Whether a run that was cut short left it; what is kept on purpose is not abandoned."""
        return self.unheld and not self.operation.kept


@dataclass(frozen=True)
class Settled:
    """What became of an operation: `outcome` says what was done, or why it is still open; `waits`: it is not yet time."""

    operation: Operation
    done: bool
    outcome: str
    waits: bool = False


Handler = Callable[[Operation, Lease], str]
"""Puts back what an operation set, under the lease, and says in a sentence what it did. Raises AsgardError to try later."""


def begin(journal: Database, kind: str, subject: str, undo: Mapping[str, object], lease: Held) -> Operation:
    """Write down what is about to be set. Raises LeaseLost; ValueError where `undo` names a secret."""
    text = to_json(undo)
    with lease.guard() as connection:
        began = Operation(
            0, kind, blot(subject), json.loads(text), lease.name, lease.fence, whoami(), journal.now(connection)
        )
        values = {c.name: getattr(began, c.name) for c in tables.operations.c if c.name not in ("id", "undo")}
        return replace(began, id=insert(connection, tables.operations, **values, undo=text))


def amend(journal: Database, operation: Operation, undo: Mapping[str, object], lease: Held) -> None:
    """Replace what an open operation would put back: moves that are now in flight, say. Raises LeaseLost."""
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
    """Open operations whose lease's name begins with `under` (as in `cluster/<id>/`), in the order they began."""
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
    """Put back what abandoned operations left, and what was kept until now, the newest first, and say what became of each.

    `handlers` by kind; an operation whose kind has none, whose handler fails, or whose lease somebody else got meanwhile
    stays open. `held` are the leases that the caller has already; others are taken for the time it needs them.
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
    """What a command does about what dead runs left: one that changes things settles it, one that reads reports it.

    `handlers` by kind of operation. `settled` is told what became of each, `found` of those that are left as they are.
    """

    handlers: Mapping[str, Handler]
    settled: Callable[[Settled], None]
    found: Callable[[Sequence[Operation]], None]

    def settle(self, journal: Database, *, under: Iterable[str], held: Collection[Lease]) -> None:
        """Settle what stands under leases with these beginnings; `held` are the leases that the caller has."""
        for prefix in under:
            for done in settle(journal, self.handlers, under=prefix, held=held):
                self.settled(done)

    def report(self, journal: Database, *, under: Iterable[str]) -> None:
        """Tell what is there, if anything; nothing is changed."""
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
