"""`run`: execute a plan on a held cluster, after checking that it still fits and that no other tool is moving
partitions."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Literal

from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.cluster.moves import cordon, decide, fit, foreign, record
from asgard.cluster.moves.auto import AUTO
from asgard.cluster.moves.execution import Execution
from asgard.cluster.moves.fit import Fit
from asgard.cluster.moves.ledger import DONE, Ledger, left_open, taken_over
from asgard.cluster.moves.result import Executed
from asgard.cluster.moves.takeover import CANCEL
from asgard.cluster.moves.watch import Tuner
from asgard.cluster.moves.within import Within
from asgard.cluster.plan import Plan, Replan
from asgard.core import events as news
from asgard.core.errors import Interrupted, Refused
from asgard.core.units import format_size
from asgard.journal import events, operations
from asgard.kafka.model import Partition
from asgard.kafka.ports import ControlPlane

ENDED = (DONE, taken_over(CANCEL))
"""How operations end whose plan is not continued."""


def fingerprint(plan: Plan) -> str:
    """What identifies a plan."""
    parts = [plan.cluster_id, plan.kind, *plan.arguments]
    parts += [f"{c.topic}-{c.partition}:{c.before}>{c.after}" for c in plan.changes]
    parts += [f"{c.topic}-{c.partition}@{c.broker}:{c.source}>{c.target}" for c in plan.dir_changes]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def run(
    held: HeldCluster,
    plan: Plan,
    limits: Limits,
    *,
    replan: Replan,
    throttle: float | Literal["auto"] | None = None,
    may_go_on: Callable[[], None] = lambda: None,
) -> Executed:
    """Execute the plan, or continue it where an earlier run ended. `throttle` is bytes per second and broker, `auto`:
    by the brokers' headroom, None: none. `replan` plans for the same goal again if the cluster has changed. `may_go_on`
    is called at each look, and raises if the run is to end.

    Raises Refused for a plan of another cluster or one that no longer fits, and if another tool moves or throttles;
    what the control plane raises; LeaseLost; Interrupted. Temporary settings stay recorded until they are put back.
    """
    if plan.cluster_id != held.cluster_id:
        raise Refused(
            f"the plan is for the cluster {plan.cluster_id}, this is {held.cluster_id}",
            "Name the plan's cluster with --context or --bootstrap-server, or make a plan for this one.",
        )
    control, healing = held.control, plan.kind == "heal"
    if not healing and (why := decide.closed(limits, time.time())):
        raise Refused(why, "Run it inside a window, or use limits with other windows.")
    up = frozenset(b.id for b in control.cluster().brokers if b.state == "up")
    mark = fingerprint(plan)
    if plan.dir_changes and not plan.changes:
        return _run_within(_within(held, plan, limits, throttle, mark, up), may_go_on)
    plan, found = fitting(held, plan, limits, up, replan)
    moving = control.reassignments()
    theirs = _others(held, moving, up, healing)
    ledger = Ledger(held, plan.title, mark, moving, up)
    execution = Execution(
        held,
        plan,
        limits,
        throttle=_tuner(control, limits, plan) if throttle == AUTO else throttle,
        ledger=ledger,
        replan=replan,
    )
    execution.start(found)
    execution.leave_out(theirs)
    try:
        if plan.kind == "drain":
            drained = [int(b) for b in plan.arguments if b.isdecimal() and int(b) in up]
            for what in cordon.put(held, ledger, drained):
                execution.note(what)
        if plan.kind == "undo" and "drain" in plan.arguments:
            for what in cordon.undo(held, [int(b) for b in plan.arguments if b.isdecimal()]):
                execution.note(what)
        _note(held, plan, "started", {"moves": len(found.todo)})
        executed = execution.run(may_go_on)
        _note_end(held, plan, executed)
        if plan.dir_changes and not executed.ended_early:
            then = _run_within(_within(held, plan, limits, throttle, mark, up), may_go_on)
            return _joined(executed, then)
        return executed
    except Refused:
        if not execution.flying:
            execution.put_back("refused")
        raise
    except (KeyboardInterrupt, Interrupted):
        flying = len(execution.flying)
        on = f"{flying} moves continue under their throttle" if flying else "no move is in flight"
        raise Interrupted(
            f"{plan.title} was interrupted: {len(execution.tally.moved)} partitions are moved, {on}",
            "The same command continues it; `asgard thor cancel` takes back what is in flight.",
        ) from None


def _within(
    held: HeldCluster,
    plan: Plan,
    limits: Limits,
    throttle: float | Literal["auto"] | None,
    mark: str,
    up: Collection[int],
) -> Within:
    """The part of the plan that moves replicas between the log directories of their brokers. `mark` is the plan's fingerprint."""
    if throttle == AUTO:
        throttle = limits.throttle_bytes_per_s or plan.throttle_bytes_per_s
        news.note(f"disk throughput can't be measured remotely: the throttle is {format_size(throttle)}/s")
    ledger = Ledger(held, plan.title, mark, held.control.reassignments(), up)
    return Within(held, plan, ledger, throttle, limits)


