"""`balance` and `fill`: the order in which goals are pursued, and how unmet ones are reported."""

from __future__ import annotations

from math import ceil

from asgard.cluster.placement import Placement
from asgard.cluster.plan import Unmet
from asgard.thor.plan.even import Evener, Heaviest
from asgard.thor.plan.leaders import balance_leaders, name_unbalanced

_ROUNDS = 8


def balance(placement: Placement) -> int:
    """Disk, then replicas, within the tolerance on every broker, then leaders and their traffic. Returns the lower bound.

    Repeated until nothing moves, since progress on one goal may unblock another: a balanced cluster is then left alone.
    """
    even = Evener(placement)
    bound = even.lower_bound()
    for _ in range(_ROUNDS):
        before = placement.edits
        _round(placement, even)
        if placement.edits == before:
            break
    _name_uneven(placement, even)
    name_unbalanced(placement)
    _name_left_alone(placement)
    return bound


def _round(placement: Placement, even: Evener) -> None:
    for b in sorted(placement.active, key=lambda b: (-even.above(b), b)):
        if even.above(b) > 0:
            even.shed(b)
    heavy = Heaviest(placement.active, placement.x)
    for b in sorted(placement.active, key=lambda b: (-even.below(b), b)):
        if even.below(b) > 0:
            even.draw(b, heavy)
    for b in sorted(placement.active, key=lambda b: (-placement.count[b], b)):
        even.shed_count(b)
    many = Heaviest(placement.active, lambda b: placement.count[b])
    for b in sorted(placement.active, key=lambda b: (placement.count[b], b)):
        even.draw_count(b, many)
    for b in placement.active:
        even.relieve(b)
    balance_leaders(placement)


def fill(placement: Placement, new: list[int]) -> int:
    """Bring the brokers up to the tolerance below the mean, taking from the heaviest. Returns the lower bound."""
    even = Evener(placement)
    bound = ceil(sum(max(0.0, even.below(b)) for b in new))
    heavy = Heaviest([b for b in placement.active if b not in new], placement.x)
    for b in sorted(new, key=lambda b: (-even.deficit(b), b)):
        if even.below(b) > 0:
            even.draw(b, heavy)
    many = Heaviest([b for b in placement.active if b not in new], lambda b: placement.count[b])
    for b in sorted(new):
        even.draw_count(b, many)
    if placement.log:
        balance_leaders(placement)
    _name_uneven(placement, even, new)
    return bound


def _name_uneven(placement: Placement, even: Evener, only: list[int] | None = None) -> None:
    brokers = placement.active if only is None else [b for b in only if placement.accepts[b]]
    over = [b for b in brokers if only is None and even.above(b) > 0]
    limited = [b for b in over if placement.disk[b] > placement.disk_cap[b]]
    over = [b for b in over if b not in limited]
    under = [b for b in brokers if even.below(b) > 0]
    why = "none of its replicas can move elsewhere within the racks, the limits and the minimum gain of a move"
    placement.unmet += _unmet(
        placement, "disk limit", limited, why, "more room on other brokers, or a higher limit", True
    )
    placement.unmet += _unmet(
        placement,
        "disk within tolerance",
        over,
        why,
        "smaller partitions (more of them), brokers in other racks, a lower min_gain",
    )
    why = "no replica of the heavier brokers can move there within the racks, the limits and the minimum gain of a move"
    placement.unmet += _unmet(
        placement,
        "disk within tolerance",
        under,
        why,
        "smaller partitions (more of them), brokers in other racks, a lower min_gain",
    )


def _unmet(
    placement: Placement, goal: str, brokers: list[int], why: str, would_help: str, required: bool = False
) -> list[Unmet]:
    if not brokers:
        return []
    return [
        Unmet(goal, tuple(f"broker {placement.ids[b]}" for b in brokers[:5]), len(brokers), why, would_help, required)
    ]


def _name_left_alone(placement: Placement) -> None:
    dead = [placement.ids[b] for b in range(len(placement.brokers)) if not placement.up[b] and placement.on[b]]
    if dead:
        placement.unmet.append(
            Unmet(
                "partitions left alone",
                tuple(f"broker {b}" for b in dead[:5]),
                len(dead),
                "they have replicas on brokers that are not up",
                "run `thor plan heal` first, or bring the brokers back",
                required=False,
            )
        )
