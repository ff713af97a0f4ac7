"""The same goal on the cluster as it is now: the planner once more, for a plan that no longer fits. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from asgard.kafka.model import ClusterSnapshot
from asgard.thor.limits import Limits
from asgard.thor.plan import planner
from asgard.thor.plan.model import Change, Plan


def again(plan: Plan, left: Iterable[Change], snapshot: ClusterSnapshot, limits: Limits) -> Plan:
    """A plan with the goal of `plan`. `left`: its changes that are not made; only the way back is planned from these."""
    match plan.kind:
        case "heal":
            return planner.heal(snapshot, limits)
        case "drain" | "fill":
            known = {b.id for b in snapshot.brokers}
            brokers = [int(b) for b in plan.arguments if int(b) in known]
            if not brokers:
                return replace(plan, changes=(), batches=())
            make = planner.drain if plan.kind == "drain" else planner.fill
            return make(snapshot, brokers, limits)
        case "balance":
            return planner.balance(snapshot, limits)
        case "leaders":
            return planner.leaders(snapshot, limits)
        case "rack-repair":
            return planner.rack_repair(snapshot, limits)
        case "set-rf":
            there = {p.topic for p in snapshot.partitions}
            wanted = {t: int(n) for t, _, n in (a.rpartition("=") for a in plan.arguments) if t in there}
            return planner.set_rf(snapshot, wanted, limits)
        case "undo":
            swapped = tuple(replace(c, before=c.after, after=c.before) for c in left)
            found = planner.undo(snapshot, replace(plan, changes=swapped), limits)
            return replace(found, arguments=plan.arguments)
