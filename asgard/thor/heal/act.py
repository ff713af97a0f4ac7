"""Carries out what was decided: starts nodes, moves replicas, elects leaders. Runs under the cluster's lease.

`prepare` creates a plan if data must move, and may find that nothing can be done; `carry_out` does it and says what happened.
Both raise AsgardError on failure; whatever was started by then is in the undo log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from asgard.cluster import look
from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.core import events as news
from asgard.core.errors import Failed, Unreachable
from asgard.core.units import format_duration, format_size
from asgard.kafka.model import Broker, ClusterSnapshot, Move
from asgard.kafka.ports import NodeControl
from asgard.thor.heal.situation import Decision, Situation, counted, named, nowhere
from asgard.thor.plan import planner, replan

if TYPE_CHECKING:
    from asgard.cluster.plan import Plan

POLL_S = 0.1
NAMED = 3


@dataclass(frozen=True)
class Work:
    """A decision and what is needed to carry it out."""

    held: HeldCluster
    situation: Situation
    decision: Decision
    nodes: NodeControl | None
    may_go_on: Callable[[], None]


def details(situation: Situation, decision: Decision) -> str:
    """What it would do, in a sentence; for the person asked to confirm."""
    if decision.kind == "replace":
        return f"The data of {named(decision.brokers)} is deleted and copied again from the other replicas."
    plan = _plan(situation.snapshot, situation, decision)
    if plan is None or not plan.moved:
        return ""
    if not plan.changes:
        return f"{counted(len(plan.dir_changes), 'replica')} to other log directories, {format_size(plan.bytes_moved)} to copy."
    return f"{counted(len(plan.changes))} move, {format_size(plan.bytes_moved)} to copy."


def moves_of(situation: Situation, decision: Decision) -> tuple[Move, ...]:
    """What would move, regardless of its current size."""
    if decision.kind == "replace":
        return ()
    plan = _plan(situation.snapshot, situation, decision)
    return tuple(plan.moves()) if plan is not None else ()


def nothing_to_move(situation: Situation, decision: Decision) -> Decision | None:
    """A decision to hold still, if the plan of this one is empty; for a look before the cluster is held.

    None if it moves something, or there is more to do: moves to the brokers have to be ended, and moves away from them
    freed from their throttle. While a process hangs, it is unknown what is moving.
    """
    if decision.kind not in ("reassign", "balance", "disks"):
        return None
    gone = set(decision.brokers)
    if decision.kind == "reassign" and (
        any(n.state == "paused" for n in situation.nodes or ())
        or any(gone.intersection((*p.adding, *p.removing)) for p in situation.snapshot.partitions)
    ):
        return None
    plan = _plan(situation.snapshot, situation, decision)
    return None if plan is None or plan.moved else _unmet(decision, plan)


def prepare(work: Work) -> Plan | Decision | None:
    """The plan, if data must move; a decision to hold still, if nothing can be done."""
    situation, decision = work.situation, work.decision
    snapshot = situation.snapshot
    if decision.kind == "reassign":
        from asgard.cluster import moves

        inherited = moves.inherit(work.held, decision.brokers)
        if inherited.from_whom:
            news.note(str(inherited))
        ended = moves.Ended()
        if situation.policy.foreign_moves == "end":
            ended = moves.end_stuck(work.held, decision.brokers)
        if ended.moves:
            news.note(str(ended))
        if inherited.from_whom or ended.moves:
            snapshot = look.take(work.held.control)
        if ended.moves and not heal_plan(snapshot, situation.limits, decision.brokers).moved:
            return None
        if waits := _stuck(work, snapshot):
            return waits
    plan = _plan(snapshot, situation, decision)
    if plan is None or plan.moved:
        return plan
    return None if decision.kind == "resume" else _unmet(decision, plan)


def _unmet(decision: Decision, plan: Plan) -> Decision:
    why = " ".join(f"{u}; what would help: {u.would_help}." for u in plan.unmet) or "Nothing can be moved."
    return nowhere(decision.brokers, why)


def _stuck(work: Work, snapshot: ClusterSnapshot) -> Decision | None:
    """Moves by another tool to a dead broker, if the policy only reports them."""
    gone = set(work.decision.brokers)
    names = [f"{p.topic}-{p.partition}" for p in snapshot.partitions if gone.intersection(p.adding)]
    if work.situation.policy.foreign_moves == "end" or not names:
        return None
    shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    why = f"Another tool is moving {shown} to it, and can't finish; the policy says `foreign_moves: tell`."
    return nowhere(work.decision.brokers, why)


def end_hung(work: Work) -> list[int]:
    """End hung processes of brokers whose replicas go to others. Returns which brokers.

    A hung process holds its connections open and may be the active controller: the others then wait up to 30 s for its answer
    before they ask the new one (`controller.socket.timeout.ms`).
    """
    if work.nodes is None:
        return []
    hung = [b for b in work.decision.brokers if (n := work.situation.node(b)) is not None and n.state == "paused"]
    for broker in hung:
        news.note(f"the process of broker {broker} hangs: killing it before its replicas move to other brokers")
        work.nodes.kill(broker)
    return hung


def carry_out(work: Work, plan: Plan | None) -> str:
    """Do it. Returns what happened, as a sentence."""
    if plan is not None:
        return _move(work, plan)
    match work.decision.kind:
        case "restart":
            return _restart(work)
        case "replace":
            return _replace(work)
        case "settle":
            return _settled(work)
        case "reassign":
            return "ended another tool's moves that could not finish; nothing else had to move"
        case _:
            return _elect(work)


def heal_plan(snapshot: ClusterSnapshot, limits: Limits, brokers: Collection[int]) -> Plan:
    """Move what these brokers lost to others; brokers whose turn has not come keep their replicas and get no new ones."""
    waiting = {b.id for b in snapshot.brokers if b.id not in brokers and _hurt(b)}
    as_if_up = tuple(
        replace(b, state="up", log_dirs=tuple(replace(d, offline=False) for d in b.log_dirs)) if b.id in waiting else b
        for b in snapshot.brokers
    )
    closed = replace(limits, exclude_brokers=limits.exclude_brokers.union(waiting))
    return planner.heal(replace(snapshot, brokers=as_if_up), closed)


def _hurt(broker: Broker) -> bool:
    return broker.state != "up" or any(d.offline for d in broker.log_dirs)


def _plan(snapshot: ClusterSnapshot, situation: Situation, decision: Decision) -> Plan | None:
    """The plan of a decision that moves data; None if it moves none."""
    match decision.kind:
        case "reassign":
            return heal_plan(snapshot, situation.limits, decision.brokers)
        case "resume" if not decision.partitions:
            return planner.fill(snapshot, decision.brokers, situation.limits)
        case "balance":
            return planner.balance(snapshot, situation.limits)
        case "disks":
            return planner.disks(snapshot, decision.brokers, situation.limits)
        case _:
            return None


def _move(work: Work, plan: Plan) -> str:
    """Healing is never throttled; work that could wait keeps to the limits."""
    from asgard.cluster import moves

    throttle = None if plan.kind == "heal" else work.situation.limits.throttle_bytes_per_s
    done = moves.run(
        work.held,
        plan,
        work.situation.limits,
        replan=replan.again,
        throttle=throttle,
        may_go_on=work.may_go_on,
    )
    # A broker whose filling ended well would not be filled any further.
    if done.paused and work.decision.kind != "resume":
        return f"{done}: {done.paused}"
    if done.ended_early or done.refused or done.left:
        refused = "; ".join(f"{name}: {reason}" for name, reason in list(done.refused.items())[:NAMED])
        raise Failed(f"{done}: {done.ended_early or refused}")
    unmet = "".join(f"; not met: {u}; what would help: {u.would_help}" for u in plan.unmet if u.required)
    return f"{done}{unmet}"


def _restart(work: Work) -> str:
    """Start the nodes; a hung process is killed first. A node counts as back once the controllers let it in."""
    began = time.monotonic()
    assert work.nodes is not None
    for broker in work.decision.brokers:
        node = work.situation.node(broker)
        if node is not None and node.state != "stopped":
            work.nodes.kill(broker)
        work.nodes.start(broker)
    _wait_up(work, work.situation.policy.restart.wait_s)
    return f"{named(work.decision.brokers)} {_is(work)} back after {format_duration(time.monotonic() - began)}"


def _replace(work: Work) -> str:
    began = time.monotonic()
    assert work.nodes is not None
    for broker in work.decision.brokers:
        work.nodes.replace(broker)
    _wait_up(work, work.situation.policy.restart.wait_s)
    took = format_duration(time.monotonic() - began)
    return (
        f"{named(work.decision.brokers)} {_is(work)} back, empty, after {took}, and copies its replicas from the others"
    )


def _wait_up(work: Work, deadline_s: float) -> None:
    give_up = time.monotonic() + deadline_s
    while missing := _missing(work):
        if time.monotonic() > give_up:
            raise Failed(
                f"{named(missing)} {'is' if len(missing) == 1 else 'are'} not back after {format_duration(deadline_s)},"
                " although the node was started",
                "Look at its log; `asgard kafka nodes` shows where it runs.",
            )
        time.sleep(POLL_S)


def _missing(work: Work) -> list[int]:
    try:
        up = {b.id for b in work.held.control.cluster().brokers if b.state == "up"}
    except Unreachable:  # no broker answers right now
        up = set()
    return [b for b in work.decision.brokers if b not in up]


def _settled(work: Work) -> str:
    """Taking the lease has already put back what it could."""
    from asgard.journal import operations

    left = [
        o for o in operations.unfinished(work.held.journal, under=f"cluster/{work.held.cluster_id}/") if o.abandoned
    ]
    if left:
        raise Failed(f"{counted(len(left), 'operation')} could not be put back yet")
    return "everything is as it was before"


def _elect(work: Work) -> str:
    wanted = work.decision.partitions
    if not wanted:
        return f"there is nothing to move to {named(work.decision.brokers)}"
    refused = {k: e for k, e in work.held.control.elect_preferred_leaders(wanted).items() if e is not None}
    if refused:
        told = "; ".join(e.what for e in list(refused.values())[:NAMED])
        raise Failed(f"{len(refused)} of {len(wanted)} elections were refused: {told}")
    return f"{counted(len(wanted))} led by the preferred leader again"


def _is(work: Work) -> str:
    return "is" if len(work.decision.brokers) == 1 else "are"
