"""What settles each kind of operation that a dead run left behind, whichever service left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.core import console, contexts
from asgard.core.contexts import Context
from asgard.core.errors import Refused

if TYPE_CHECKING:
    from asgard.journal.leases import Lease
    from asgard.journal.operations import Handler, Operation, Settled
    from asgard.journal.store.database import Database

CALL_DEADLINE_S = 10.0
"""Deadline of a call to the cluster that is made under a lease."""


def handlers() -> dict[str, Handler]:
    """Handlers by kind of operation."""
    from asgard.kafka import reassign

    return {reassign.FORMAT: _lift_throttle}


def recover(journal: Database, confirm: str | None = None) -> list[Settled]:
    """Settle all that dead runs left, in every cluster that a context names; what became of each.

    Raises Refused, before anything is changed, where a protected context is concerned that `confirm` does not name.
    """
    from asgard.journal import operations

    for left in abandoned(journal):
        context = context_of(left)
        contexts.refuse_protected(context, confirm)
    return operations.settle(journal, handlers(), under="")


def abandoned(journal: Database, under: str = "") -> list[Operation]:
    """What dead runs left in leases of that beginning; for commands that only report it."""
    from asgard.journal import operations

    return [left.operation for left in operations.unfinished(journal, under=under) if left.abandoned]


def context_of(operation: Operation) -> Context | None:
    """The context of the cluster that an operation was done in; None where no context names that cluster."""
    scope, _, rest = operation.lease.partition("/")
    name = rest.rpartition("/")[0]
    for context in contexts.load().by_name.values():
        if name == (context.cluster_id if scope == "cluster" else context.stack):
            return context
    return None


def say_settled(settled: Settled) -> None:
    """Tell the user what was put back, or why it could not be."""
    lead = "settled" if settled.done else "still open"
    console.say(f"{lead}: {settled.operation.kind} {settled.operation.subject}: {settled.outcome}")


def _lift_throttle(operation: Operation, lease: Lease) -> str:
    """Wait for the moves that a dead run submitted, then lift the throttle it had set for them."""
    from asgard.kafka import reassign, target
    from asgard.kafka.guarded import guarded

    context = context_of(operation)
    if context is None:
        raise Refused(
            f"no context names the cluster of {operation.lease}", "`asgard context add` it, then run `asgard recover`."
        )
    control = target.of_context(context).connect(deadline_s=CALL_DEADLINE_S)
    try:
        return reassign.undo(guarded(control, lambda: lease.check(CALL_DEADLINE_S)), operation.undo)
    finally:
        control.close()
