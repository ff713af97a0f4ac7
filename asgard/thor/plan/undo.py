"""The way back: every partition of a plan gets its former replicas, in their former order.

Limits do not prevent it, since the cluster was like that before; a disk without enough room does, and so do dead, drained
and excluded brokers.
"""

from __future__ import annotations

from asgard.cluster.placement import Placement
from asgard.cluster.plan import Plan
from asgard.thor.plan.place import Failures


def undo(placement: Placement, plan: Plan) -> int:
    """Put the partitions back. Returns the bytes that must move."""
    stuck = Failures("undo")
    at = {(part.topic, part.partition): p for p, part in enumerate(placement.parts)}
    bound = 0
    for change in sorted(plan.changes, key=lambda c: (-c.bytes_moved, c.topic, c.partition)):
        p = at.get((change.topic, change.partition))
        if p is None:
            stuck.add(change.name, "it no longer exists", "nothing: it was deleted")
            continue
        unknown = [b for b in change.before if b not in placement.index]
        if unknown:
            stuck.add(change.name, f"broker {unknown[0]} is not in the cluster", "bring the broker back")
            continue
        wanted = [placement.index[b] for b in change.before]
        for b, path in zip(wanted, change.log_dirs_before, strict=False):
            placement.dirs.send_home(p, b, path)
        reason = _obstacle(placement, p, wanted)
        if reason:
            stuck.add(change.name, *reason)
            continue
        now = list(placement.reps[p])
        why = f"undoes {plan.kind}"
        for src in now:
            if src not in wanted:
                placement.discard(p, src, why)
        for dst in wanted:
            if dst not in now:
                bound += placement.size[p]
                placement.add(p, dst, why)
        placement.reps[p] = wanted
        if placement.lead[p] != wanted[0]:
            placement.set_lead(p, wanted[0])
    placement.unmet += stuck.unmet()
    return bound


def _obstacle(placement: Placement, p: int, wanted: list[int]) -> tuple[str, str] | None:
    if p in placement.offline:
        return "it is offline: no replica can be copied", "bring its leader back"
    for b in wanted:
        if b in placement.reps[p] and not placement.lost(p, b):
            continue
        # The cordon belongs to the drain being undone; it is lifted with it.
        if placement.refusal[b] and placement.refusal[b] != "cordoned":
            return f"broker {placement.ids[b]} is {placement.refusal[b]}", "bring the broker back"
        capacity = placement.capacity[b]
        if capacity is not None and placement.disk[b] + placement.base[b] + placement.size[p] > capacity:
            return f"the disk of broker {placement.ids[b]} has no room for it", "room on its disk"
    return None
