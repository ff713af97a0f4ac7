"""The kinds of plans by name: their arguments, and how to create one from words of a command line or a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from asgard.core.errors import WrongUsage

if TYPE_CHECKING:
    from asgard.cluster.limits import Limits
    from asgard.cluster.plan import Plan
    from asgard.kafka.model import ClusterSnapshot

Planner = Callable[["ClusterSnapshot", "Limits"], "Plan"]
"""Creates a plan; called again with a newer snapshot, it creates the plan for that."""


class PlanKind(StrEnum):
    """What a plan is for."""

    HEAL = "heal"
    DRAIN = "drain"
    FILL = "fill"
    BALANCE = "balance"
    LEADERS = "leaders"
    SET_RF = "set-rf"
    RACK_REPAIR = "rack-repair"
    DISKS = "disks"
    UNDO = "undo"


def planner_of(kind: str, what: Sequence[str] = ()) -> Planner:
    """The planner of a kind, with what to work on: brokers, `TOPIC=N`, or the file of a plan to undo.

    Raises WrongUsage if the words don't fit, before looking at any cluster.
    """
    from asgard.thor.plan import file as plan_file
    from asgard.thor.plan import planner

    match kind:
        case PlanKind.DRAIN if any(":" in w for w in what):
            if plain := [w for w in what if ":" not in w]:
                raise WrongUsage(
                    f"{plain[0]} is not a log directory", "Drain either brokers or directories of brokers."
                )
            return lambda snapshot, limits: planner.drain_directories(snapshot, what, limits)
        case PlanKind.DISKS:
            evened = _brokers(kind, what) if what else []
            return lambda snapshot, limits: planner.disks(snapshot, evened, limits)
        case PlanKind.DRAIN:
            drained = _brokers(kind, what)
            return lambda snapshot, limits: planner.drain(snapshot, drained, limits)
        case PlanKind.FILL:
            filled = _brokers(kind, what)
            return lambda snapshot, limits: planner.fill(snapshot, filled, limits)
        case PlanKind.SET_RF:
            if not what:
                raise WrongUsage("set-rf requires topics", "Write them as TOPIC=N, as in orders=3.")
            wanted = dict(map(_factor, what))
            return lambda snapshot, limits: planner.set_rf(snapshot, wanted, limits)
        case PlanKind.UNDO:
            if len(what) != 1:
                raise WrongUsage("undo takes one plan", "Name a file that `thor plan … --out` wrote.")
            made = plan_file.read(what[0])
            return lambda snapshot, limits: planner.undo(snapshot, made, limits)
    simple: dict[str, Planner] = {
        PlanKind.HEAL: planner.heal,
        PlanKind.BALANCE: planner.balance,
        PlanKind.LEADERS: planner.leaders,
        PlanKind.RACK_REPAIR: planner.rack_repair,
    }
    if kind not in simple:
        raise WrongUsage(f"{kind!r} is not a kind of plan", f"Allowed are {', '.join(PlanKind)}.")
    if what:
        raise WrongUsage(f"{kind} is for the whole cluster; it takes no {what[0]!r}", "drain and fill take brokers.")
    return simple[kind]


def planned(kind: str, what: Sequence[str], snapshot: ClusterSnapshot, limits: Limits) -> Plan:
    """The plan of that kind. Raises WrongUsage and what its planner raises."""
    return planner_of(kind, what)(snapshot, limits)


def _brokers(kind: str, what: Sequence[str]) -> list[int]:
    wrong = next((w for w in what if not w.isdecimal()), None)
    if wrong is not None or not what:
        found = f"{wrong!r} is not a broker id" if wrong is not None else f"{kind} requires brokers"
        raise WrongUsage(found, f"Name one or more broker ids, as in {kind} 3.")
    return [int(w) for w in what]


def _factor(text: str) -> tuple[str, int]:
    topic, equals, factor = text.rpartition("=")
    if not equals or not topic or not factor.isdecimal():
        raise WrongUsage(
            f"{text!r} does not give a topic its replication factor", "Write it as TOPIC=N, as in orders=3."
        )
    return topic, int(factor)
