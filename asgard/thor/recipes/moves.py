"""The steps of a recipe that move replicas or leaders: a plan for the cluster as it is now."""

from __future__ import annotations

from collections.abc import Callable

from asgard.cluster.limits import Limits
from asgard.cluster.plan import Plan
from asgard.core.schema import recipe as schema
from asgard.core.units import format_size
from asgard.kafka.model import ClusterSnapshot
from asgard.thor.plan import kinds
from asgard.thor.recipes.facts import ClusterFacts
from asgard.thor.recipes.model import RecipeStep

Planner = Callable[[ClusterSnapshot, Limits], Plan | None]
"""None: no broker to do it to."""


def planner_of(step: RecipeStep) -> Planner | None:
    """The planner of the step; None if it moves nothing by plan."""
    given = step.given
    if not isinstance(given, schema.Moving):
        return None
    words: list[str] = []
    if isinstance(given, schema.Fill) and given.brokers == "empty":
        return _fill_empty
    if isinstance(given, schema.Drain | schema.Fill):
        words = [str(broker) for broker in given.brokers]
    elif isinstance(given, schema.SetReplication):
        words = [f"{topic}={factor}" for topic, factor in given.topics.items()]
    return kinds.planner_of(step.action, words)


def _fill_empty(snapshot: ClusterSnapshot, limits: Limits) -> Plan | None:
    chosen = ClusterFacts(snapshot, limits).empty
    return kinds.planned(kinds.PlanKind.FILL, [str(b) for b in chosen], snapshot, limits) if chosen else None


def summary(plan: Plan | None) -> str:
    """A plan in a line."""
    if plan is None:
        return "no broker is empty"
    if not plan.moved:
        return "nothing to move" + (f"; not met: {plan.unmet[0]}" if plan.unmet else "")
    size = f", {format_size(plan.bytes_moved)} to copy" if plan.bytes_moved else ", nothing to copy"
    return f"{plan.moved} {'partitions' if plan.changes else 'replicas'}{size}" + (
        f"; not met: {plan.unmet[0]}" if plan.unmet else ""
    )
