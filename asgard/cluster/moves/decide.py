"""What an execution does next, and why. Pure: observations in, one step out; the effects are in `execution`.

The more urgent command goes first. Plans that can wait (fill, set-rf, balance, leaders) stop when a broker is lost;
those that still make sense after the loss (drain, rack-repair, undo) continue around it; a healing stops, so that its
caller can decide again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from asgard.cluster.limits import Limits
from asgard.cluster.moves.health import Worse
from asgard.cluster.plan import Kind
from asgard.core import windows
from asgard.journal.rules import Priority

PRIORITIES: dict[Kind, Priority] = {
    "heal": Priority.HEAL,
    "drain": Priority.CHANGE,
    "rack-repair": Priority.CHANGE,
    "reassign": Priority.CHANGE,
    "disks": Priority.BALANCE,
    "undo": Priority.CHANGE,
    "fill": Priority.FILL,
    "set-rf": Priority.FILL,
    "balance": Priority.BALANCE,
    "leaders": Priority.BALANCE,
}
STALLED_AFTER_S = 300.0
"""After this long without a byte or partition of progress, the moves are given up."""


@dataclass(frozen=True)
class Sight:
    """What an execution sees: moves in flight, changes left, waiting commands, why no move may start now, what got worse.

    `inherited`: moves in flight taken over from another command. `hit`: own moves, in flight or left, that add a
    replica on a lost broker. `idle_s`: how long nothing moved.
    """

    kind: Kind
    flying: int
    left: int
    inherited: int = 0
    wanted_by: str | None = None
    closed: str | None = None
    worse: Worse = field(default_factory=Worse)
    hit: int = 0
    idle_s: float = 0.0


@dataclass(frozen=True)
class Submit:
    """Start the next batch."""


@dataclass(frozen=True)
class Wait:
    """Look again in a moment."""


@dataclass(frozen=True)
class Finish:
    """Everything is where it should be."""


@dataclass(frozen=True)
class HandOver:
    """Leave the moves in flight to the waiting command, immediately."""

    why: str


@dataclass(frozen=True)
class Pause:
    """Nothing is in flight and no more may start now: put back temporary settings, to continue later."""

    why: str


@dataclass(frozen=True)
class Stop:
    """Submit no more. `cancel`: also cancel what is in flight; else it keeps running."""

    why: str
    cancel: bool = True


@dataclass(frozen=True)
class GoOn:
    """Continue without these brokers; `replan`: the remaining moves need them."""

    without: frozenset[int]
    why: str
    replan: bool


NextStep = Submit | Wait | Finish | HandOver | Pause | Stop | GoOn


def next_step(sight: Sight) -> NextStep:
    """The step to take now."""
    if not (sight.flying or sight.left or sight.inherited):
        return Finish()
    if sight.wanted_by:
        return HandOver(sight.wanted_by)
    worse, healing = sight.worse, sight.kind == "heal"
    if worse.offline or (worse.lacking and not healing):
        return Stop(str(worse), cancel=not healing)
    if worse.lost:
        if healing or len(worse.lost) > 1 or PRIORITIES[sight.kind] < Priority.CHANGE:
            return Stop(str(worse), cancel=not healing)
        return GoOn(worse.lost, str(worse), replan=sight.hit > 0)
    flying = sight.flying + sight.inherited
    if flying and sight.idle_s > STALLED_AFTER_S:
        return Stop(f"{flying} moves made no progress for {STALLED_AFTER_S / 60:.0f} minutes", cancel=not healing)
    # A batch together with inherited moves could break a limit; a healing does not wait for that.
    if sight.flying or not sight.left or (sight.inherited and not healing):
        return Wait()
    return Pause(sight.closed) if sight.closed else Submit()


def closed(limits: Limits, now: float) -> str | None:
    """Why no planned move may start now (seconds since 1970); None if one may."""
    if not limits.windows or windows.within(limits.windows, now):
        return None
    opens = time.strftime("%a %H:%M", time.gmtime(windows.next_opening(limits.windows, now)))
    return f"planned moves may start only in {', '.join(limits.windows)} UTC; next on {opens}"
