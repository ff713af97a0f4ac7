"""Balancing and filling: bring every broker's disk, then its replicas, within the tolerance around the mean, with few bytes.

A broker above the tolerance sheds the excess, one below draws what it lacks, and nothing else moves: at least the larger of
the two sums must move, and hardly more does. Replicas are chosen by best fit, of the size that evens disk and replica count
together; the last pieces are the smallest.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush, heapreplace
from math import ceil, floor, inf

from asgard.cluster.placement import Placement
from asgard.thor.plan.place import Lightest

_CANDIDATES = 1
_SOURCES = 12
_SCAN = 60
_AIM = 0.995
"""Brokers outside the tolerance are brought this close to it: the rest, left by too coarse pieces, is still within it."""


class Evener:
    """The participating brokers, with what each may carry: `low` and `high` bytes, `count_low` and `count_high` replicas."""

    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        tolerance = _AIM * placement.limits.tolerance
        self.high = [min(s * (1 + tolerance), cap) for s, cap in zip(placement.share, placement.disk_cap, strict=True)]
        self.low = [min(s * (1 - tolerance), high) for s, high in zip(placement.share, self.high, strict=True)]
        mean, tolerance = placement.mean_count, placement.limits.tolerance
        most = max(ceil(mean), floor(mean * (1 + tolerance)))
        self.count_high = [min(most, cap) for cap in placement.count_cap]
        self.count_low = min(floor(mean), ceil(mean * (1 - tolerance)))
        self.by_disk = Lightest(placement, placement.active, placement.x)
        self.by_count = Lightest(placement, placement.active, lambda b: placement.count[b])
        self.fixed = placement.immovable()
        self.gap = {b: d for b in placement.active if (d := self.deficit(b)) > 0}
        self.gaps = sorted((d, b) for b, d in self.gap.items())
        self._held: dict[int, list[tuple[int, int]]] = {}
        self._lighter: set[int] = set()

    def held(self, b: int) -> list[tuple[int, int]]:
        """What the broker may give away: (size, partition), smallest first. Sorted on first use."""
        if (found := self._held.get(b)) is None:
            size = self.placement.size
            found = self._held[b] = sorted([(size[p], p) for p in self.placement.on[b] - self.fixed])
        return found

    # How far off ---------------------------------------------------------------------------------------------------

    def excess(self, b: int) -> float:
        """Bytes to shed."""
        return self.placement.disk[b] - self.high[b]

    def deficit(self, b: int) -> float:
        """Bytes to gain."""
        return self.low[b] - self.placement.disk[b]

    def above(self, b: int) -> float:
        """Bytes above the tolerance or the limit."""
        placement = self.placement
        return placement.disk[b] - min(placement.share[b] * (1 + placement.limits.tolerance), placement.disk_cap[b])

    def below(self, b: int) -> float:
        """Bytes below the tolerance."""
        placement = self.placement
        return min(placement.share[b] * (1 - placement.limits.tolerance), placement.disk_cap[b]) - placement.disk[b]

    def lower_bound(self) -> int:
        """No balance can move fewer bytes."""
        over = sum(max(0.0, self.above(b)) for b in self.placement.active)
        under = sum(max(0.0, self.below(b)) for b in self.placement.active)
        return ceil(max(over, under))

    # What goes where -----------------------------------------------------------------------------------------------

    def allowed(self, p: int, src: int, dst: int) -> bool:
        """Whether the replica may move: limits, racks (never worse), leadership."""
        placement = self.placement
        if not placement.fits(p, dst) or (placement.lead[p] == src and not placement.may_lead(p, dst)):
            return False
        return placement.rack[src] == placement.rack[dst] or placement.neighbours(p, src, dst) <= placement.neighbours(
            p, src, src
        )

    def taker(self, p: int, src: int, light: Lightest, good: Callable[[int], bool]) -> int | None:
        """The lightest broker that may take the replica and passes `good`."""
        placement = self.placement
        crowd = [0] * placement.rack_count
        for r in placement.reps[p]:
            if r != src:
                crowd[placement.rack[r]] += 1
        now = crowd[placement.rack[src]]
        racks = [r for r in range(placement.rack_count) if crowd[r] <= now and placement.rack_accepting[r]]
        leads = placement.lead[p] == src

        def fits(b: int) -> bool:
            return good(b) and placement.fits(p, b) and not (leads and not placement.may_lead(p, b))

        found = light.pick(racks, fits, _CANDIDATES)
        if not found:
            return None
        if len(found) == 1:
            return found[0]
        size = placement.size[p]
        ranked = [
            (round(20 * (placement.disk[b] + size) / (placement.share[b] or 1)), placement.count[b], b) for b in found
        ]
        best = min(ranked)[:2]
        tied = [b for *rank, b in ranked if tuple(rank) == best]
        return tied[0] if len(tied) == 1 else min(tied, key=lambda b: (placement.topic_on(p, b), b))

    def move(self, p: int, src: int, dst: int, why: str) -> None:
        """Move, and update the totals."""
        placement = self.placement
        entry = (placement.size[p], p)
        placement.move(p, src, dst, why)
        disk, low, gap = placement.disk, self.low, self.gap
        for b in (src, dst):
            if b in gap:
                del self.gaps[bisect_left(self.gaps, (gap.pop(b), b))]
            if disk[b] < low[b]:
                gap[b] = low[b] - disk[b]
                insort(self.gaps, (gap[b], b))
        if (held := self._held.get(src)) is not None:
            del held[bisect_left(held, entry)]
        if (held := self._held.get(dst)) is not None:
            insort(held, entry)
        self._lighter.add(src)

    def _settle(self) -> None:
        """Tell the heaps which brokers lost weight: once per broker, not per move, since no broker takes while it gives."""
        for b in sorted(self._lighter):
            self.by_disk.lighter(b)
            self.by_count.lighter(b)
        self._lighter.clear()

    def gain(self, size: int, src: int, dst: int) -> float:
        """Bytes out of tolerance that the move fixes, per byte moved."""
        if not size:
            return 1.0
        disk = self.placement.disk
        right = min(size, max(0.0, self.excess(src))) + min(size, max(0.0, self.deficit(dst)))
        wrong = min(size, max(0.0, self.low[src] - disk[src] + size))
        return (right - wrong) / size

    # Disk ----------------------------------------------------------------------------------------------------------

    def shed(self, src: int) -> None:
        """Move what is above the tolerance: into the gaps of brokers below it, one filled after the other, the rest to the lightest."""
        self._settle()
        self._shed(src, self._gap_for, lambda: self.gaps[-1][0] if self.gaps else 0)
        self._shed(src, self._disk_taker, lambda: inf)

    def _shed(self, src: int, taker: Callable[[int, int], int | None], largest: Callable[[], float]) -> None:
        placement = self.placement
        left = list(self.held(src))
        why = f"broker {placement.ids[src]} holds more than its share"
        while (excess := self.excess(src)) > 0 and left:
            ideal = excess / self._pieces(
                placement.count[src] - placement.mean_count, excess, placement.disk[src] - placement.share[src]
            )
            most = largest()
            if left[0][0] > most:
                return
            size, p = left.pop(max(0, bisect_right(left, (min(ideal, most), inf)) - 1))
            if size == 0:
                continue
            dst = taker(p, src)
            if dst is not None and self.gain(size, src, dst) >= placement.limits.min_gain:
                self.move(p, src, dst, why)

    def _gap_for(self, p: int, src: int) -> int | None:
        """Best fit: the broker below the tolerance that lacks least, but at least what the replica brings."""
        size, count = self.placement.size[p], self.placement.count
        at = bisect_left(self.gaps, (float(size), -1))
        for _, b in self.gaps[at : at + _SCAN]:
            if count[b] + 1 <= self.count_high[b] and self.allowed(p, src, b):
                return b
        return None

    def _disk_taker(self, p: int, src: int) -> int | None:
        size, disk, high = self.placement.size[p], self.placement.disk, self.high
        count, most = self.placement.count, self.count_high
        return self.taker(
            p, src, self.by_disk, lambda b: disk[b] + size <= high[b] and count[b] + 1 <= most[b]
        ) or self.taker(p, src, self.by_disk, lambda b: disk[b] + size <= high[b])

    @staticmethod
    def _pieces(count_off: float, now: float, whole: float) -> float:
        """In how many pieces to move `now` bytes, so that the replica count evens out along with the disk."""
        if count_off <= 0 or whole <= 0:
            return 1.0
        return max(1.0, count_off * now / whole)

    def draw(self, dst: int, heavy: Heaviest) -> None:
        """Take what it lacks up to the tolerance from the heaviest brokers."""
        placement = self.placement
        why = f"broker {placement.ids[dst]} holds less than its share"
        while (need := self.deficit(dst)) > 0:
            ideal = need / self._pieces(
                placement.mean_count - placement.count[dst], need, placement.share[dst] - placement.disk[dst]
            )
            found = next(
                (
                    (p, src)
                    for src in heavy.first(_SOURCES)
                    if src != dst and (p := self._piece(src, dst, ideal, need)) is not None
                ),
                None,
            )
            if found is None:
                return
            self.move(*found, dst, why)

    def _piece(self, src: int, dst: int, ideal: float, need: float) -> int | None:
        """A replica on `src` that `dst` may take: the largest up to the ideal size, else the smallest above it."""
        held = self.held(src)
        at = bisect_right(held, (ideal, inf))
        for size, p in (*reversed(held[max(0, at - _SCAN) : at]), *held[at : at + _SCAN]):
            if not size or self.placement.disk[dst] + size > self.high[dst] or size > need * 1.05 > self._smallest(src):
                continue
            if self.allowed(p, src, dst) and self.gain(size, src, dst) >= self.placement.limits.min_gain:
                return p
        return None

    def _smallest(self, src: int) -> int:
        held = self.held(src)
        return held[0][0] if held else 0

    # Replicas ------------------------------------------------------------------------------------------------------

    def shed_count(self, src: int) -> None:
        """Move the smallest replicas away until the count is within the tolerance; the disk stays within it."""
        placement = self.placement
        why = f"broker {placement.ids[src]} has more replicas than its share"
        if placement.count[src] <= self.count_high[src]:
            return
        self._settle()
        for size, p in list(self.held(src)):
            if placement.count[src] <= self.count_high[src]:
                return
            if placement.disk[src] - size < self.low[src]:
                return
            dst = self.taker(p, src, self.by_count, lambda b, s=size: self._counts(b, s))  # type: ignore[misc]
            if dst is not None:
                self.move(p, src, dst, why)

    def _counts(self, b: int, size: int) -> bool:
        return self.placement.disk[b] + size <= self.high[b] and self.placement.count[b] + 1 <= self.count_high[b]

    def draw_count(self, dst: int, heavy: Heaviest) -> None:
        """Take the smallest replicas from the brokers with most until the count is within the tolerance."""
        placement = self.placement
        why = f"broker {placement.ids[dst]} has fewer replicas than its share"
        while placement.count[dst] < self.count_low:
            found = next(
                (
                    (p, src)
                    for src in heavy.first(_SOURCES)
                    if placement.count[src] > placement.mean_count
                    and src != dst
                    and (p := self._smallest_for(src, dst)) is not None
                ),
                None,
            )
            if found is None:
                return
            self.move(*found, dst, why)

    def _smallest_for(self, src: int, dst: int) -> int | None:
        placement = self.placement
        for size, p in self.held(src)[:_SCAN]:
            if placement.disk[dst] + size > self.high[dst] or placement.disk[src] - size < self.low[src]:
                return None
            if self.allowed(p, src, dst):
                return p
        return None

    def relieve(self, src: int) -> None:
        """Move replicas away until the broker is within its limit of bytes in: those with most traffic per byte first."""
        placement = self.placement
        if placement.bytes_in[src] <= placement.in_cap[src]:
            return
        self._settle()
        why = f"broker {placement.ids[src]} is over its limit of bytes in"
        by_rate = sorted(self.held(src), key=lambda e: (-placement.rate_in[e[1]] / (e[0] + 1), e[1]))
        for _, p in by_rate:
            if placement.bytes_in[src] <= placement.in_cap[src]:
                return
            if placement.rate_in[p] <= 0:
                return
            dst = self._disk_taker(p, src)
            if dst is not None:
                self.move(p, src, dst, why)


class Heaviest:
    """Brokers, heaviest first, by a weight that falls as they give; gains are noticed only when a broker is asked for."""

    def __init__(self, brokers: Iterable[int], weigh: Callable[[int], float]) -> None:
        self.weigh = weigh
        self.heap = [(-weigh(b), b) for b in brokers]
        heapify(self.heap)

    def first(self, most: int) -> list[int]:
        """The heaviest `most` brokers."""
        found: list[int] = []
        while self.heap and len(found) < most:
            weight, b = self.heap[0]
            now = -self.weigh(b)
            if now > weight:
                heapreplace(self.heap, (now, b))
                continue
            heappop(self.heap)
            found.append(b)
        for b in found:
            heappush(self.heap, (-self.weigh(b), b))
        return found
