"""The life of a request: its states and their transitions. Pure."""

from __future__ import annotations

from typing import Literal

from asgard.core.errors import Refused

State = Literal["draft", "pending", "approved", "applying", "ready", "failed", "rejected", "cancelled", "expired"]

FOLLOWS: dict[State, frozenset[State]] = {
    "draft": frozenset({"pending", "approved", "rejected", "cancelled"}),
    "pending": frozenset({"pending", "approved", "rejected", "cancelled", "expired"}),
    "approved": frozenset({"applying", "cancelled"}),
    "applying": frozenset({"ready", "failed", "approved"}),
    "failed": frozenset({"approved", "cancelled"}),
    "ready": frozenset(),
    "rejected": frozenset(),
    "cancelled": frozenset(),
    "expired": frozenset(),
}
"""`pending` follows itself if one of several approvals was given; `approved` follows `applying` if a run gave the request back."""

ENDS: frozenset[State] = frozenset(state for state, after in FOLLOWS.items() if not after)
RESERVES: frozenset[State] = frozenset({"pending", "approved", "failed"})
"""In these states what a request asks for counts against the budget; from `applying` on it counts as what the team has."""
OPEN: frozenset[State] = frozenset(FOLLOWS) - ENDS

VERBS: dict[State, str] = {
    "draft": "drafted",
    "pending": "submitted",
    "approved": "approved",
    "applying": "started",
    "ready": "finished",
    "failed": "failed",
    "rejected": "rejected",
    "cancelled": "cancelled",
    "expired": "expired",
}
"""The verb of the event in the journal: `bifrost.request.VERB`."""


def check(before: State, after: State) -> None:
    """Raise Refused if a request can't go from one state to the other."""
    if after not in FOLLOWS[before]:
        allowed = ", ".join(sorted(FOLLOWS[before])) or "none: that is its end"
        raise Refused(f"a request that is {before} can't become {after}", f"What may follow: {allowed}.")
