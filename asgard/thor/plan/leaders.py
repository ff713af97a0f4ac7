"""Preferred leaders: who leads each partition, by order of its replicas alone. Nothing is copied."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import ceil, floor

from asgard.cluster.placement import Board
from asgard.cluster.plan import Unmet


def lead_from(board: Board, p: int, candidates: list[int]) -> None:
    """Let the candidate lead that leads least, and within its limits where one can."""
    if not candidates:
        return
    old = board.lead[p]
    allowed = [b for b in candidates if board.may_lead(p, b)] or [b for b in candidates if b == old] or candidates

    def without_it(b: int) -> int:
        return board.leads[b] - (b == old)

    best = min(allowed, key=lambda b: (without_it(b), board.bytes_out[b] - (board.rate_out[p] if b == old else 0), b))
    board.put_first(p, best)


def balance_leaders(board: Board, only: Iterable[int] | None = None) -> None:
    """Bring the number of leaders of each broker within the tolerance, with few changes, then the traffic of leaders."""
    free = [p for p in (range(len(board.parts)) if only is None else sorted(only)) if board.movable(p)]
    free = [p for p in free if board.lead[p] == board.reps[p][0]]
    shift = _Shift(board, free)
    shift.counts()
    shift.traffic()


def name_unbalanced(board: Board) -> None:
    """Note the brokers that lead too many partitions still."""
    high = upper_leads(board)
    over = [b for b in board.active if board.leads[b] > high]
    if over:
        board.unmet.append(
            Unmet(
                "balance leaders",
                tuple(f"broker {board.ids[b]}" for b in over[:5]),
                len(over),
                f"more than {high} leaders, and no other replica of their partitions may lead",
                "a balance of the replicas, or a higher limit or tolerance",
                required=False,
            )
        )


def upper_leads(board: Board) -> int:
    """The most leaders that a broker within the tolerance has."""
    mean = board.mean_leads
    return max(ceil(mean), floor(mean * (1 + board.limits.tolerance)))


def lower_leads(board: Board) -> int:
    """The fewest leaders that a broker within the tolerance has."""
    mean = board.mean_leads
    return min(floor(mean), ceil(mean * (1 - board.limits.tolerance)))


class _Shift:
    """Passes leadership along chains of partitions: from a broker that leads many to one that leads few."""

    def __init__(self, board: Board, free: list[int]) -> None:
        self.board = board
        self.led: list[set[int]] = [set() for _ in board.brokers]
        self.followed: list[set[int]] = [set() for _ in board.brokers]
        for p in free:
            self.led[board.lead[p]].add(p)
            for b in board.reps[p][1:]:
                self.followed[b].add(p)

    def counts(self) -> None:
        board = self.board
        high, low = upper_leads(board), lower_leads(board)
        caps = [min(high, board.leads_cap[b]) for b in range(len(board.brokers))]
        for b in sorted(board.active, key=lambda b: (-board.leads[b], b)):
            while board.leads[b] > caps[b] and self._pass_on(b, caps):
                pass
        for b in sorted(board.active, key=lambda b: (board.leads[b], b)):
            while board.leads[b] < low and self._draw(b, low):
                pass

    def _pass_on(self, start: int, caps: list[float]) -> bool:
        """One leader less for `start`, one more for the nearest broker below its mean, else below its cap."""
        board = self.board
        mean = board.mean_leads

        def has_room(b: int) -> bool:
            return board.leads[b] + 1 <= min(mean, caps[b])

        return self._along(start, has_room, forward=True) or self._along(
            start, lambda b: board.leads[b] + 1 <= caps[b], forward=True
        )

    def _draw(self, start: int, low: int) -> bool:
        """One leader more for `start`, one less for the nearest broker above the mean, else above the lower bound."""
        board = self.board
        mean = board.mean_leads
        return self._along(start, lambda b: board.leads[b] - 1 >= mean, forward=False) or self._along(
            start, lambda b: board.leads[b] - 1 >= low, forward=False
        )

    def _along(self, start: int, good: object, *, forward: bool) -> bool:
        """Find the shortest chain to a good broker (breadth first) and pass one leadership along it."""
        board = self.board
        came: dict[int, tuple[int, int]] = {start: (-1, -1)}
        queue = deque([start])
        while queue:
            b = queue.popleft()
            for p in sorted(self.led[b] if forward else self.followed[b]):
                following = board.reps[p][1:] if forward else (board.lead[p],)
                for f in following:
                    if f in came or not board.accepts[f] or (forward and not board.may_lead(p, f)):
                        continue
                    came[f] = (b, p)
                    if good(f):  # type: ignore[operator]
                        self._hand_over(f, came, forward)
                        return True
                    queue.append(f)
        return False

    def _hand_over(self, end: int, came: dict[int, tuple[int, int]], forward: bool) -> None:
        b = end
        while came[b][0] >= 0:
            previous, p = came[b]
            self.lead(p, b if forward else previous)
            b = previous

    def lead(self, p: int, b: int) -> None:
        """Make `b` the leader of `p`."""
        board = self.board
        old = board.lead[p]
        self.led[old].discard(p)
        self.followed[old].add(p)
        self.followed[b].discard(p)
        self.led[b].add(p)
        board.put_first(p, b)

    def traffic(self) -> None:
        """Pass the leaders with most traffic on from brokers above the tolerance, within that of the counts."""
        board = self.board
        high, low = upper_leads(board), lower_leads(board)
        bar = board.mean_out * (1 + board.limits.tolerance)
        if bar <= 0:
            return
        for b in sorted(board.active, key=lambda b: (-board.bytes_out[b], b)):
            cap = min(bar, board.out_cap[b])
            for p in sorted(self.led[b], key=lambda p: (-board.rate_out[p], p)):
                if board.bytes_out[b] <= cap or board.leads[b] <= low:
                    break
                rate = board.rate_out[p]
                takers = [
                    f
                    for f in board.reps[p][1:]
                    if board.accepts[f]
                    and board.may_lead(p, f)
                    and board.leads[f] < high
                    and board.bytes_out[f] + rate <= bar
                ]
                if takers:
                    self.lead(p, min(takers, key=lambda f: (board.bytes_out[f], f)))
