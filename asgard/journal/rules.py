"""Who may take a lease now. Pure: rows and a time in, a decision with its reason out; the effects are in `leases`.

A lease is free if it is not held, if its holder's process is certainly dead, or if it was not renewed until
`takeover_at` (its end plus one call deadline, for a call that its holder sent in time). Among several requests for a
free lease, the highest priority gets it, then the earliest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from asgard.core.process import Identity


class Priority(IntEnum):
    """The order if several want one lease. A holder hands over to a higher priority, never to an equal one."""

    BALANCE = 10
    """balance, leaders"""
    FILL = 20
    """fill, set-rf"""
    CHANGE = 30
    """drain, rack-repair, rolling restart, up"""
    HEAL = 40
    """heal"""
    CANCEL = 50
    """cancel: an operator's command, waiting at the terminal"""


@dataclass(frozen=True)
class Timing:
    """How long things last, in seconds. A holder looks for higher requests every `look_s`; a waiting process asks every `poll_s`.

    Leases and waiting requests live `ttl_s` and are renewed every `renew_s`. `call_deadline_s` is the longest call to a
    cluster that a holder makes.
    """

    ttl_s: float = 15.0
    renew_s: float = 5.0
    look_s: float = 1.0
    poll_s: float = 0.25
    call_deadline_s: float = 10.0


TIMING = Timing()


@dataclass(frozen=True)
class Claimant:
    """A process that holds or requests a lease, and its purpose. Times are the journal's."""

    who: Identity
    actor: str
    doing: str
    priority: int
    since: float
    until: float

    def __str__(self) -> str:
        return f"{self.doing} ({self.actor}, {self.who})"


@dataclass(frozen=True)
class LeaseState:
    """A lease as the journal shows it; `holder` is None if it was released."""

    name: str
    fence: int
    holder: Claimant | None
    takeover_at: float

    def is_free(self, now: float, is_dead: Callable[[Identity], bool]) -> bool:
        """Whether another process may take it."""
        return self.holder is None or now >= self.takeover_at or is_dead(self.holder.who)


@dataclass(frozen=True)
class Wait:
    """A request that waits for a lease."""

    id: str
    claimant: Claimant


@dataclass(frozen=True)
class Blocked:
    """The lease can't be taken now, and this is its holder."""

    by: Claimant
    holds: bool

    def sentence(self, name: str, now: float) -> str:
        """Its holder (or the next one), since when, doing what."""
        since = datetime.fromtimestamp(self.by.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        verb = "is held by" if self.holds else "is free, but reserved for"
        return f"{name} {verb} {self.by}, since {since} ({max(0.0, now - self.by.since):.0f} s)"


def blocked(
    state: LeaseState | None,
    waits: Iterable[Wait],
    mine: Wait,
    now: float,
    is_dead: Callable[[Identity], bool],
) -> Blocked | None:
    """None if `mine` may take the lease now, else the process in the way."""
    if state is not None and state.holder is not None and not state.is_free(now, is_dead):
        return Blocked(state.holder, holds=True)
    first = next_in_line([w for w in waits if w.id != mine.id] + [mine], now, is_dead, always=mine.id)
    return None if first is None or first.id == mine.id else Blocked(first.claimant, holds=False)


def next_in_line(
    waits: Iterable[Wait], now: float, is_dead: Callable[[Identity], bool], *, always: str | None = None
) -> Wait | None:
    """The request that goes first: of those still renewed by a living process (or named `always`)."""
    alive = [w for w in waits if w.id == always or (w.claimant.until > now and not is_dead(w.claimant.who))]
    return min(alive, key=lambda w: (-w.claimant.priority, w.claimant.since, w.id), default=None)
