"""The same goal on the cluster as it is now: plan again if a plan no longer fits. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from asgard.cluster.limits import Limits
from asgard.cluster.plan import Change, Plan
from asgard.kafka.model import ClusterSnapshot
from asgard.thor.plan import given, planner
from asgard.thor.plan.kinds import planned


def again(plan: Plan, left: Iterable[Change], snapshot: ClusterSnapshot, limits: Limits) -> Plan:
    """A plan with the goal of `plan`. `left`: its unfinished changes; only the way back is planned from these."""
    if plan.kind == "undo":
        swapped = tuple(replace(c, before=c.after, after=c.before) for c in left)
        found = planner.undo(snapshot, replace(plan, changes=swapped), limits)
        return replace(found, arguments=plan.arguments)
    if plan.kind == "reassign":
        wanted = [given.WantedReplicas(c.topic, c.partition, c.after, c.log_dirs) for c in left]
        return replace(planner.reassign(snapshot, wanted, limits), arguments=plan.arguments)
    there = {str(b.id) for b in snapshot.brokers} | {p.topic for p in snapshot.partitions}
    there |= {f"{b.id}:{d.path}" for b in snapshot.brokers for d in b.log_dirs}
    what = [a for a in plan.arguments if a.rpartition("=")[0] in there or a in there]
    if plan.arguments and not what:
        return replace(plan, changes=(), dir_changes=(), batches=())  # its whole purpose is gone
    return planned(plan.kind, what, snapshot, limits)
