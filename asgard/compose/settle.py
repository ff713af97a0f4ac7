"""The handlers for each kind of operation that a dead run left, from any service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from asgard.core import contexts, events
from asgard.core.contexts import Context
from asgard.core.errors import Refused

if TYPE_CHECKING:
    from asgard.journal.leases import Lease
    from asgard.journal.operations import Handler, Leftovers, Operation, Settled
    from asgard.journal.store.database import Database
    from asgard.kafka.ports import ControlPlane

CALL_DEADLINE_S = 10.0
"""Deadline of a call to the cluster made under a lease."""
# By name: every command that makes changes needs the handlers, and few have anything to settle.
REASSIGNMENT = "asgard.reassignment/v1"  # of older versions
EXECUTION = "asgard.execution/v1"
SCRATCH_TOPICS = "asgard.scratch-topics/v1"
FAULT = "asgard.fault/v1"
COPY_QUOTA = "asgard.copy-quota/v1"
COORDINATOR = "asgard.coordinator/v1"
KEPT_RETENTION = "asgard.kept-retention/v1"
RECOVER_WAIT_S = 120.0
"""How long `asgard recover` waits for moves submitted by a dead run: about two batches."""


def handlers(control: ControlPlane | None = None, *, wait_s: float = 0.0) -> dict[str, Handler]:
    """Handlers by kind of operation. `control` is the cluster's; without it, the context that names the cluster is used.

    Waits `wait_s` seconds for moves submitted by a dead run; those still running after that are left to a later command.
    """

    def executed(operation: Operation, lease: Lease) -> str:
        from asgard.cluster import moves

        with _reached(operation, lease, control) as cluster:
            return moves.settle(cluster, operation, lease, wait_s=wait_s)

    def scratch_topics(operation: Operation, lease: Lease) -> str:
        from asgard.loki.load import scratch

        with _reached(operation, lease, control) as cluster:
            return scratch.remove(cluster, operation.undo)

    def fault(operation: Operation, lease: Lease) -> str:
        from asgard.loki.chaos import breaking, kind
        from asgard.machines import targets

        with contextlib.ExitStack() as reached:
            # Connects only when the cluster is needed: dead brokers are started without it.
            reach = kind.Reach(
                lambda: reached.enter_context(_reached(operation, lease, control)),
                targets.nodes_of(operation.undo.get("stack")),
            )
            outcome = breaking.restore(reach, operation.undo)
            breaking.ended(lease.journal, operation, outcome)
            return outcome

    def copy_quota(operation: Operation, lease: Lease) -> str:
        from asgard.thor.replay import quota

        with _reached(operation, lease, control) as cluster:
            return quota.lift(cluster, operation.undo)

    def coordinator_moved(operation: Operation, lease: Lease) -> str:
        from asgard.thor import coordinator

        with _reached(operation, lease, control) as cluster:
            return coordinator.put_back(cluster, operation.undo)

    def kept_retention(operation: Operation, lease: Lease) -> str:
        from asgard.compose import keeping

        with _reached(operation, lease, control) as cluster:
            return keeping.settle(cluster, operation, lease)

    return {
        COPY_QUOTA: copy_quota,
        REASSIGNMENT: executed,
        EXECUTION: executed,
        SCRATCH_TOPICS: scratch_topics,
        FAULT: fault,
        COORDINATOR: coordinator_moved,
        KEPT_RETENTION: kept_retention,
    }


def leftovers() -> Leftovers:
    """What every command does about them: if it makes changes, it settles them with these handlers, and says so."""
    from asgard.journal.operations import Leftovers

    return Leftovers(handlers(), say_settled, say_found)


def recover(journal: Database, confirm: str | None = None) -> list[Settled]:
    """Settle everything that dead runs left, in every cluster with a context. Returns each result.

    Raises Refused, before anything is changed, if it involves a protected context that `confirm` does not name.
    """
    from asgard.compose import strays
    from asgard.journal import operations

    for left in abandoned(journal):
        context = context_of(left)
        contexts.refuse_protected(context, confirm)
    known = handlers(wait_s=RECOVER_WAIT_S)
    settled = operations.settle(journal, known, under="")
    return settled + [strays.settle(journal, left, known.get(left.kind)) for left in strays.found()]


def abandoned(journal: Database, under: str = "") -> list[Operation]:
    """What dead runs left under leases with this prefix, and what is kept until it is due; for commands that only report it."""
    from asgard.compose import strays
    from asgard.journal import operations

    left = [left.operation for left in operations.unfinished(journal, under=under) if left.unheld]
    return left + [stray for stray in strays.found() if stray.lease.startswith(under)]


def context_of(operation: Operation) -> Context | None:
    """The context of the operation's cluster; None if no context names that cluster."""
    scope, _, rest = operation.lease.partition("/")
    name = rest.rpartition("/")[0]
    for context in contexts.load().by_name.values():
        if name == (context.cluster_id if scope == "cluster" else context.stack):
            return context
    return None


def report_known(stack: str, context: str | None = None) -> None:
    """Report what dead runs left of a stack, if a context (its own, or the one named) knows its cluster; queries none."""
    known = contexts.load().by_name.get(context or stack)
    if known is None or known.cluster_id is None:
        return
    from asgard.journal.store.database import open_journal

    with open_journal() as journal:
        leftovers().report(journal, under=(f"stack/{stack}/", f"cluster/{known.cluster_id}/"))


def say_settled(settled: Settled) -> None:
    """Tell the user what was put back, or why it could not be."""
    lead = "settled" if settled.done else "not yet" if settled.waits else "still open"
    events.note(f"{lead}: {settled.operation.kind} {settled.operation.subject}: {settled.outcome}")


def say_found(left: Sequence[Operation]) -> None:
    """Tell the user of a read-only command what still has to be put back."""
    first, more = left[0], len(left) - 1
    what = first.kind.removeprefix("asgard.").partition("/")[0]
    also = f" (and {more} more)" if more else ""
    events.warn(
        f"an interrupted run left something set: {what} of {first.subject}{also}; `asgard recover` puts it back"
    )


@contextlib.contextmanager
def _reached(operation: Operation, lease: Lease, control: ControlPlane | None) -> Iterator[ControlPlane]:
    """The operation's cluster, with writes that check the lease first. Raises Refused if it can't be reached from here."""
    from asgard.kafka import target
    from asgard.kafka.guarded import guarded

    def check() -> None:
        lease.check(CALL_DEADLINE_S)

    if control is not None:
        yield guarded(control, check)
        return
    context = context_of(operation)
    if context is None:
        raise Refused(
            f"no context names the cluster of {operation.lease}", "`asgard context add` it, then run `asgard recover`."
        )
    own = target.of_context(context).connect(deadline_s=CALL_DEADLINE_S)
    try:
        yield guarded(own, check)
    finally:
        own.close()
