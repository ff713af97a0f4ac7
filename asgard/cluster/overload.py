"""Which brokers carry more than their limits allow, by the same reckoning that the planner keeps to. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asgard.cluster.placement import Board
from asgard.core import units


@dataclass(frozen=True)
class Excess:
    """A broker over a limit; `value` and `limit` in the words of people."""

    broker: int
    what: str
    value: str
    limit: str
    would_help: str

    def __str__(self) -> str:
        return f"broker {self.broker} is over its limit of {self.what}: {self.value}, allowed {self.limit}. {self.would_help}"


def over_limits(board: Board) -> list[Excess]:
    """Every limit that a broker which is up exceeds. What is not measured is not over."""
    return [over for b in range(len(board.brokers)) if board.up[b] for over in _of(board, b)]


def _of(board: Board, b: int) -> Iterator[Excess]:
    broker = board.ids[b]
    balance = "`asgard thor plan balance` shows what could move."
    capacity = board.capacity[b]
    if capacity and board.disk[b] > board.disk_cap[b]:
        used = board.disk[b] + board.base[b]
        other = board.base[b] > board.disk[b]
        helps = (
            f"{units.format_size(board.base[b])} of that is not Kafka's: make room on the volume." if other else balance
        )
        limit = f"{board.limits.of(broker).disk or 1.0:.0%} of {units.format_size(capacity)}"
        yield Excess(broker, "disk", f"{used / capacity:.1%}", limit, helps)
    if board.count[b] > board.count_cap[b]:
        yield Excess(broker, "replicas", str(board.count[b]), f"{board.count_cap[b]:.0f}", balance)
    if board.leads[b] > board.leads_cap[b]:
        helps = "`asgard thor plan leaders` shows who could lead instead."
        yield Excess(broker, "leaders", str(board.leads[b]), f"{board.leads_cap[b]:.0f}", helps)
    for what, value, cap in (
        ("bytes in", board.bytes_in[b], board.in_cap[b]),
        ("bytes out", board.bytes_out[b], board.out_cap[b]),
    ):
        if value > cap:
            yield Excess(broker, what, f"{units.format_size(value)}/s", f"{units.format_size(cap)}/s", balance)
