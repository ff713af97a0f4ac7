"""What is to be done for this cluster now, and why? Pure: a look, what is remembered and the policy in, one decision out.

The order is that of an operator: an outage of something larger is waited for; brokers that are gone are healed (`heal.lost`);
what offline disks held goes to others; a broker that is back leads again and is filled; then what interrupted runs left is put
back. Planned things come last, outside quiet hours. One thing at a time: the next look decides again.
"""

from __future__ import annotations

from asgard.cluster import quorum as voters
from asgard.core.units import format_duration
from asgard.thor.heal.lost import lost, outage
from asgard.thor.heal.memory import PASSING
from asgard.thor.heal.situation import Case, Decision, counted, hold, ids, named, nowhere

LEAD_AGAIN_S = 3600.0
"""So long after its return a broker that leads too little is told as one that came back."""
QUORUM_S = 20.0
"""Controllers elect a new leader in this time where there is a majority of them."""
CATCH_UP_S = 60.0
"""A shorter grace than this is no measure for a replica that catches up."""


def decide(case: Case) -> Decision:
    """The one thing to do now."""
    for rule in (outage, lost, _log_dirs, _returned, _left_behind, _short, _leaders, _limits, _balance):
        decision = rule(case)
        if decision is not None:
            return decision
    return Decision("healthy", "healthy", _healthy(case))


def _log_dirs(case: Case) -> Decision | None:
    found = case.of("log-dir-offline")
    if not found:
        return None
    why = " ".join(f.text for f in found)
    brokers = tuple(b for f in found for b in f.brokers)
    left = max(case.noted(f) + case.policy.grace_s - case.now for f in found)
    if left > 0:
        return Decision("wait", f"waiting, {format_duration(left)} left", why, brokers, left)
    if stuck := case.stuck(brokers):
        return nowhere(brokers, f"{why} {stuck}")
    if case.failed_lately("reassign"):
        return hold(f"{why} The last healing failed.", f"log-dirs {ids(brokers)}", brokers)
    return Decision("reassign", f"giving the replicas on offline disks of {named(brokers)} to others", why, brokers)


def _returned(case: Case) -> Decision | None:
    """Brokers that are back: in sync first, then leading again, then filled."""
    later: list[Decision] = []
    for b in sorted(case.memory.returned):
        if b not in case.up or b in case.snapshot.silent:
            continue
        if flaps := case.flaps(b):
            window = format_duration(case.policy.flapping.within_s)
            why = f"broker {b} was lost {flaps} times in {window}; it is up now, and gets nothing to do until it has stayed"
            later.append(hold(why, f"flapping {b}", (b,)))
            continue
        behind = len(case.tally.lacking.get(b, ()))
        if behind and case.now - case.memory.returned[b] < max(case.policy.grace_s, CATCH_UP_S):
            why = f"broker {b} is back and catches up with {counted(behind)}"
            later.append(Decision("wait", "waiting", why, (b,)))
        elif not behind and not case.failed_lately("resume") and (resume := _resume(case, b)):
            return resume
    return later[0] if later else None


def _resume(case: Case, broker: int) -> Decision | None:
    if broker in case.memory.emptied:
        why = f"broker {broker} is back, and its replicas had been given to others"
        return None if case.closed else Decision("resume", f"filling broker {broker}", why, (broker,))
    unled = case.tally.unled.get(broker, ())
    if not unled or case.now - case.memory.returned[broker] > LEAD_AGAIN_S:
        return None
    why = f"broker {broker} is back and in sync, and should lead {counted(len(unled))} that others lead"
    partitions = tuple((p.topic, p.partition) for p in unled)
    return Decision("resume", f"letting broker {broker} lead again", why, (broker,), partitions=partitions)


def _left_behind(case: Case) -> Decision | None:
    if not case.left_behind or case.failed_lately("settle"):
        return None
    why = f"{counted(case.left_behind, 'operation')} of runs that were cut short"
    return Decision("settle", "putting back what was left behind", why)


def _short(case: Case) -> Decision | None:
    """What is wrong although no broker is gone: no move of data heals it."""
    found = case.of("partitions-offline", "quorum-at-risk", "under-min-isr", "under-replicated", "broker-silent")
    if not found:
        return None
    why = " ".join(f.text for f in found)
    brokers = tuple(dict.fromkeys(b for f in found for b in f.brokers))
    passing = all(f.kind in PASSING for f in found)
    majority = case.snapshot.quorum is None or voters.health(case.snapshot.quorum).spare >= 0
    patience_s = max(case.policy.grace_s, CATCH_UP_S) if majority else QUORUM_S
    left = max(case.noted(f) for f in found) + patience_s - case.now
    if passing and left > 0:
        return Decision("wait", f"waiting, {format_duration(left)} left", why, brokers, left)
    return hold(why, " ".join(sorted({f.kind for f in found})), brokers)


def _leaders(case: Case) -> Decision | None:
    found = case.of("leader-imbalance")
    if not found or not case.policy.leaders or case.closed or case.failed_lately("elect"):
        return None
    brokers = tuple(b for f in found for b in f.brokers)
    partitions = tuple((p.topic, p.partition) for b in brokers for p in case.tally.unled.get(b, ()))
    return Decision("elect", "electing preferred leaders", found[0].text, brokers, partitions=partitions)


def _limits(case: Case) -> Decision | None:
    found = case.of("limit-exceeded")
    if not found:
        return None
    why = " ".join(f.text for f in found)
    brokers = tuple(dict.fromkeys(b for f in found for b in f.brokers))
    reason = "the policy does not heal limits" if not case.policy.limits else case.closed
    if not reason and case.failed_lately("balance"):
        reason = "the last balance could not put it right"
    if reason:
        return hold(f"{why} Nothing is moved: {reason}.", f"limits {ids(brokers)}", brokers)
    return Decision("balance", "balancing", why, brokers)


def _balance(case: Case) -> Decision | None:
    if not case.policy.balance or case.closed or case.failed_lately("balance"):
        return None
    spread = _spread(case)
    if spread <= 1 + case.limits.tolerance:
        return None
    return Decision("balance", "balancing", f"the fullest broker holds {spread:.2f} of the mean of all")


def _spread(case: Case) -> float:
    """Bytes of the fullest broker over the mean; 1 where not all sizes are measured."""
    held = dict.fromkeys(case.up, 0)
    for p in case.snapshot.partitions:
        if p.size_bytes is None:
            return 1.0
        for r in p.replicas:
            if r in held:
                held[r] += p.size_bytes
    total = sum(held.values())
    return max(held.values()) * len(held) / total if total else 1.0


def _healthy(case: Case) -> str:
    text = f"{counted(len(case.up), 'broker')} up, all replicas of {counted(len(case.snapshot.partitions))} in sync"
    if case.gone:
        gone = [b.id for b in case.gone]
        verb = "is gone and holds" if len(gone) == 1 else "are gone and hold"
        text += f"; {named(gone)} {verb} no replica: bring it back, or unregister it"
    waiting = sorted(b for b in case.memory.returned if b in case.memory.emptied and b in case.up)
    if waiting and case.closed:
        text += f"; {named(waiting)} {'is' if len(waiting) == 1 else 'are'} filled later: {case.closed}"
    return text
