"""One turn of healing: look at the cluster, decide, do the one thing it needs, and record the result.

Every look is noted in the journal, whether or not anything is done, so that grace counts between one-shot runs. All changes to
the cluster are made under its lease; if someone else healed while this process waited for it, it looks at the cluster again,
so that one failure is healed once. Times are seconds since 1970, by the journal's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from asgard.cluster import findings
from asgard.cluster import look as measure
from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.core.errors import AsgardError, Busy, ExitCode, Interrupted
from asgard.journal.rules import Priority
from asgard.kafka.model import ClusterSnapshot, Healed, HealState, Move
from asgard.kafka.ports import ControlPlane, NodeControl
from asgard.thor.heal import act
from asgard.thor.heal import memory as remembered
from asgard.thor.heal.decide import decide
from asgard.thor.heal.memory import Memory, Stuck
from asgard.thor.heal.notify import Notification
from asgard.thor.heal.policy import Policy
from asgard.thor.heal.situation import Decision, Holder, Situation

if TYPE_CHECKING:
    from asgard.journal.store.database import Database

HAND_OVER_S = 30.0
"""How long to wait for a less urgent command to hand over the cluster."""
STALE_S = 1.0
"""If an answer or the lease took longer than this, look at the cluster again."""
_STATES: dict[str, HealState] = {"healthy": "healthy", "wait": "waiting", "hold": "held"}


class CutShort(Interrupted):
    """Stopped by the user in the middle of a healing; what was started is in the undo log."""


@dataclass(frozen=True)
class HealContext:
    """A cluster to look after, and what may be used for it. `nodes` is None if its machines are out of reach.

    `change(decision, wait_s)` holds the cluster; `agree(decision, details)` asks for confirmation (None: nobody to ask), and raises
    if the answer is no; `tell` notifies; `may_go_on` is called while replicas move, and raises if the turn should end.
    People are notified of holding still once it has lasted for `patience_s`.
    """

    name: str
    cluster_id: str
    control: ControlPlane
    journal: Database
    policy: Policy
    limits: Limits
    nodes: NodeControl | None
    change: Callable[[Decision, float], AbstractContextManager[HeldCluster]]
    agree: Callable[[Decision, str], None] | None
    tell: Callable[[Notification], None]
    may_go_on: Callable[[], None]
    patience_s: float = 0.0


@dataclass(frozen=True)
class Turn:
    """The result of a turn, and what is remembered for the next one."""

    healed: Healed
    situation: Situation
    memory: Memory

    @property
    def exit_code(self) -> ExitCode:
        """0 if all is well (again), else 1."""
        return ExitCode.OK if self.healed.well else ExitCode.FAILED


def once(context: HealContext, memory: Memory, *, unasked: Collection[int] = ()) -> Turn:
    """One turn. `unasked` brokers are not waited for, since they were just silent.

    Raises Busy if another command that changes the cluster does not hand over, and what the control plane raises.
    """
    began = time.monotonic()
    situation = look(context, memory, unasked)
    looked = time.monotonic()
    decision = decide(situation)
    if decision.kind != "healthy" and situation.holder is not None and situation.holder.priority >= Priority.HEAL:
        raise Busy(
            f"{context.name} is held by {situation.holder.name}", "It is healing already; check again when it is done."
        )
    if not decision.acts:
        return _told(context, situation, decision)
    if nothing := act.nothing_to_move(situation, decision):
        return _stuck(context, situation, decision, nothing)
    if context.policy.dry_run:
        details = act.details(situation, decision)
        return Turn(
            _healed("planned", decision, f"dry run: nothing was changed. {details}".strip()),
            situation,
            situation.memory,
        )
    agreed = _agreed(context, situation, decision, None)
    wait_s = HAND_OVER_S if situation.holder and situation.holder.priority < decision.priority else 0.0
    with context.change(decision, wait_s) as held:
        # The last holder of the cluster may have moved partitions, or taken back moves, since the last look.
        if situation.holder is not None or time.monotonic() - looked > STALE_S or _somebody_healed(context, situation):
            situation = look(context, situation.memory, unasked)
            now = decide(situation)
            if (now.kind, now.brokers) != (decision.kind, decision.brokers):
                return _told(context, situation, now) if not now.acts else _changed(situation, decision, now)
            if nothing := act.nothing_to_move(situation, now):
                return _stuck(context, situation, now, nothing)
            decision = now
            agreed = _agreed(context, situation, decision, agreed)
        return _act(context, held, situation, decision, began, agreed)


def _agreed(
    context: HealContext, situation: Situation, decision: Decision, before: tuple[Move, ...] | None
) -> tuple[Move, ...] | None:
    """The moves agreed to. Asks again if they would differ from `before`."""
    if context.agree is None:
        return None
    moves = act.moves_of(situation, decision)
    if moves != before:
        context.agree(decision, act.details(situation, decision))
    return moves


def look(context: HealContext, memory: Memory, unasked: Collection[int] = ()) -> Situation:
    """The cluster now, with the memory; anything new is noted in the journal."""
    from asgard.journal import events

    nodes = tuple(context.nodes.nodes()) if context.nodes is not None else None
    # A hung process does not answer, and if it is the active controller, others wait for it.
    hung = {n.id for n in nodes or () if n.state == "paused"}
    snapshot = measure.take(context.control, unasked=hung.union(unasked), quorum=not hung)
    counted = findings.tally(snapshot)
    found = findings.findings(snapshot, context.limits, counted)
    memory = recall(context, memory)
    now = context.journal.time()
    news = remembered.observe(snapshot, found, memory, now, context.name)
    for new in news:
        events.record(context.journal, new.kind, new.subject, new.data, correlation=new.incident)
    if news:
        memory = recall(context, memory)
    return Situation(
        snapshot,
        found,
        counted,
        memory,
        context.policy,
        context.limits,
        now,
        nodes,
        _holder(context),
        _left_behind(context, snapshot),
    )


def recall(context: HealContext, memory: Memory) -> Memory:
    """The memory with what was written since."""
    from asgard.journal import events

    fresh = events.read(context.journal, events.EventFilter(kind="thor.*", after_id=memory.seen))
    return remembered.remember(memory, fresh, context.cluster_id)


def _holder(context: HealContext) -> Holder | None:
    from asgard.core import process
    from asgard.journal import leases

    name, now = leases.cluster_change(context.cluster_id), context.journal.time()
    for state in leases.listed(context.journal):
        if state.name == name and state.holder is not None and not state.is_free(now, process.is_dead):
            return Holder(str(state.holder), state.holder.priority)
    return None


def _drill(context: HealContext) -> str | None:
    """Who is breaking the cluster on purpose right now."""
    from asgard.core import process
    from asgard.journal import leases

    name, now = leases.cluster_fault(context.cluster_id), context.journal.time()
    for state in leases.listed(context.journal):
        if state.name == name and state.holder is not None and not state.is_free(now, process.is_dead):
            return state.holder.doing
    return None


def _left_behind(context: HealContext, snapshot: ClusterSnapshot) -> int:
    """Counts the operations of interrupted runs that have anything to put back now."""
    from asgard.journal import operations

    found = operations.unfinished(context.journal, under=f"cluster/{context.cluster_id}/")
    left = [u.operation for u in found if u.abandoned]
    if not left:
        return 0
    from asgard.cluster import moves

    return sum(not moves.must_wait(operation, snapshot) for operation in left)


def _somebody_healed(context: HealContext, situation: Situation) -> bool:
    from asgard.journal import events

    fresh = events.read(context.journal, events.EventFilter(kind="thor.heal.*", after_id=situation.memory.seen))
    return any(e.data.get("cluster_id") == context.cluster_id for e in fresh)


def _told(context: HealContext, situation: Situation, decision: Decision) -> Turn:
    """A turn in which nothing is done: people are notified once."""
    memory, holding = situation.memory, None
    if decision.kind == "hold" and decision.key != memory.held:
        holding = (
            memory.holding if memory.holding and memory.holding[0] == decision.key else (decision.key, situation.now)
        )
        if situation.now - holding[1] >= context.patience_s:
            _note(context, remembered.HELD, decision, {"key": decision.key})
    elif decision.kind == "healthy" and memory.held:
        _note(context, remembered.RECOVERED, decision, {})
    memory = replace(recall(context, memory), holding=holding)
    return Turn(_healed(_STATES[decision.kind], decision), situation, memory)


def _stuck(context: HealContext, situation: Situation, decision: Decision, nothing: Decision) -> Turn:
    """A turn in which nothing can be done: `nothing` says why. The next turns of this process don't plan it again."""
    stuck = Stuck(decision.kind, decision.brokers, situation.up, nothing.why, situation.now)
    turn = _told(context, situation, replace(nothing, why=f"{decision.why.rstrip('.')}. {nothing.why}"))
    return replace(turn, memory=replace(turn.memory, stuck=stuck))


