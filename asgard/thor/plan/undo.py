"""The way back: every partition of a plan gets the replicas, and the order, that it had before.

Limits do not stand in its way, as the cluster was like that before; a disk that could not hold it does, and so do dead, drained
and excluded brokers.
"""

from __future__ import annotations

from asgard.cluster.placement import Board
from asgard.cluster.plan import Plan
from asgard.thor.plan.place import Failures


def undo(board: Board, plan: Plan) -> int:
    """Put the partitions back. The bytes that must move come back."""
    stuck = Failures("undo")
    at = {(part.topic, part.partition): p for p, part in enumerate(board.parts)}
    bound = 0
    for change in sorted(plan.changes, key=lambda c: (-c.bytes_moved, c.topic, c.partition)):
        p = at.get((change.topic, change.partition))
        if p is None:
            stuck.add(change.name, "it is not there any more", "nothing: it was deleted")
            continue
        unknown = [b for b in change.before if b not in board.index]
        if unknown:
            stuck.add(change.name, f"broker {unknown[0]} is not in the cluster", "the broker back")
            continue
        wanted = [board.index[b] for b in change.before]
        reason = _obstacle(board, p, wanted)
        if reason:
            stuck.add(change.name, *reason)
            continue
        now = list(board.reps[p])
        why = f"undoes {plan.kind}"
        for src in now:
            if src not in wanted:
                board.discard(p, src, why)
        for dst in wanted:
            if dst not in now:
                bound += board.size[p]
                board.add(p, dst, why)
        board.reps[p] = wanted
        if board.lead[p] != wanted[0]:
            board.set_lead(p, wanted[0])
    board.unmet += stuck.unmet()
    return bound


def _obstacle(board: Board, p: int, wanted: list[int]) -> tuple[str, str] | None:
    if p in board.offline:
        return "it is offline: no replica can be copied", "its leader back"
    for b in wanted:
        if b in board.reps[p] and not board.lost(p, b):
            continue
        # The cordon is that of the drain which is undone; it is lifted with it.
        if board.refusal[b] and board.refusal[b] != "cordoned":
            return f"broker {board.ids[b]} is {board.refusal[b]}", "the broker back"
        capacity = board.capacity[b]
        if capacity is not None and board.disk[b] + board.base[b] + board.size[p] > capacity:
            return f"the disk of broker {board.ids[b]} has no room for it", "room on its disk"
    return None
