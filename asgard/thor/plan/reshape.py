"""Replication factors and racks: `set-rf` and `rack-repair`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from asgard.cluster.placement import Placement
from asgard.thor.plan.leaders import lead_from
from asgard.thor.plan.place import Failures, Lightest, bring_back, by_disk_and_count, destination, nowhere


def set_replication(placement: Placement, wanted: Mapping[str, int]) -> int:
    """Give each partition of the topics that many replicas. Returns the bytes that must move.

    New ones go to the least crowded racks. Lost replicas are removed first, then out-of-sync ones, then those of the most crowded rack
    and the fullest broker. The preferred leader stays if it can.
    """
    stuck = Failures("replication factor")
    light = Lightest(placement, placement.active, by_disk_and_count(placement))
    chosen = [p for p in range(len(placement.parts)) if placement.parts[p].topic in wanted]
    bound = 0
    for p in sorted(chosen, key=lambda p: (-placement.size[p], p)):
        factor = wanted[placement.parts[p].topic]
        if len(placement.reps[p]) == factor:
            continue
        if p in placement.offline:
            stuck.add(placement.name(p), *bring_back(placement, p))
            continue
        if p in placement.moving:
            stuck.add(placement.name(p), "it is being reassigned", "try again when that is done")
            continue
        while len(placement.reps[p]) > factor:
            gone = _least_needed(placement, p)
            placement.remove(p, gone, f"{factor} replicas were requested")
            if placement.accepts[gone]:
                light.lighter(gone)
        while len(placement.reps[p]) < factor:
            dst = destination(placement, light, p, -1)
            if dst is None:
                why, would_help = nowhere(placement, p, -1)
                stuck.add(placement.name(p), why, would_help)
                break
            bound += placement.size[p]
            placement.add(p, dst, f"{factor} replicas were requested")
        if placement.lost(p, placement.reps[p][0]):
            lead_from(placement, p, [b for b in placement.reps[p] if not placement.lost(p, b)])
    placement.unmet += stuck.unmet()
    return bound


def _least_needed(placement: Placement, p: int) -> int:
    part = placement.parts[p]
    crowd = Counter(placement.rack[b] for b in placement.reps[p])
    serving = [b for b in placement.reps[p] if placement.ids[b] in part.isr and not placement.lost(p, b)]
    keep = placement.reps[p][0] if placement.reps[p][0] in serving else serving[0] if serving else placement.reps[p][0]
    return max(
        (b for b in placement.reps[p] if b != keep),
        key=lambda b: (
            placement.lost(p, b),
            bool(placement.refusal[b]),
            placement.ids[b] not in part.isr,
            crowd[placement.rack[b]],
            placement.x(b),
            b,
        ),
    )


def repair_racks(placement: Placement) -> int:
    """Move replicas out of racks that have more of a partition than necessary. Returns the bytes that must move."""
    stuck = Failures("racks")
    light = Lightest(placement, placement.active, by_disk_and_count(placement))
    bound = 0
    crowded = [
        p for p in range(len(placement.parts)) if p not in placement.excluded and _from_where(placement, p) is not None
    ]
    for p in sorted(crowded, key=lambda p: (-placement.size[p], p)):
        if not placement.movable(p):
            why = "it is being reassigned, offline, or has replicas on brokers that are not up"
            stuck.add(placement.name(p), why, "run `thor plan heal` first, then try again")
            continue
        while (src := _from_where(placement, p)) is not None:
            dst = destination(placement, light, p, src)
            if dst is None or placement.neighbours(p, src, dst) >= placement.neighbours(p, src, src):
                stuck.add(placement.name(p), *nowhere(placement, p, src))
                break
            if placement.lead[p] == src and not placement.may_lead(p, dst):
                lead_from(placement, p, [b for b in placement.reps[p] if b != src])
            bound += placement.size[p]
            placement.move(p, src, dst, f"rack {placement.brokers[src].rack} has more replicas of it than it needs")
            if placement.accepts[src]:
                light.lighter(src)
    placement.unmet += stuck.unmet()
    return bound


def _from_where(placement: Placement, p: int) -> int | None:
    """The replica to move out of the most crowded rack: on the fullest broker, not the leader if possible. None: all is well."""
    crowd = Counter(placement.rack[b] for b in placement.reps[p])
    most = max(crowd.values())
    if most < 2:
        return None
    taken = Counter(placement.rack[b] for b in placement.reps[p] if placement.accepts[b])
    least = min((crowd[r] for r in range(placement.rack_count) if placement.rack_accepting[r] > taken[r]), default=most)
    if least > most - 2:
        return None
    return max(
        (b for b in placement.reps[p] if crowd[placement.rack[b]] == most),
        key=lambda b: (b != placement.lead[p], placement.x(b), b),
    )
