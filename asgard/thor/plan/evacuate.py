"""Healing and draining: every replica on a dead or draining broker goes to another one.

Each such replica is copied once and no others are, so the bytes are minimal. A healing that moves anything also spreads the
leaders of the whole cluster: that copies nothing, and the dead broker's leaders crowd the brokers that took over. The largest
go first, to the lightest broker of the least crowded rack: greedy, longest first (Graham, 1969), keeps the brokers even.
"""

from __future__ import annotations

from asgard.cluster.placement import Placement
from asgard.thor.plan.leaders import balance_leaders, lead_from
from asgard.thor.plan.place import Failures, Lightest, bring_back, by_disk_and_count, destination, nowhere


def heal(placement: Placement) -> int:
    """Move every lost replica. Returns the bytes that must move."""
    dead = [b for b in range(len(placement.brokers)) if not placement.up[b] or placement.hurt[b]]
    touched = {p for b in dead for p in placement.on[b] if placement.lost(p, b)}
    bound = _evacuate(placement, touched, "heal")
    if placement.log:
        balance_leaders(placement)
    return bound


def drain(placement: Placement) -> int:
    """Empty the draining brokers, and move lost replicas of the same partitions too. Returns the bytes that must move."""
    touched = {p for b in range(len(placement.brokers)) if placement.draining[b] for p in placement.on[b]}
    return _evacuate(placement, touched, "drain")


def must_leave(placement: Placement, p: int, b: int) -> str:
    """Why a replica of `p` can't stay on `b`; empty if it can."""
    if not placement.up[b]:
        return f"broker {placement.ids[b]} is {placement.refusal[b]}"
    if placement.draining[b]:
        return f"broker {placement.ids[b]} is drained"
    if placement.hurt[b] and placement.lost(p, b):
        return f"broker {placement.ids[b]} has an offline log directory"
    return ""


def _evacuate(placement: Placement, touched: set[int], what: str) -> int:
    stuck = Failures("heal" if what == "heal" else "drain")
    work: list[tuple[int, int, int]] = []
    offline: list[int] = []
    bound = 0
    for p in sorted(touched):
        if p in placement.offline:
            offline.append(p)
            continue
        for src in placement.reps[p]:
            if must_leave(placement, p, src):
                work.append((-placement.size[p], p, src))
                bound += placement.size[p]
    for p in offline:
        stuck.add(placement.name(p), *bring_back(placement, p))
    work.sort()
    relead = {p for _, p, _ in work if must_leave(placement, p, placement.reps[p][0])}
    light = Lightest(placement, placement.active, by_disk_and_count(placement))
    for _, p, src in work:
        dst = destination(placement, light, p, src)
        if dst is None:
            stuck.add(placement.name(p), *nowhere(placement, p, src))
            bound -= placement.size[p]
            continue
        placement.move(p, src, dst, must_leave(placement, p, src))
    for p in sorted(relead & placement.log.keys()):
        lead_from(placement, p, [b for b in placement.reps[p] if not must_leave(placement, p, b)])
    placement.unmet += stuck.unmet()
    return bound
