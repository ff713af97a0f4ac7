"""What is to be done for brokers that are gone, and why? Pure.

The mildest remedy comes first: the node is started again where its machine can be reached (a process that hangs is killed
before), then, after the grace, it is replaced by an empty one where the policy says so, then its replicas go to others. Many
brokers gone at once are an outage of something else, which no move of data heals: that is waited for.

A broker that is fenced and follows the controllers is alive: it starts, recovers its log, or could not get a heartbeat through
while a controller hung. It has a minute at least, whatever the grace; its process is never killed for being slow.
"""

from __future__ import annotations

from collections.abc import Sequence

from asgard.core.units import format_duration
from asgard.journal.rules import Priority
from asgard.kafka.model import Broker
from asgard.thor.heal.memory import Absence, following
from asgard.thor.heal.situation import Case, Decision, counted, hold, ids, label, named, nowhere

ALIVE_S = 2.0
"""A broker fetches from the controllers twice a second at least; one that did so lately is alive."""
ALIVE_GRACE_S = 60.0
HUNG_AFTER_S = 30.0
"""A process that runs, but is not heard of by the controllers, is starting for so long; then it hangs."""
RETRY_S = 10.0
LONGEST_PAUSE_S = 300.0


def outage(case: Case) -> Decision | None:
    """More brokers are gone than the policy heals at once."""
    dead = [b for b in case.gone if case.holds(b.id) and not _alive(case, b.id)]
    brokers = len(case.snapshot.brokers)
    most = case.policy.most_dead(brokers)
    if len(dead) <= most:
        return None
    why = (
        f"{len(dead)} of {brokers} brokers are gone at once ({ids(b.id for b in dead)}), and the policy heals {most} at most:"
        f" that is an outage of something else (power, network, a zone). {_first_aid(case, dead)}"
    )
    return hold(why, "outage", tuple(b.id for b in dead))


def lost(case: Case) -> Decision | None:
    """One decision for all brokers that are gone: the mildest remedy that any of them still has comes first."""
    steps = [step for b in case.gone if (step := _remedy(case, b)) is not None]
    if not steps:
        return None
    for kind in ("restart", "replace", "reassign"):
        chosen = [s for s in steps if s.kind == kind]
        if chosen:
            return _together(case, chosen)
    why = "; ".join(s.why for s in steps) + _also(case)
    remaining = min((s.remaining_s for s in steps if s.remaining_s is not None), default=None)
    what = "waiting" if remaining is None else f"waiting, {format_duration(remaining)} left"
    return Decision("wait", what, why, tuple(b for s in steps for b in s.brokers), remaining)


def _together(case: Case, steps: Sequence[Decision]) -> Decision:
    """Several brokers with the same remedy."""
    kind = steps[0].kind
    why = "; ".join(s.why for s in steps) + _also(case)
    brokers = tuple(b for s in steps for b in s.brokers)
    if kind == "reassign" and (stuck := case.stuck(brokers)):
        return nowhere(brokers, f"{why}. {stuck}")
    what = {
        "restart": f"restarting the node of {named(brokers)}",
        "replace": f"replacing the node of {named(brokers)}",
        "reassign": f"giving the replicas of {named(brokers)} to others",
    }[kind]
    return Decision(kind, what, why, brokers)


