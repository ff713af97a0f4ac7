"""Where to put a replica that must leave its broker, or is new: the least crowded rack first, then the lightest broker.

The rack rule: a replica goes to a rack with as few replicas of its partition as possible. It may go to one as crowded as the rack it
comes from (never worse than before), or as the least crowded rack with any broker for it (as spread as the racks allow).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush, heapreplace

from asgard.cluster.placement import Placement
from asgard.cluster.plan import Unmet

_CANDIDATES = 3


class Lightest:
    """The brokers of each rack, lightest first, by a weight that mostly grows while they are filled."""

    def __init__(self, placement: Placement, brokers: Iterable[int], weigh: Callable[[int], float]) -> None:
        self.weigh = weigh
        self.rack = placement.rack
        self.heaps: dict[int, list[tuple[float, int]]] = defaultdict(list)
        for b in brokers:
            self.heaps[placement.rack[b]].append((weigh(b), b))
        for heap in self.heaps.values():
            heapify(heap)

    def lighter(self, b: int) -> None:
        """Call this when the broker loses weight; gains are noticed without it."""
        heappush(self.heaps[self.rack[b]], (self.weigh(b), b))

    def pick(self, racks: Iterable[int], fits: Callable[[int], bool], most: int = 1) -> list[int]:
        """Up to `most` of the lightest brokers that fit, from each rack."""
        found: list[int] = []
        for rack in racks:
            heap = self.heaps.get(rack)
            if not heap:
                continue
            if most == 1 and heap[0][0] == self.weigh(heap[0][1]) and fits(heap[0][1]):
                found.append(heap[0][1])  # the usual case: nothing to take out and put back
                continue
            aside: dict[int, float] = {}
            taken = 0
            while heap and taken < most:
                weight, b = heap[0]
                now = self.weigh(b)
                if now > weight:
                    heapreplace(heap, (now, b))
                    continue
                heappop(heap)
                if now < weight or b in aside:
                    continue  # an older entry of a broker that has become lighter: the newer one counts
                aside[b] = weight
                if fits(b):
                    found.append(b)
                    taken += 1
            for b, weight in aside.items():
                heappush(heap, (weight, b))
        return found


def by_disk_and_count(placement: Placement) -> Callable[[int], float]:
    """The weight for replicas that must go somewhere: disk first, replicas at half its weight."""
    mean = placement.mean_count or 1.0

    def weigh(b: int) -> float:
        return placement.x(b) + 0.5 * placement.count[b] / mean

    return weigh


def destination(placement: Placement, light: Lightest, p: int, src: int) -> int | None:
    """The best broker for a replica of `p` that leaves `src` (-1: it is new); None if there is none."""
    crowd = Counter(placement.rack[r] for r in placement.reps[p] if r != src)
    level, floor = levels(placement, p, src, crowd)
    if floor is None:
        return None
    by_level: dict[int, list[int]] = defaultdict(list)
    for rack in range(placement.rack_count):
        if crowd[rack] <= level and placement.rack_accepting[rack]:
            by_level[crowd[rack]].append(rack)
    for crowded in sorted(by_level):
        found = light.pick(by_level[crowded], lambda b: placement.fits(p, b), _CANDIDATES)
        if found:
            return _best(placement, p, found)
    return None


def levels(placement: Placement, p: int, src: int, crowd: Counter[int]) -> tuple[int, int | None]:
    """How crowded a new replica's rack may be, and how crowded the best rack with a broker for it is (None: no rack has one)."""
    taken = Counter(placement.rack[r] for r in placement.reps[p] if placement.accepts[r])
    floor = min(
        (crowd[rack] for rack in range(placement.rack_count) if placement.rack_accepting[rack] > taken[rack]),
        default=None,
    )
    now = crowd[placement.rack[src]] if src >= 0 else 0
    return max(now, floor or 0), floor


def _best(placement: Placement, p: int, found: list[int]) -> int:
    if len(found) == 1:
        return found[0]
    size, mean, within = placement.size[p], placement.mean_count or 1.0, 1 + placement.limits.tolerance

    def after(b: int) -> float:
        return (placement.disk[b] + size) / placement.share[b] if placement.share[b] else 1.0

    bar = max(within, min(map(after, found)))
    return min(
        (b for b in found if after(b) <= bar),
        key=lambda b: (round(20 * placement.count[b] / mean), placement.topic_on(p, b), after(b), b),
    )


def nowhere(placement: Placement, p: int, src: int) -> tuple[str, str]:
    """Why no broker can take a replica of `p`, and what would help."""
    reasons: Counter[str] = Counter()
    crowd = Counter(placement.rack[r] for r in placement.reps[p] if r != src)
    level, floor = levels(placement, p, src, crowd)
    for b in range(len(placement.brokers)):
        if b == src:
            continue
        reason = placement.why_not(p, b)
        if not reason and crowd[placement.rack[b]] > level:
            reason = "in a rack that has more replicas of it"
        if reason:
            reasons[reason] += 1
    why = "no broker can take it (" + ", ".join(f"{n} {reason}" for reason, n in sorted(reasons.items())) + ")"
    if floor is None:
        return (
            why,
            f"one more live broker (it needs {len(placement.reps[p])}), or fewer replicas (`thor plan set-rf`)",
        )
    if any(r.startswith(("over its", "without a log directory")) for r in reasons):
        rack = "" if placement.rack_count == 1 else ", in a rack with few replicas of it"
        return why, f"a higher limit, or one more broker{rack}"
    return why, "one more broker, in a rack with few replicas of it"


def bring_back(placement: Placement, p: int) -> tuple[str, str]:
    """Why nothing can be done for an offline partition, and which broker to bring back: the last one in sync has every
    acknowledged record; for the others that is unknown."""
    part = placement.parts[p]
    first = part.isr or part.elr
    if first:
        b = placement.index[first[0]]
        failed = placement.up[b] and placement.hurt[b]
        cure = f"repair the log directory of broker {first[0]}" if failed else f"bring back broker {first[0]}"
        return "it is offline: no replica that holds all of its records is up", f"{cure} first: it was in sync last"
    return (
        "it is offline: no replica is in sync, and none is known to hold all of its records",
        f"bring back its brokers ({', '.join(map(str, part.replicas))})",
    )


class Failures:
    """Unmet goals, grouped by reason."""

    def __init__(self, goal: str, required: bool = True) -> None:
        self.goal = goal
        self.required = required
        self.by_reason: dict[tuple[str, str], list[str]] = {}
        self._named: set[str] = set()

    def add(self, subject: str, why: str, would_help: str) -> None:
        """Add an unmet goal; a partition that fails with two of its replicas is named once, with the first reason."""
        if subject not in self._named:
            self._named.add(subject)
            self.by_reason.setdefault((why, would_help), []).append(subject)

    def unmet(self) -> list[Unmet]:
        """One per reason."""
        return [
            Unmet(self.goal, tuple(subjects[:5]), len(subjects), why, would_help, self.required)
            for (why, would_help), subjects in self.by_reason.items()
        ]
