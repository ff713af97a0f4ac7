"""Healing and draining: every replica on a broker that is dead or to be emptied goes to another one.

Each such replica is copied once and nothing else moves, so the bytes are the least there can be. The largest go first, to
the lightest broker of the least crowded rack: greedy, longest first (Graham, 1969), keeps the brokers even.
"""

from __future__ import annotations

from asgard.cluster.placement import Board
from asgard.thor.plan.leaders import lead_from
from asgard.thor.plan.place import Failures, Lightest, by_disk_and_count, destination, nowhere


def heal(board: Board) -> int:
    """Move every lost replica; the bytes that must move come back."""
    dead = [b for b in range(len(board.brokers)) if not board.up[b] or board.hurt[b]]
    touched = {p for b in dead for p in board.on[b] if board.lost(p, b)}
    return _evacuate(board, touched, "heal")


def drain(board: Board) -> int:
    """Empty the draining brokers; lost replicas of the same partitions go along. The bytes that must move come back."""
    touched = {p for b in range(len(board.brokers)) if board.draining[b] for p in board.on[b]}
    return _evacuate(board, touched, "drain")


def must_leave(board: Board, p: int, b: int) -> str:
    """Why a replica of `p` can't stay on `b`; empty where it can."""
    if not board.up[b]:
        return f"broker {board.ids[b]} is {board.refusal[b]}"
    if board.draining[b]:
        return f"broker {board.ids[b]} is drained"
    if board.hurt[b] and board.lost(p, b):
        return f"broker {board.ids[b]} has an offline log directory"
    return ""


def _evacuate(board: Board, touched: set[int], what: str) -> int:
    stuck = Failures("heal" if what == "heal" else "drain")
    work: list[tuple[int, int, int]] = []
    offline: list[int] = []
    bound = 0
    for p in sorted(touched):
        if p in board.offline:
            offline.append(p)
            continue
        for src in board.reps[p]:
            if must_leave(board, p, src):
                work.append((-board.size[p], p, src))
                bound += board.size[p]
    for p in offline:
        stuck.add(board.name(p), *_bring_back(board, p))
    work.sort()
    relead = {p for _, p, _ in work if must_leave(board, p, board.reps[p][0])}
    light = Lightest(board, board.active, by_disk_and_count(board))
    for _, p, src in work:
        dst = destination(board, light, p, src)
        if dst is None:
            stuck.add(board.name(p), *nowhere(board, p, src))
            bound -= board.size[p]
            continue
        board.move(p, src, dst, must_leave(board, p, src))
    for p in sorted(relead & board.log.keys()):
        lead_from(board, p, [b for b in board.reps[p] if not must_leave(board, p, b)])
    board.unmet += stuck.unmet()
    return bound


def _bring_back(board: Board, p: int) -> tuple[str, str]:
    part = board.parts[p]
    # Who was in sync last has every acknowledged record; of the others nobody knows.
    first = part.isr or part.elr
    if first:
        return (
            "it is offline: no replica that holds all of its records is up",
            f"bring back broker {first[0]} first: it was in sync last",
        )
    return (
        "it is offline: no replica is in sync, and none is known to hold all of its records",
        f"bring back its brokers ({', '.join(map(str, part.replicas))})",
    )
