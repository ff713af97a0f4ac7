"""What to do about dead brokers, and why? Pure.

The mildest remedy comes first: restart the node if its machine can be reached (a hung process is killed first), then, after
the grace, replace it with an empty one if the policy says so, then move its replicas to others. Many brokers gone at once
are an outage of something else, which moving data does not heal: wait for it to end.

A broker that is fenced and follows the controllers is alive: it is starting, recovering its log, or could not get a heartbeat
through while a controller hung. It gets at least a minute, whatever the grace; its process is never killed for being slow.
"""

from __future__ import annotations

from collections.abc import Sequence

from asgard.core.units import format_duration
from asgard.journal.rules import Priority
from asgard.kafka.model import Broker
from asgard.thor.heal.memory import Absence, following
from asgard.thor.heal.situation import Decision, Situation, counted, ids, label, named, nowhere, stand_by

ALIVE_S = 2.0
"""A broker fetches from the controllers at least twice a second; one that did so this recently is alive."""
ALIVE_GRACE_S = 60.0
HUNG_AFTER_S = 30.0
"""For this long, a running process that the controllers have not heard from counts as starting; after that it is hung."""
RETRY_S = 10.0
LONGEST_PAUSE_S = 300.0


def outage(situation: Situation) -> Decision | None:
    """More brokers are gone than the policy heals at once."""
    dead = [b for b in situation.gone if situation.holds(b.id) and not _alive(situation, b.id)]
    brokers = len(situation.snapshot.brokers)
    most = situation.policy.most_dead(brokers)
    if len(dead) <= most:
        return None
    why = f"{len(dead)} of {brokers} brokers are gone at once ({ids(b.id for b in dead)}), and the policy heals at most {most}: this is an outage of {_larger(situation, dead)}. {_first_aid(situation, dead)}"
    return stand_by(why, "outage", tuple(b.id for b in dead))


def _larger(situation: Situation, dead: Sequence[Broker]) -> str:
    """What is down: a rack (on AWS an availability zone) if the dead brokers are exactly its brokers."""
    racks = {b.rack for b in dead}
    rack = racks.pop() if len(racks) == 1 else None
    if rack is not None and {b.id for b in situation.snapshot.brokers if b.rack == rack} == {b.id for b in dead}:
        return f"rack {rack}: all of its brokers are gone, and no others; check that rack or zone"
    return "something else (power, network, a zone)"


def lost(situation: Situation) -> Decision | None:
    """One decision for all dead brokers: the mildest remedy that any of them still has comes first."""
    steps = [step for b in situation.gone if (step := _remedy(situation, b)) is not None]
    if not steps:
        return None
    for kind in ("restart", "replace", "reassign"):
        chosen = [s for s in steps if s.kind == kind]
        if chosen:
            return _together(situation, chosen)
    why = "; ".join(s.why for s in steps) + _also(situation)
    remaining = min((s.remaining_s for s in steps if s.remaining_s is not None), default=None)
    what = "waiting" if remaining is None else f"waiting, {format_duration(remaining)} left"
    return Decision("wait", what, why, tuple(b for s in steps for b in s.brokers), remaining)


def _together(situation: Situation, steps: Sequence[Decision]) -> Decision:
    """Several brokers with the same remedy."""
    kind = steps[0].kind
    why = "; ".join(s.why for s in steps) + _also(situation)
    brokers = tuple(b for s in steps for b in s.brokers)
    if kind == "reassign" and (stuck := situation.stuck(kind, brokers)):
        return nowhere(brokers, f"{why}. {stuck}")
    what = {
        "restart": f"restarting the node of {named(brokers)}",
        "replace": f"replacing the node of {named(brokers)}",
        "reassign": f"moving the replicas of {named(brokers)} to other brokers",
    }[kind]
    return Decision(kind, what, why, brokers)