def _changed(situation: Situation, before: Decision, now: Decision) -> Turn:
    """The next step differs from what was agreed to: leave it to the next turn."""
    outcome = f"the situation has changed; to do now: {now}"
    return Turn(_healed("waiting", before, outcome), situation, situation.memory)


def _act(
    context: HealContext,
    held: HeldCluster,
    situation: Situation,
    decision: Decision,
    began: float,
    agreed: tuple[Move, ...] | None,
) -> Turn:
    incident = next((a.incident for b in decision.brokers if (a := situation.memory.absent.get(b))), None)
    extra: dict[str, object] = {"drill": drill} if (drill := _drill(context)) else {}
    work = act.Work(held, situation, decision, context.nodes, context.may_go_on)
    try:
        if decision.kind == "reassign" and (ended := act.end_hung(work)):
            # Now the controllers can say what is already moving.
            _note(context, remembered.KILLED, decision, {**extra, "nodes": ended}, incident, held)
            situation = look(context, situation.memory)
            _agreed(context, situation, decision, agreed)
            work = replace(work, situation=situation)
        prepared = act.prepare(work)
        if isinstance(prepared, Decision):
            return _stuck(context, situation, decision, prepared)
        _note(context, remembered.STARTED, decision, extra, incident, held)
        outcome = act.carry_out(work, prepared)
    except (AsgardError, KeyboardInterrupt) as error:
        what = error.what if isinstance(error, AsgardError) else "interrupted"
        data = {**extra, "outcome": what, "seconds": round(time.monotonic() - began, 2)}
        _note(context, remembered.FAILED, decision, data, incident)
        if isinstance(error, KeyboardInterrupt | Interrupted):
            hint = "What was started is recorded; the next healing continues from there."
            raise CutShort(f"interrupted while {decision.what}", hint) from error
        if error.exit_code == ExitCode.BUSY:
            raise
        turn = Turn(_healed("failed", decision, what), situation, recall(context, situation.memory))
        return replace(turn, healed=replace(turn.healed, seconds=float(data["seconds"])))  # type: ignore[arg-type]
    seconds = round(time.monotonic() - began, 2)
    _note(context, remembered.FINISHED, decision, {**extra, "outcome": outcome, "seconds": seconds}, incident, held)
    healed = replace(_healed("healed", decision, outcome), seconds=seconds)
    return Turn(healed, situation, recall(context, situation.memory))


