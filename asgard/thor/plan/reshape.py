"""Replication factors and racks: `set-rf` and `rack-repair`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from asgard.cluster.placement import Board
from asgard.thor.plan.leaders import lead_from
from asgard.thor.plan.place import Failures, Lightest, by_disk_and_count, destination, nowhere


def set_replication(board: Board, wanted: Mapping[str, int]) -> int:
    """Give each partition of the topics that many replicas. The bytes that must move come back.

    New ones go to the least crowded racks; those that go are lost ones first, then out of sync ones, then of the most crowded rack
    and the fullest broker. The preferred leader stays where it can.
    """
    stuck = Failures("replication factor")
    light = Lightest(board, board.active, by_disk_and_count(board))
    chosen = [p for p in range(len(board.parts)) if board.parts[p].topic in wanted]
    bound = 0
    for p in sorted(chosen, key=lambda p: (-board.size[p], p)):
        factor = wanted[board.parts[p].topic]
        if len(board.reps[p]) == factor:
            continue
        if p in board.moving or p in board.offline:
            state = "it is being reassigned" if p in board.moving else "it is offline"
            stuck.add(board.name(p), state, "trying again once that is over")
            continue
        while len(board.reps[p]) > factor:
            gone = _least_needed(board, p)
            board.remove(p, gone, f"{factor} replicas are wanted")
            if board.accepts[gone]:
                light.lighter(gone)
        while len(board.reps[p]) < factor:
            dst = destination(board, light, p, -1)
            if dst is None:
                why, would_help = nowhere(board, p, -1)
                stuck.add(board.name(p), why, would_help)
                break
            bound += board.size[p]
            board.add(p, dst, f"{factor} replicas are wanted")
        if board.lost(p, board.reps[p][0]):
            lead_from(board, p, [b for b in board.reps[p] if not board.lost(p, b)])
    board.unmet += stuck.unmet()
    return bound


def _least_needed(board: Board, p: int) -> int:
    part = board.parts[p]
    crowd = Counter(board.rack[b] for b in board.reps[p])
    serving = [b for b in board.reps[p] if board.ids[b] in part.isr and not board.lost(p, b)]
    keep = board.reps[p][0] if board.reps[p][0] in serving else serving[0] if serving else board.reps[p][0]
    return max(
        (b for b in board.reps[p] if b != keep),
        key=lambda b: (
            board.lost(p, b),
            bool(board.refusal[b]),
            board.ids[b] not in part.isr,
            crowd[board.rack[b]],
            board.x(b),
            b,
        ),
    )


def repair_racks(board: Board) -> int:
    """Move replicas out of racks that have more of a partition than they must. The bytes that must move come back."""
    stuck = Failures("racks")
    light = Lightest(board, board.active, by_disk_and_count(board))
    bound = 0
    crowded = [p for p in range(len(board.parts)) if p not in board.excluded and _from_where(board, p) is not None]
    for p in sorted(crowded, key=lambda p: (-board.size[p], p)):
        if not board.movable(p):
            why = "it is being reassigned, offline, or has replicas on brokers that are not up"
            stuck.add(board.name(p), why, "trying again once it is whole (`thor plan heal`)")
            continue
        while (src := _from_where(board, p)) is not None:
            dst = destination(board, light, p, src)
            if dst is None or board.neighbours(p, src, dst) >= board.neighbours(p, src, src):
                stuck.add(board.name(p), *nowhere(board, p, src))
                break
            if board.lead[p] == src and not board.may_lead(p, dst):
                lead_from(board, p, [b for b in board.reps[p] if b != src])
            bound += board.size[p]
            board.move(p, src, dst, f"rack {board.brokers[src].rack} has more replicas of it than it must")
            if board.accepts[src]:
                light.lighter(src)
    board.unmet += stuck.unmet()
    return bound


def _from_where(board: Board, p: int) -> int | None:
    """The replica to move out of the most crowded rack: of the fullest broker, not the leader's where it can be. None: all is well."""
    crowd = Counter(board.rack[b] for b in board.reps[p])
    most = max(crowd.values())
    if most < 2:
        return None
    taken = Counter(board.rack[b] for b in board.reps[p] if board.accepts[b])
    least = min((crowd[r] for r in range(board.rack_count) if board.rack_accepting[r] > taken[r]), default=most)
    if least > most - 2:
        return None
    return max(
        (b for b in board.reps[p] if crowd[board.rack[b]] == most),
        key=lambda b: (b != board.lead[p], board.x(b), b),
    )
