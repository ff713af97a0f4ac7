"""What was healed, and the outcome: the journal's events as one line per healing. Pure.

A cluster has one healing at a time, so a healing's start and end are next to each other among that cluster's healings. A
start without an end was cut short, unless it is the newest and is still running. Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from asgard.thor.heal.memory import FAILED, FINISHED, HELD, STARTED

if TYPE_CHECKING:
    from asgard.journal.events import Event

KINDS = (STARTED, FINISHED, FAILED, HELD)


@dataclass(frozen=True)
class Healing:
    """A healing, or a decision to hold still. `state`: done, failed, held, begun (no end in the journal). `drill`: who broke it."""

    at: float
    cluster: str
    cluster_id: str
    cause: str
    decision: str
    action: str
    state: str
    outcome: str
    brokers: tuple[int, ...]
    seconds: float | None
    incident: str | None
    drill: str | None


def healings(events: Iterable[Event]) -> list[Healing]:
    """One per healing, in the order they started."""
    found: list[Healing] = []
    begun: dict[str, int] = {}
    for event in events:
        if event.kind not in KINDS:
            continue
        new = _healing(event)
        if event.kind in (FINISHED, FAILED) and (index := begun.pop(new.cluster_id, None)) is not None:
            found[index] = replace(
                found[index], state=new.state, outcome=new.outcome, seconds=round(event.at - found[index].at, 2)
            )
            continue
        if event.kind == STARTED:
            begun[new.cluster_id] = len(found)
        found.append(new)
    return found


def _healing(event: Event) -> Healing:
    data = event.data
    return Healing(
        event.at,
        event.subject,
        str(data["cluster_id"]),
        str(data["cause"]),
        str(data["decision"]),
        str(data["action"]),
        {STARTED: "begun", FINISHED: "done", FAILED: "failed", HELD: "held"}[event.kind],
        str(data.get("outcome", "")),
        tuple(int(b) for b in data["brokers"]),
        None,
        event.correlation,
        data.get("drill"),
    )
