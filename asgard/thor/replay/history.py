"""What the journal knows of copies: which ones started, with which plan, and which finished. Times are seconds since 1970 (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from asgard.journal import events as journalled
from asgard.journal.events import Event, EventFilter
from asgard.journal.store.database import Database

Kind = Literal["replay", "redrive", "restore"]
State = Literal["unfinished", "finished"]


@dataclass(frozen=True)
class RecordedCopy:
    """A copy as recorded in the journal. `plan` is its plan at the start, `last` its last report."""

    id: str
    state: State
    plan: dict[str, Any]
    last: dict[str, Any]
    began_at: float
    last_at: float


def known(journal: Database, kind: Kind = "replay", request: str | None = None) -> list[RecordedCopy]:
    """Copies of this kind, oldest first; only of one request, if given."""
    found: dict[str, RecordedCopy] = {}
    for event in journalled.read(journal, EventFilter(kind=f"thor.{kind}.*")):
        verb, id = event.kind.rpartition(".")[2], event.correlation or event.subject
        if verb == "started":
            if request is None or event.data.get("request") == request:
                found[id] = RecordedCopy(id, "unfinished", event.data, {}, event.at, event.at)
        elif id in found:
            was = found[id]
            state: State = "finished" if verb == "finished" else was.state
            found[id] = RecordedCopy(id, state, was.plan, event.data, was.began_at, event.at)
    return list(found.values())


def note(
    journal: Database, kind: Kind, verb: Literal["started", "stopped", "finished"], id: str, data: dict[str, Any]
) -> Event:
    """Record a copy's state."""
    return journalled.record(journal, f"thor.{kind}.{verb}", id, data, correlation=id)