def _remedy(situation: Situation, broker: Broker) -> Decision | None:
    """What one dead broker needs now; None if it holds nothing and no start brings it back."""
    b, absence = broker.id, situation.absence(broker.id)
    why = f"{label(broker)} is {broker.state}, gone for {format_duration(max(0.0, situation.now - absence.since))}"
    if flaps := situation.flaps(b):
        why += f", lost {flaps} times in {format_duration(situation.policy.flapping.within_s)}"
    grace = _grace_left(situation, b, flaps)
    alive = _alive(situation, b)
    if alive and (left := max(grace, absence.since + ALIVE_GRACE_S - situation.now)) > 0:
        told = f"{why}; it follows the controllers: it is starting, or recovering its log"
        return Decision("wait", "waiting", told, (b,), left)
    if situation.holder and Priority.CHANGE <= situation.holder.priority < Priority.HEAL and grace > 0:
        told = f"{why}, while {situation.holder.name} changes the cluster: it may have stopped the broker itself"
        return Decision("wait", "waiting", told, (b,), grace)
    restart = None if flaps or alive else _restart(situation, b, absence, why)
    if restart is not None or not situation.holds(b):
        return restart
    if grace > 0:
        return Decision(
            "wait", "waiting", f"{why}; its grace is {format_duration(situation.policy.grace_s)}", (b,), grace
        )
    if absence.failed_at and (left := absence.failed_at + _pause(absence) - situation.now) > 0:
        told = f"{why}; healing it failed {counted(absence.failures, 'time')}; trying again soon"
        return Decision("wait", "waiting", told, (b,), left)
    if situation.policy.replace and situation.node(b) is not None and not absence.replaced and not flaps:
        alone = _alone_on(situation, b)
        if not alone:
            return Decision("replace", "", f"{why}, and its node does not come back", (b,))
        why += f"; its node can't be replaced by an empty one: {alone}"
    tried = f", {counted(absence.restarts, 'start')} of its node did not help" if absence.restarts else ""
    return Decision("reassign", "", f"{why}{tried}", (b,))


def _restart(situation: Situation, broker: int, absence: Absence, why: str) -> Decision | None:
    """Start the node, or wait for a start in progress; None if restarts are not an option (any more)."""
    node, policy = situation.node(broker), situation.policy.restart
    if node is None:
        return None
    may = absence.restarts < policy.attempts
    if node.state == "running":
        left = max(absence.since, absence.restarted_at) + HUNG_AFTER_S - situation.now
        if may and left > 0:
            return Decision("wait", "waiting", f"{why}; its process runs and may still be starting", (broker,), left)
        state = "its process runs but does not answer: it hangs"
    else:
        state = "its process hangs" if node.state == "paused" else "its process is gone"
    if not may:
        return None
    if absence.restarts and (left := absence.restarted_at + RETRY_S - situation.now) > 0:
        return Decision("wait", "waiting", f"{why}; {state}, starting it again", (broker,), left)
    return Decision("restart", "", f"{why}, and {state}", (broker,))


def _alive(situation: Situation, broker: int) -> bool:
    silent_s = following(broker, situation.snapshot.quorum)
    return silent_s is not None and silent_s <= ALIVE_S


def _grace_left(situation: Situation, broker: int, flaps: int) -> float:
    """Seconds of grace that a broker has left. For one that flaps, the grace started when it was first lost in the window."""
    since = situation.absence(broker).since
    if flaps:
        begin = situation.now - situation.policy.flapping.within_s
        since = min((at for at in situation.memory.lost.get(broker, ()) if at >= begin), default=since)
    return since + situation.policy.grace_s - situation.now


def _pause(absence: Absence) -> float:
    """How long after a failure to retry: longer after each."""
    return float(min(LONGEST_PAUSE_S, RETRY_S * 2 ** max(0, absence.failures - 1)))


def _alone_on(situation: Situation, broker: int) -> str:
    """Partitions whose only in-sync replica is on the broker: an empty node would lose them. Empty if there are none."""
    others = set(situation.up) - {broker}
    alone = sum(1 for p in situation.snapshot.partitions if broker in p.replicas and others.isdisjoint(p.isr))
    return f"{counted(alone)} would lose the last in-sync replica" if alone else ""


def _first_aid(situation: Situation, dead: Sequence[Broker]) -> str:
    """Which broker to bring back first."""
    offline = situation.of("partitions-offline")
    if offline:
        return " ".join(f.text for f in offline)
    first = max(dead, key=lambda b: (len(situation.tally.lacking.get(b.id, ())), -b.id))
    return f"Bring back {label(first)} first: most partitions need it."


def _also(situation: Situation) -> str:
    """Partitions that are offline or refuse writes, appended to the reason."""
    found = situation.of("partitions-offline", "under-min-isr")
    return ". " + " ".join(f.text for f in found) if found else ""