def _remedy(case: Case, broker: Broker) -> Decision | None:
    """What one broker that is gone needs now; None where it holds nothing, and no start brings it back."""
    b, absence = broker.id, case.absence(broker.id)
    why = f"{label(broker)} is {broker.state}, gone for {format_duration(max(0.0, case.now - absence.since))}"
    if flaps := case.flaps(b):
        why += f", lost {flaps} times in {format_duration(case.policy.flapping.within_s)}"
    grace = _grace_left(case, b, flaps)
    alive = _alive(case, b)
    if alive and (left := max(grace, absence.since + ALIVE_GRACE_S - case.now)) > 0:
        told = f"{why}; it follows the controllers: it is starting, or recovers its log"
        return Decision("wait", "waiting", told, (b,), left)
    if case.holder and Priority.CHANGE <= case.holder.priority < Priority.HEAL and grace > 0:
        told = f"{why}, while {case.holder.name} changes the cluster: it may have stopped the broker itself"
        return Decision("wait", "waiting", told, (b,), grace)
    restart = None if flaps or alive else _restart(case, b, absence, why)
    if restart is not None or not case.holds(b):
        return restart
    if grace > 0:
        return Decision("wait", "waiting", f"{why}; its grace is {format_duration(case.policy.grace_s)}", (b,), grace)
    if absence.failed_at and (left := absence.failed_at + _pause(absence) - case.now) > 0:
        told = f"{why}; healing it failed {counted(absence.failures, 'time')}, it is tried again"
        return Decision("wait", "waiting", told, (b,), left)
    if case.policy.replace and case.node(b) is not None and not absence.replaced and not flaps:
        alone = _alone_on(case, b)
        if not alone:
            return Decision("replace", "", f"{why}, and its node does not come back", (b,))
        why += f"; its node can't be replaced by an empty one: {alone}"
    tried = f", {counted(absence.restarts, 'start')} of its node did not help" if absence.restarts else ""
    return Decision("reassign", "", f"{why}{tried}", (b,))


def _restart(case: Case, broker: int, absence: Absence, why: str) -> Decision | None:
    """The node is started, or a start goes on; None where restarts are no remedy (any more)."""
    node, policy = case.node(broker), case.policy.restart
    if node is None:
        return None
    may = absence.restarts < policy.attempts
    if node.state == "running":
        left = max(absence.since, absence.restarted_at) + HUNG_AFTER_S - case.now
        if may and left > 0:
            return Decision("wait", "waiting", f"{why}; its process runs, and may just be starting", (broker,), left)
        state = "its process runs and is not heard of: it hangs"
    else:
        state = "its process hangs" if node.state == "paused" else "its process is gone"
    if not may:
        return None
    if absence.restarts and (left := absence.restarted_at + RETRY_S - case.now) > 0:
        return Decision("wait", "waiting", f"{why}; {state}, it is started again", (broker,), left)
    return Decision("restart", "", f"{why}, and {state}", (broker,))


def _alive(case: Case, broker: int) -> bool:
    silent_s = following(broker, case.snapshot.quorum)
    return silent_s is not None and silent_s <= ALIVE_S


def _grace_left(case: Case, broker: int, flaps: int) -> float:
    """Seconds of grace that a broker still has. One that flaps has had it since it was first lost in the window."""
    since = case.absence(broker).since
    if flaps:
        begin = case.now - case.policy.flapping.within_s
        since = min((at for at in case.memory.lost.get(broker, ()) if at >= begin), default=since)
    return since + case.policy.grace_s - case.now


def _pause(absence: Absence) -> float:
    """How long after a failure the next try is made: longer after each."""
    return float(min(LONGEST_PAUSE_S, RETRY_S * 2 ** max(0, absence.failures - 1)))


def _alone_on(case: Case, broker: int) -> str:
    """Partitions whose only replica in sync is there: an empty node would lose them. Empty where there is none."""
    others = set(case.up) - {broker}
    alone = sum(1 for p in case.snapshot.partitions if broker in p.replicas and others.isdisjoint(p.isr))
    return f"{counted(alone)} would lose the last replica in sync" if alone else ""


def _first_aid(case: Case, dead: Sequence[Broker]) -> str:
    """Which broker to bring back first."""
    offline = case.of("partitions-offline")
    if offline:
        return " ".join(f.text for f in offline)
    first = max(dead, key=lambda b: (len(case.tally.lacking.get(b.id, ())), -b.id))
    return f"Bring back {label(first)} first: most partitions lack it."


def _also(case: Case) -> str:
    """Partitions that are offline or refuse writes, behind the reason why."""
    found = case.of("partitions-offline", "under-min-isr")
    return ". " + " ".join(f.text for f in found) if found else ""
