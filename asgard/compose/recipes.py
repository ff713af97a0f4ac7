"""Recipes on a real cluster: who may run one, one run at a time, and what it would do.

A run holds the lease `cluster/<id>/recipe/<name>`, so a recipe has one run at a time; each step that changes the cluster
takes the cluster's own lease with its own priority, like the command of the same name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgard.cluster.limits import Limits
from asgard.compose import settle
from asgard.compose.recipe_steps import Steps, priorities
from asgard.core import contexts, events, program
from asgard.core.errors import Busy, Refused
from asgard.kafka.target import Target
from asgard.thor.heal.policy import Policy
from asgard.thor.recipes import memory
from asgard.thor.recipes import run as runs
from asgard.thor.recipes.model import Recipe
from asgard.thor.recipes.run import Report, StepReport, World

if TYPE_CHECKING:
    from asgard.journal.leases import Priority
    from asgard.journal.store.database import Database


@dataclass(frozen=True)
class RecipeOptions:
    """How to run a recipe. `on_event`: only if a triggering event has come; `fresh`: don't continue a killed run."""

    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    confirm: str | None = None
    on_event: bool = False
    allow_run: bool = False
    fresh: bool = False


def run(recipe: Recipe, target: Target, options: RecipeOptions, *, agree: Callable[[], None]) -> Report:
    """Run a recipe. Raises Busy if it is already running or the cluster is taken, Refused, Unreachable; then nothing was done."""
    from asgard.journal import leases
    from asgard.journal.store.database import open_journal

    allow(recipe, options.allow_run)
    with _opened(recipe, target, options) as steps, open_journal() as journal:
        contexts.refuse_protected_cluster(steps.cluster_id, options.confirm, healing=_only_heals(recipe))
        lease = f"cluster/{steps.cluster_id}/recipe/{recipe.name}"
        with leases.hold(journal, lease, priority=_priority(recipe), doing=f"thor recipe run {recipe.name}"):
            found = memory.recall(journal, recipe, steps.cluster_id, fresh=options.fresh)
            trigger = None
            if options.on_event and found.resumes is None:
                trigger = memory.next_trigger(journal, recipe, steps.cluster_id)
                if trigger is None:
                    _put_back_what_is_due(steps, journal)
                    return Report(recipe.name, target.name, found.run, "nothing", f"no new event {recipe.event}")
            _refuse_if_taken(journal, recipe, steps.cluster_id)
            world = World(steps.facts, steps.actions())
            return runs.run(recipe, world, found, target.name, agree=agree, trigger=trigger)


def preview(recipe: Recipe, target: Target, options: RecipeOptions) -> Report:
    """What a run would do now. Changes nothing and notifies nobody."""
    with _opened(recipe, target, options) as steps:
        facts = steps.facts()
        verdicts = facts.judge_all(recipe.when)
        for verdict in verdicts:
            events.note(str(verdict))
        there = all(v.holds for v in verdicts)
        report = Report(recipe.name, target.name, "", "nothing", "this would be done" if there else "nothing to do now; otherwise this would be done")  # fmt: skip
        for step in recipe.steps:
            text = steps.describe(step, facts)
            events.note(f"step {step.number}, {step.name}: {text}")
            report.steps.append(StepReport(step.number, step.action, step.name, "nothing", text, 0.0))
        return report


def allow(recipe: Recipe, allowed: bool) -> None:
    """Raise Refused for a recipe that runs programs without permission, or that others could change."""
    if not recipe.programs:
        return
    if not allowed:
        raise Refused(
            f"the recipe {recipe.name} runs programs on this machine: {', '.join(p[0] for p in recipe.programs)}",
            f"Look at them with asgard thor recipe show {recipe.file}, then add --allow-run.",
        )
    program.refuse_writable_by_others(recipe.file)


@contextlib.contextmanager
def _opened(recipe: Recipe, target: Target, options: RecipeOptions) -> Iterator[Steps]:
    control = target.connect(deadline_s=settle.CALL_DEADLINE_S)
    try:
        yield Steps(
            recipe, target, control, control.cluster().cluster_id, options.limits, options.policy, options.confirm
        )
    finally:
        control.close()


def _only_heals(recipe: Recipe) -> bool:
    """Whether only healing changes the cluster: then a context with `heal: allowed` permits it."""
    return {step.action for step in recipe.steps} <= {"heal", "verify", "wait-until", "notify"}


def _priority(recipe: Recipe) -> Priority:
    """The priority of its first step that changes the cluster."""
    from asgard.journal.leases import Priority

    return next((priorities()[s.action] for s in recipe.steps if s.action in priorities()), Priority.BALANCE)


def _put_back_what_is_due(steps: Steps, journal: Database) -> None:
    """A recipe waiting for its event runs every minute: it also puts back what earlier runs kept until now, or left."""
    from asgard.compose import holding
    from asgard.journal import operations
    from asgard.journal.leases import Priority

    left = operations.unfinished(journal, under=f"cluster/{steps.cluster_id}/")
    if not any(u.unheld for u in left):
        return
    try:
        with holding.to_change(
            steps.target, priority=Priority.BALANCE, doing=f"putting back what {steps.recipe.name} kept",
            confirm=steps.confirm, control=steps.control, journal=journal,
        ):  # fmt: skip
            pass
    except Busy:
        return  # the command changing the cluster has done it


def _refuse_if_taken(journal: Database, recipe: Recipe, cluster_id: str) -> None:
    """Raise Busy if an equally urgent command changes the cluster, or someone breaks it on purpose, before anything is recorded."""
    from asgard.core import process
    from asgard.journal import leases

    if not any(step.action in priorities() for step in recipe.steps):
        return
    name = leases.cluster_change(cluster_id)
    with journal.read() as connection:
        now = journal.now(connection)
    held = next((s for s in leases.listed(journal) if s.name == name and not s.is_free(now, process.is_dead)), None)
    if held is not None and held.holder is not None and held.holder.priority >= _priority(recipe):
        leases.refuse_if_held(journal, name)
    if not _only_heals(recipe):
        leases.refuse_if_held(journal, leases.cluster_fault(cluster_id))
