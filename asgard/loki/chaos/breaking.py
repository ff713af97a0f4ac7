"""Injects faults of any kind into a cluster and undoes them: limits, undo log, effect, event, in this order.

The undo is logged before anything is broken (`journal/operations.py`). If a run is killed at any point, the next command
that changes things cleans up after it, and so do `asgard recover` and `asgard loki chaos recover`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from asgard.core import events as news
from asgard.core import process
from asgard.core.errors import AsgardError, Failed, Refused, WrongUsage
from asgard.loki.chaos.kind import FaultPlan, Reach
from asgard.loki.chaos.kinds import kind
from asgard.loki.chaos.limits import refusal
from asgard.loki.chaos.site import CALL_DEADLINE_S, ChaosSite, Fault, state_now

if TYPE_CHECKING:
    from asgard.journal.operations import Operation
    from asgard.journal.store.database import Database

OPERATION = "asgard.fault/v1"
INJECTED, ENDED = "loki.fault.injected", "loki.fault.ended"


def inject(site: ChaosSite, action: str, **arguments: Any) -> Fault:
    """Break something and return as soon as it is broken. Actions that end by themselves return when they have ended.

    Raises WrongUsage for a wrong name or wrong arguments, Refused if the blast radius would be too large, and LeaseLost.
    """
    with site.breaking:
        site.may_go_on()
        plan = planned(site, action, arguments)
        refuse_beyond_limits(site, plan)
        return _break(site, action, plan)


def _break(site: ChaosSite, action: str, plan: FaultPlan) -> Fault:
    from asgard.journal import events, operations

    undo = {
        **plan.undo, "action": action, "text": plan.text, "brokers": list(plan.brokers), "stack": site.stack,
        "run": site.run, "cluster_id": site.cluster_id,
    }  # fmt: skip
    operation = operations.begin(site.journal, OPERATION, plan.subject, undo, site.lease)
    fault = Fault(action, plan.subject, plan.brokers, site.journal.time(), operation)
    data = {"cluster_id": site.cluster_id, "action": action, "text": plan.text, "brokers": list(plan.brokers)}
    events.record(site.journal, INJECTED, plan.subject, data, correlation=site.run or None)
    plan.notes.write = lambda changes: operations.amend(site.journal, operation, {**undo, **changes}, site.lease)
    try:
        site.lease.check(CALL_DEADLINE_S)
        with _system_errors():
            plan.do()
    except BaseException:
        put_back(site, fault)
        raise
    news.note(plan.text)
    if not plan.lasts:
        put_back(site, fault)
    return fault


def planned(site: ChaosSite, action: str, arguments: Mapping[str, Any]) -> FaultPlan:
    """What an action would do now. Raises WrongUsage and Refused."""
    plan = kind(action).plan
    try:
        inspect.signature(plan).bind(site, **arguments)
    except TypeError as error:
        allowed = [name for name in inspect.signature(plan).parameters if name != "site"]
        raise WrongUsage(f"{action}: {error}", f"Its arguments: {', '.join(allowed) or 'none'}.") from None
    return plan(site, **arguments)


def put_back(site: ChaosSite, fault: Fault) -> str:
    """Restore what a fault broke, and return what was done. Idempotent; what Thor has healed meanwhile is left alone."""
    from asgard.journal import operations

    with site.breaking:
        still_open = {u.operation.id: u.operation for u in operations.unfinished(site.journal, under=site.lease.name)}
        operation = still_open.get(fault.operation.id)
        if operation is None:
            return "it was already put back"
        outcome = restore(Reach(lambda: site.control, site.nodes), operation.undo)
        operations.finish(site.journal, fault.operation, site.lease, outcome)
        ended(site.journal, fault.operation, outcome)
    return outcome


def open_faults(site: ChaosSite) -> list[Fault]:
    """What this run has broken and not yet put back, oldest first."""
    from asgard.journal import operations

    found = [u.operation for u in operations.unfinished(site.journal, under=site.lease.name)]
    return [
        Fault(str(o.undo["action"]), o.subject, tuple(o.undo["brokers"]), o.began_at, o)
        for o in found
        if o.kind == OPERATION and o.fence == site.lease.fence
    ]


def put_all_back(site: ChaosSite) -> list[str]:
    """Restore all that this run has broken, newest first; returns the outcomes. A failure does not stop the others."""
    outcomes, failed = [], []
    for fault in reversed(open_faults(site)):
        try:
            outcomes.append(put_back(site, fault))
            news.note(f"put back: {fault}: {outcomes[-1]}")
        except AsgardError as error:
            failed.append(f"{fault}: {error.what}")
    if failed:
        raise Failed(f"not put back: {'; '.join(failed)}", "Run `asgard loki chaos recover` to try again.")
    return outcomes


def restore(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Put back a fault from its entry in the undo log; returns what was done, in a sentence. Raises AsgardError if it can't.

    An undo that names a `host` is refused on any other: there, a path or a pid is another one, or none.
    """
    host = undo.get("host")
    if host is not None and host != process.identity().host:
        raise Refused(f"{undo.get('text')}: that was on {host}", "Run `asgard recover` there.")
    with _system_errors():
        return kind(str(undo["action"])).restore(reach, undo)


@contextlib.contextmanager
def _system_errors() -> Iterator[None]:
    """Raise what the operating system does not allow as Failed, so that one such fault does not hold up all others."""
    try:
        yield
    except OSError as error:
        raise Failed(str(error)) from error


def ended(journal: Database, operation: Operation, outcome: str) -> None:
    """Write the event that a fault is over."""
    from asgard.journal import events

    undo = operation.undo
    data = {
        "cluster_id": undo.get("cluster_id"), "action": undo["action"], "brokers": undo["brokers"], "outcome": outcome,
    }  # fmt: skip
    events.record(journal, ENDED, operation.subject, data, correlation=undo.get("run") or None)


def refuse_beyond_limits(site: ChaosSite, plan: FaultPlan) -> None:
    """Raise Refused if a fault would exceed the site's limits."""
    limits = site.limits
    why = refusal(limits, plan.brokers, state_now(site)) if plan.brokers else None
    for what, count, most in (
        ("processes", plan.processes, limits.processes),
        ("machines", plan.machines, limits.machines),
    ):
        if count > most:
            why = f"it touches {count} {what} that are not Asgard's brokers; at most {most} are allowed"
    if why is not None:
        raise Refused(f"{plan.subject} is left alone: {why}", "The caller sets the limits: see --help.")
