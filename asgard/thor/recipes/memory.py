"""What a recipe run leaves in the journal, so that the next one can continue after a kill.

A run is `thor.recipe.started`, an event for every step, and `thor.recipe.finished` or `.failed`, all with one correlation. A run
without an end was cut short. Only one run of a recipe is active in a cluster at a time (its lease), so the next run may continue
it, if the recipe and its values are the same and it is not too old. A run that failed is started over, but its notes are
still used.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from asgard.thor.recipes.model import Recipe

if TYPE_CHECKING:
    from asgard.journal.events import Event
    from asgard.journal.store.database import Database

RESUMABLE_S = 24 * 3600.0
"""A run cut short longer ago is not continued."""
TRIGGERS_S = 24 * 3600.0
"""An older event triggers nothing."""
STARTED, RESUMED, SKIPPED, FINISHED, FAILED = (
    f"thor.recipe.{verb}" for verb in ("started", "resumed", "skipped", "finished", "failed")
)
STEP_FINISHED, STEP_FAILED = "thor.step.finished", "thor.step.failed"
_LOOKED_AT = 500


@dataclass(frozen=True)
class Memory:
    """One run in the journal. `resumes` is when the run it continues started (UTC seconds), None for a new one.

    `before` are the events of that run, or of the last one if it failed.
    """

    journal: Database
    recipe: Recipe
    cluster_id: str
    run: str
    resumes: float | None = None
    before: tuple[Event, ...] = ()

    def note(self, kind: str, data: Mapping[str, object]) -> None:
        """Write an event of this run."""
        from asgard.journal import events

        about = {**data, "cluster_id": self.cluster_id}
        events.record(self.journal, kind, self.recipe.name, about, correlation=self.run)

    def start(self, trigger: Event | None = None) -> None:
        """Note that it starts or resumes; `trigger` is the event it answers."""
        kind = STARTED if self.resumes is None else RESUMED
        data = {"digest": self.recipe.digest, "values": dict(self.recipe.values)}
        self.note(kind, {**data, "event": trigger.id if trigger else None})

    def noted(self, kind: str) -> list[Event]:
        """Events of that kind from before, and those that this run has written so far."""
        from asgard.journal import events

        mine = events.read(self.journal, events.EventFilter(kind=kind, correlation=self.run))
        return [e for e in self.before if e.kind == kind and e.correlation != self.run] + mine

    def finished_steps(self) -> set[int]:
        """Steps to skip: those finished before the run was cut short."""
        return set() if self.resumes is None else {int(e.data["number"]) for e in self.noted(STEP_FINISHED)}


def recall(journal: Database, recipe: Recipe, cluster_id: str, *, fresh: bool = False) -> Memory:
    """The run to continue, or a new one; with `fresh` always a new one without memory. Writes nothing."""
    from asgard.journal import events

    new = Memory(journal, recipe, cluster_id, uuid.uuid4().hex[:12])
    mine = [] if fresh else _of(journal, recipe, cluster_id)
    last = next((e for e in reversed(mine) if e.kind == STARTED), None)
    if last is None or last.correlation is None or last.data.get("digest") != recipe.digest:
        return new
    ends = {e.kind for e in mine if e.correlation == last.correlation}
    if FINISHED in ends or journal.time() - last.at > RESUMABLE_S:
        return new
    before = tuple(events.read(journal, events.EventFilter(correlation=last.correlation)))
    if FAILED in ends:
        return replace(new, before=before)
    return replace(new, run=last.correlation, resumes=last.at, before=before)


def next_trigger(journal: Database, recipe: Recipe, cluster_id: str) -> Event | None:
    """The event that triggers the recipe next; None if all are answered.

    A run answers an event and all earlier ones about the same subject. Returns the newest event of the subject that has waited longest.
    """
    from asgard.journal import events

    if recipe.event is None:
        return None
    answers = {int(e.data["event"]) for e in _of(journal, recipe, cluster_id) if e.data.get("event") is not None}
    wanted = events.EventFilter(kind=recipe.event, since=journal.time() - TRIGGERS_S)
    waiting: dict[str, Event] = {}
    for event in events.read(journal, wanted, last=_LOOKED_AT):
        if event.id in answers:
            waiting.pop(event.subject, None)
        elif event.data.get("cluster_id") in (None, cluster_id) and _matches(event, recipe):
            waiting[event.subject] = event  # a subject that is already waiting keeps its place
    return next(iter(waiting.values()), None)


def _matches(event: Event, recipe: Recipe) -> bool:
    return all(
        any(fnmatchcase(str(event.data.get(name, "")), pattern) for pattern in patterns)
        for name, patterns in recipe.event_where.items()
    )


def _of(journal: Database, recipe: Recipe, cluster_id: str) -> list[Event]:
    from asgard.journal import events

    wanted = events.EventFilter(kind="thor.recipe.*", subject=recipe.name)
    return [e for e in events.read(journal, wanted, last=_LOOKED_AT) if e.data.get("cluster_id") == cluster_id]
