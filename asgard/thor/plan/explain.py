"""Why a partition goes where it goes: what was decided, and the objections to each broker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from asgard.cluster.limits import Limits
from asgard.cluster.placement import Placement
from asgard.cluster.plan import Change, DirChange, Plan
from asgard.core.errors import WrongUsage
from asgard.kafka.model import ClusterSnapshot


@dataclass(frozen=True)
class Candidate:
    """A broker as it was before the plan; `fill` is its load over its fair share of the disk."""

    broker: int
    rack: str | None
    role: str
    fill: float
    replicas: int
    leaders: int
    verdict: str


@dataclass(frozen=True)
class Explanation:
    """`change` is None if the partition keeps its replicas; `dir_changes` are those that change their log directory.

    `candidates` are all brokers of the snapshot; empty without one.
    """

    partition: str
    change: Change | None
    dir_changes: tuple[DirChange, ...]
    candidates: tuple[Candidate, ...] = ()


def explain(plan: Plan, snapshot: ClusterSnapshot, limits: Limits, partition: str) -> Explanation:
    """Explain one partition (`topic-3`). Raises WrongUsage if the snapshot does not have it."""
    # The others are log directories (`3:/data`): their brokers are not drained.
    draining = [int(b) for b in plan.arguments if b.isdecimal()] if plan.kind == "drain" else []
    placement = Placement(snapshot, limits, draining)
    p = next((i for i in range(len(placement.parts)) if placement.name(i) == partition), None)
    if p is None:
        raise WrongUsage(f"partition {partition} is not in the snapshot", "Name it as TOPIC-NUMBER, as in orders-3.")
    told = from_plan(plan, partition)
    after = told.change.after if told.change else tuple(placement.ids[b] for b in placement.reps[p])
    candidates = []
    for b, broker in enumerate(placement.brokers):
        candidates.append(
            Candidate(
                broker.id,
                broker.rack,
                _role(placement, p, b, after),
                round(placement.x(b), 3),
                placement.count[b],
                placement.leads[b],
                _verdict(placement, p, b, after),
            )
        )
    return replace(told, candidates=tuple(candidates))


def from_plan(plan: Plan, partition: str) -> Explanation:
    """What the plan alone says about the partition."""
    change = next((c for c in plan.changes if c.name == partition), None)
    within = tuple(c for c in plan.dir_changes if f"{c.topic}-{c.partition}" == partition)
    return Explanation(partition, change, within)


def _role(placement: Placement, p: int, b: int, after: Collection[int]) -> str:
    had, has = b in placement.reps[p], placement.ids[b] in after
    return "stays" if had and has else "leaves" if had else "comes" if has else ""


def _verdict(placement: Placement, p: int, b: int, after: tuple[int, ...]) -> str:
    if placement.ids[b] in after:
        return "chosen"
    if b in placement.reps[p]:
        return placement.refusal[b] or "gave its replica away"
    reason = placement.why_not(p, b)
    if reason:
        return reason
    crowd = sum(1 for r in after if placement.rack[placement.index[r]] == placement.rack[b])
    came = [placement.index[r] for r in after if placement.index[r] not in placement.reps[p]]
    if not came:
        return "possible; no replica had to move here"
    least = min(sum(1 for r in after if placement.rack[placement.index[r]] == placement.rack[c]) - 1 for c in came)
    if crowd > least:
        return f"its rack has {crowd} already"
    return "possible; others were lighter"
