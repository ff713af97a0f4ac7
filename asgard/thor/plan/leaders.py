"""Preferred leaders: who leads each partition, by order of its replicas alone. Nothing is copied."""

from __future__ import annotations

from collections import deque
from math import ceil, floor

from asgard.cluster.placement import Placement
from asgard.cluster.plan import Unmet


def lead_from(placement: Placement, p: int, candidates: list[int]) -> None:
    """Give the lead to the candidate with the fewest leaders, within its limits if possible."""
    if not candidates:
        return
    old = placement.lead[p]
    allowed = [b for b in candidates if placement.may_lead(p, b)] or [b for b in candidates if b == old] or candidates

    def without_it(b: int) -> int:
        return placement.leads[b] - (b == old)

    best = min(
        allowed, key=lambda b: (without_it(b), placement.bytes_out[b] - (placement.rate_out[p] if b == old else 0), b)
    )
    placement.put_first(p, best)


def balance_leaders(placement: Placement) -> None:
    """Bring the number of leaders of each broker within the tolerance, with few changes, then the traffic of leaders."""
    shift = _Shift(placement)
    shift.counts()
    shift.traffic()


def name_unbalanced(placement: Placement) -> None:
    """Note the brokers that still lead too many partitions."""
    high = upper_leads(placement)
    over = [b for b in placement.active if placement.leads[b] > high]
    if over:
        placement.unmet.append(
            Unmet(
                "balance leaders",
                tuple(f"broker {placement.ids[b]}" for b in over[:5]),
                len(over),
                f"more than {high} leaders, and no other replica of their partitions may lead",
                "a balance of the replicas, or a higher limit or tolerance",
                required=False,
            )
        )


def upper_leads(placement: Placement) -> int:
    """The most leaders a broker within the tolerance has."""
    mean = placement.mean_leads
    return max(ceil(mean), floor(mean * (1 + placement.limits.tolerance)))


def lower_leads(placement: Placement) -> int:
    """The fewest leaders a broker within the tolerance has."""
    mean = placement.mean_leads
    return min(floor(mean), ceil(mean * (1 - placement.limits.tolerance)))


class _Shift:
    """Passes leadership along chains of partitions: from a broker that leads many to one that leads few."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self._fixed = placement.immovable()
        self._of: dict[int, tuple[set[int], set[int]]] = {}

    def _split(self, b: int) -> tuple[set[int], set[int]]:
        """The partitions that the broker leads and those it follows, if their leader may change."""
        found = self._of.get(b)
        if found is None:
            placement = self.placement
            lead, reps = placement.lead, placement.reps
            free = [p for p in placement.on[b] - self._fixed if lead[p] == reps[p][0]]
            found = self._of[b] = {p for p in free if lead[p] == b}, {p for p in free if lead[p] != b}
        return found

    def led(self, b: int) -> set[int]:
        """What it leads; looked up on first use, since a balanced cluster needs none."""
        return self._split(b)[0]

    def followed(self, b: int) -> set[int]:
        """What it follows."""
        return self._split(b)[1]

    def counts(self) -> None:
        placement = self.placement
        high, low = upper_leads(placement), lower_leads(placement)
        caps = [min(high, placement.leads_cap[b]) for b in range(len(placement.brokers))]
        for b in sorted(placement.active, key=lambda b: (-placement.leads[b], b)):
            while placement.leads[b] > caps[b] and self._pass_on(b, caps):
                pass
        for b in sorted(placement.active, key=lambda b: (placement.leads[b], b)):
            while placement.leads[b] < low and self._draw(b, low):
                pass

    def _pass_on(self, start: int, caps: list[float]) -> bool:
        """One leader less for `start`, one more for the nearest broker below its mean, else below its cap."""
        placement = self.placement
        mean = placement.mean_leads

        def has_room(b: int) -> bool:
            return placement.leads[b] + 1 <= min(mean, caps[b])

        return self._along(start, has_room, forward=True) or self._along(
            start, lambda b: placement.leads[b] + 1 <= caps[b], forward=True
        )

    def _draw(self, start: int, low: int) -> bool:
        """One leader more for `start`, one less for the nearest broker above the mean, else above the lower bound."""
        placement = self.placement
        mean = placement.mean_leads
        return self._along(start, lambda b: placement.leads[b] - 1 >= mean, forward=False) or self._along(
            start, lambda b: placement.leads[b] - 1 >= low, forward=False
        )

    def _along(self, start: int, good: object, *, forward: bool) -> bool:
        """Find the shortest chain to a good broker (breadth first) and pass one leadership along it."""
        placement = self.placement
        came: dict[int, tuple[int, int]] = {start: (-1, -1)}
        queue = deque([start])
        while queue:
            b = queue.popleft()
            for p in sorted(self.led(b) if forward else self.followed(b)):
                following = placement.reps[p][1:] if forward else (placement.lead[p],)
                for f in following:
                    if f in came or not placement.accepts[f] or (forward and not placement.may_lead(p, f)):
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
        placement = self.placement
        old = placement.lead[p]
        for broker, gets in ((old, False), (b, True)):
            if broker in self._of:
                led, followed = self._of[broker]
                (led if gets else followed).add(p)
                (followed if gets else led).discard(p)
        placement.put_first(p, b)

    def traffic(self) -> None:
        """Pass the leaders with the most traffic on from brokers above the tolerance, keeping the counts within theirs."""
        placement = self.placement
        high, low = upper_leads(placement), lower_leads(placement)
        bar = placement.mean_out * (1 + placement.limits.tolerance)
        if bar <= 0:
            return
        for b in sorted(placement.active, key=lambda b: (-placement.bytes_out[b], b)):
            cap = min(bar, placement.out_cap[b])
            if placement.bytes_out[b] <= cap:
                continue
            for p in sorted(self.led(b), key=lambda p: (-placement.rate_out[p], p)):
                if placement.bytes_out[b] <= cap or placement.leads[b] <= low:
                    break
                rate = placement.rate_out[p]
                takers = [
                    f
                    for f in placement.reps[p][1:]
                    if placement.accepts[f]
                    and placement.may_lead(p, f)
                    and placement.leads[f] < high
                    and placement.bytes_out[f] + rate <= bar
                ]
                if takers:
                    self.lead(p, min(takers, key=lambda f: (placement.bytes_out[f], f)))