def _healed(state: HealState, decision: Decision, outcome: str = "") -> Healed:
    return Healed(state, decision.kind, decision.why, decision.what, outcome, decision.brokers, decision.remaining_s)


def _note(
    context: HealContext,
    kind: str,
    decision: Decision,
    more: dict[str, object],
    incident: str | None = None,
    held: HeldCluster | None = None,
) -> None:
    """Write an event (under the lease, if it is held), and notify people."""
    from asgard.journal import events

    data: dict[str, object] = {
        "cluster_id": context.cluster_id,
        "decision": decision.kind,
        "action": decision.what,
        "cause": decision.why,
        "brokers": list(decision.brokers),
        **more,
    }
    if held is not None:
        with held.lease.guard() as connection:
            event = events.record(
                context.journal, kind, context.name, data, correlation=incident, connection=connection
            )
    else:
        event = events.record(context.journal, kind, context.name, data, correlation=incident)
    context.tell(Notification(kind, context.name, sentence(kind, decision, data), event.at, data))


def sentence(kind: str, decision: Decision, data: dict[str, object]) -> str:
    """The text of a notice."""
    if kind == remembered.RECOVERED:
        return f"healthy again: {decision.why}"
    if kind == remembered.KILLED:
        return f"killing the hanging process before {decision}"
    verb = {remembered.STARTED: "", remembered.FINISHED: "done: ", remembered.FAILED: "failed: "}.get(kind, "")
    outcome = f" -> {data['outcome']}" if "outcome" in data else ""
    return f"{verb}{decision}{outcome}"
