"""What does this cluster need now, and why? Pure: takes a look, the memory and the policy, returns one decision.

The order is an operator's: wait out a larger outage; heal dead brokers (`heal.lost`); move what offline disks held to others;
give a returned broker its leaders back and fill it; then put back what interrupted runs left. Planned work comes last,
outside quiet hours. One thing at a time: the next look decides again.
"""

from __future__ import annotations

from asgard.cluster import quorum
from asgard.cluster.placement import refusal
from asgard.core.units import format_duration
from asgard.thor.heal.lost import lost, outage
from asgard.thor.heal.memory import PASSING
from asgard.thor.heal.situation import Decision, Situation, counted, ids, named, nowhere, stand_by

LEAD_AGAIN_S = 3600.0
"""For this long after its return, a broker with too few leaders is reported as one that came back."""
QUORUM_S = 20.0
"""Controllers elect a new leader within this time if they have a majority."""
CATCH_UP_S = 60.0
"""A grace shorter than this is too short for a replica that is catching up."""


def decide(situation: Situation) -> Decision:
    """The one thing to do now."""
    for rule in (
        outage, lost, _log_dirs, _returned, _left_behind, _short, _leaders, _limits, _directories, _balance, _failed_dirs
    ):  # fmt: skip
        decision = rule(situation)
        if decision is not None:
            return decision
    return Decision("healthy", "healthy", _healthy(situation))


def _log_dirs(situation: Situation) -> Decision | None:
    """Log directories that failed, until no replica is missing because of them."""
    found = [f for f in situation.of("log-dir-offline") if f.count]
    if not found:
        return None
    why = " ".join(f.text for f in found)
    brokers = tuple(b for f in found for b in f.brokers)
    left = max(situation.noted(f) + situation.policy.grace_s - situation.now for f in found)
    if left > 0:
        return Decision("wait", f"waiting, {format_duration(left)} left", why, brokers, left)
    if stuck := situation.stuck("reassign", brokers):
        return nowhere(brokers, f"{why} {stuck}")
    if situation.failed_lately("reassign"):
        return stand_by(f"{why} The last healing failed.", f"log-dirs {ids(brokers)}", brokers)
    return Decision(
        "reassign", f"moving the replicas on offline disks of {named(brokers)} to other brokers", why, brokers
    )


def _failed_dirs(situation: Situation) -> Decision | None:
    """Those that no replica needs any more."""
    found = situation.of("log-dir-offline")
    if not found:
        return None
    brokers = tuple(b for f in found for b in f.brokers)
    why = " ".join(f.text for f in found)
    return stand_by(f"{why} Nothing is left to move: replace the disk.", f"log-dirs {ids(brokers)}", brokers)


def _returned(situation: Situation) -> Decision | None:
    """Returned brokers: in sync first, then leading again, then filled."""
    later: list[Decision] = []
    for b in sorted(situation.memory.returned):
        if b not in situation.up or b in situation.snapshot.silent:
            continue
        if flaps := situation.flaps(b):
            window = format_duration(situation.policy.flapping.within_s)
            why = f"broker {b} was lost {flaps} times in {window}; it is up now, but gets no work until it stays up"
            later.append(stand_by(why, f"flapping {b}", (b,)))
            continue
        behind = len(situation.tally.lacking.get(b, ()))
        if behind and situation.now - situation.memory.returned[b] < max(situation.policy.grace_s, CATCH_UP_S):
            why = f"broker {b} is back and is catching up on {counted(behind)}"
            later.append(Decision("wait", "waiting", why, (b,)))
        elif not behind and not situation.failed_lately("resume") and (resume := _resume(situation, b)):
            return resume
    return later[0] if later else None


def _resume(situation: Situation, broker: int) -> Decision | None:
    if broker in situation.memory.emptied:
        why = f"broker {broker} is back; its replicas were moved to other brokers"
        return None if _later(situation, broker) else Decision("resume", f"filling broker {broker}", why, (broker,))
    unled = situation.tally.unled.get(broker, ())
    if not unled or situation.now - situation.memory.returned[broker] > LEAD_AGAIN_S:
        return None
    why = f"broker {broker} is back and in sync, but does not lead {counted(len(unled))} that it should"
    partitions = tuple((p.topic, p.partition) for p in unled)
    return Decision("resume", f"letting broker {broker} lead again", why, (broker,), partitions=partitions)


def _later(situation: Situation, broker: int) -> str:
    """Why a broker that is back is not filled now; empty if it is."""
    there = next(b for b in situation.snapshot.brokers if b.id == broker)
    return situation.closed or refusal(there, situation.snapshot.silent, situation.limits)