def _run_within(work: Within, may_go_on: Callable[[], None]) -> Executed:
    """Run that part, and report to readers of the journal."""
    held, plan = work.held, work.plan
    try:
        work.start()
        _note(held, plan, "started", {"moves": len(work.left) + len(work.flying)})
        executed = work.run(may_go_on)
        _note_end(held, plan, executed)
        return executed
    except Refused:
        if not work.flying:
            work.put_back("refused")
        raise
    except (KeyboardInterrupt, Interrupted):
        on = f"{len(work.flying)} copies continue under their throttle" if work.flying else "no move is in flight"
        raise Interrupted(
            f"{plan.title} was interrupted: {len(work.moved)} replicas are moved, {on}",
            "The same command continues it; `asgard thor cancel` takes back what is in flight.",
        ) from None


def _joined(first: Executed, then: Executed) -> Executed:
    """The result of both parts of a plan."""
    return replace(
        then,
        moved=first.moved + then.moved,
        bytes_moved=first.bytes_moved + then.bytes_moved,
        already=first.already + then.already,
        gone=first.gone + then.gone,
        refused=first.refused | then.refused,
        notes=(*first.notes, *then.notes),
        seconds=first.seconds + then.seconds,
    )


def fitting(held: HeldCluster, plan: Plan, limits: Limits, up: Collection[int], replan: Replan) -> tuple[Plan, Fit]:
    """The plan against the current cluster. A plan that was begun here before, or needs a down broker, is planned again.

    Raises Refused if the cluster has changed since the plan was made.
    """
    from asgard.cluster import look

    found = fit.compare(plan.changes, held.control.topics({c.topic for c in plan.changes}))
    begun = begun_before(held, plan)
    if found.stale and not begun:
        raise Refused(
            f"the plan no longer fits the cluster: {found.stale}",
            f"Make a new one: asgard thor plan {plan.title} … --out PLAN",
        )
    down = {r for c in found.todo for r in c.after if r not in c.before and r not in up}
    if not found.stale and not down:
        return plan, found
    why = f"broker {min(down)} is down" if down else found.stale
    left = (*found.todo, *(c for c, _ in found.changed))
    made = replan(plan, left, look.take(held.control), limits)
    news.note(f"{why}: planned anew, {len(made.changes)} moves")
    return made, fit.compare(made.changes, held.control.topics({c.topic for c in made.changes}))


def begun_before(held: HeldCluster, plan: Plan) -> bool:
    """Whether this plan was begun in this cluster before and is unfinished: it was interrupted, stopped or handed
    over."""
    wanted = fingerprint(plan)
    for o in reversed(operations.history(held.journal, last=1000)):
        if o.kind == record.FORMAT and o.lease == held.lease.name and o.undo.get("plan") == wanted:
            return o.outcome not in ENDED
    return False


def _note(held: HeldCluster, plan: Plan, how: str, data: dict[str, object]) -> None:
    """Report to readers of the journal."""
    about: dict[str, object] = {"cluster_id": held.cluster_id, "plan": plan.title, **data}
    events.record(held.journal, f"{held.service}.plan.{how}", held.name, about)


def _note_end(held: HeldCluster, plan: Plan, executed: Executed) -> None:
    how = "stopped" if executed.stopped else "paused" if executed.ended_early else "finished"
    more = {"moved": executed.moved, "bytes_moved": executed.bytes_moved, "left": executed.left}
    _note(held, plan, how, {**more, "refused": len(executed.refused), "why": executed.ended_early})


def _others(held: HeldCluster, moving: Collection[Partition], up: Collection[int], healing: bool) -> list[Partition]:
    """Partitions that another tool is moving: a healing leaves them alone, everything else raises Refused."""
    older = record.merged(record.parse(o.undo) for o in left_open(held))
    theirs = foreign.moves(moving, record.in_flight(older.flights, moving))
    if healing:
        return theirs
    foreign.refuse_moves(theirs, up)
    for broker in foreign.refuse_throttles(held.control, up, older.settings):
        news.note(f"broker {broker} has its own throttle, which overrides this one")
    return []


def _tuner(control: ControlPlane, limits: Limits, plan: Plan) -> Tuner:
    most = limits.throttle_bytes_per_s or plan.throttle_bytes_per_s
    own = [limits.of(b) for b in (-1, *limits.brokers)]
    if all(limit.bytes_in_per_s is None and limit.bytes_out_per_s is None for limit in own):
        news.note(
            f"the limits have neither bytes_in nor bytes_out, so headroom is unknown: the throttle is {format_size(most)}/s"
        )
    return Tuner(control, limits, most)