def _left_behind(situation: Situation) -> Decision | None:
    if not situation.left_behind or situation.failed_lately("settle"):
        return None
    why = f"{counted(situation.left_behind, 'operation')} left by interrupted runs"
    return Decision("settle", "putting back what was left behind", why)


def _short(situation: Situation) -> Decision | None:
    """Problems that remain although no broker is gone: moving data does not heal them."""
    found = situation.of("partitions-offline", "quorum-at-risk", "under-min-isr", "under-replicated", "broker-silent")
    if not found:
        return None
    why = " ".join(f.text for f in found)
    brokers = tuple(dict.fromkeys(b for f in found for b in f.brokers))
    passing = all(f.kind in PASSING for f in found)
    majority = situation.snapshot.quorum is None or quorum.health(situation.snapshot.quorum).spare >= 0
    patience_s = max(situation.policy.grace_s, CATCH_UP_S) if majority else QUORUM_S
    left = max(situation.noted(f) for f in found) + patience_s - situation.now
    if passing and left > 0:
        return Decision("wait", f"waiting, {format_duration(left)} left", why, brokers, left)
    return stand_by(why, " ".join(sorted({f.kind for f in found})), brokers)


def _leaders(situation: Situation) -> Decision | None:
    found = situation.of("leader-imbalance")
    if not found or not situation.policy.leaders or situation.closed or situation.failed_lately("elect"):
        return None
    brokers = tuple(b for f in found for b in f.brokers)
    partitions = tuple((p.topic, p.partition) for b in brokers for p in situation.tally.unled.get(b, ()))
    return Decision("elect", "electing preferred leaders", found[0].text, brokers, partitions=partitions)


def _limits(situation: Situation) -> Decision | None:
    found = situation.of("limit-exceeded")
    if not found:
        return None
    why = " ".join(f.text for f in found)
    brokers = tuple(dict.fromkeys(b for f in found for b in f.brokers))
    reason = "the policy does not heal limits" if not situation.policy.limits else situation.closed
    if not reason and situation.failed_lately("balance"):
        reason = "the last balance could not fix it"
    if reason:
        return stand_by(f"{why} Nothing is moved: {reason}.", f"limits {ids(brokers)}", brokers)
    if stuck := situation.stuck("balance", brokers):
        return nowhere(brokers, f"{why} {stuck}")
    return Decision("balance", "balancing", why, brokers)


def _directories(situation: Situation) -> Decision | None:
    """Log directories over their limit: evened within their broker."""
    found = situation.of("log-dir-over-limit")
    if not found:
        return None
    why = " ".join(f.text for f in found)
    brokers = tuple(dict.fromkeys(b for f in found for b in f.brokers))
    reason = "the policy does not heal limits" if not situation.policy.limits else situation.closed
    if not reason and situation.failed_lately("disks"):
        reason = "the last try could not fix it"
    if reason:
        return stand_by(f"{why} Nothing is moved: {reason}.", f"log-dirs over limits {ids(brokers)}", brokers)
    if stuck := situation.stuck("disks", brokers):
        return nowhere(brokers, f"{why} {stuck}")
    return Decision("disks", f"evening the log directories of {named(brokers)}", why, brokers)


def _balance(situation: Situation) -> Decision | None:
    if not situation.policy.balance or situation.closed or situation.failed_lately("balance"):
        return None
    spread = _spread(situation)
    if spread <= 1 + situation.limits.tolerance:
        return None
    why = f"the fullest broker holds {spread:.2f} of the mean of all"
    if stuck := situation.stuck("balance", ()):
        return nowhere((), f"{why}. {stuck}")
    return Decision("balance", "balancing", why)


def _spread(situation: Situation) -> float:
    """Bytes of the fullest broker over the mean; 1 if not all sizes are measured."""
    held = dict.fromkeys(situation.up, 0)
    for p in situation.snapshot.partitions:
        if p.size_bytes is None:
            return 1.0
        for r in p.replicas:
            if r in held:
                held[r] += p.size_bytes
    total = sum(held.values())
    return max(held.values()) * len(held) / total if total else 1.0


def _healthy(situation: Situation) -> str:
    text = f"{counted(len(situation.up), 'broker')} up, all replicas of {counted(len(situation.snapshot.partitions))} in sync"
    if situation.gone:
        gone = [b.id for b in situation.gone]
        verb = "is gone and holds" if len(gone) == 1 else "are gone and hold"
        text += f"; {named(gone)} {verb} no replica: bring it back, or unregister it"
    waiting: dict[str, list[int]] = {}
    for b in sorted(situation.memory.emptied.intersection(situation.memory.returned, situation.up)):
        waiting.setdefault(_later(situation, b), []).append(b)
    for why, brokers in waiting.items():
        if why:
            text += f"; {named(brokers)} {'is' if len(brokers) == 1 else 'are'} filled later: {why}"
    return text
