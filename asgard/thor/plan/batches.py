"""The order of a plan: batches that move together, each about a minute at the throttle.

While a batch runs, its replicas are on the new brokers and still on the old ones: a broker receives what a batch brings before it
is rid of what the batch takes away, and the limits hold at every moment. What no order can achieve is left out and named.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field

from asgard.cluster.placement import Placement
from asgard.cluster.plan import BATCH_SECONDS, Batch

_LOOK_AHEAD = 10


@dataclass
class PartitionChange:
    """A partition's change as the batches see it; brokers are the placement's numbers."""

    p: int
    urgency: int
    size: int
    source: int
    gains: list[int] = field(default_factory=list)
    losses: list[int] = field(default_factory=list)
    lead_from: int = -1
    lead_to: int = -1

    def __post_init__(self) -> None:
        self.bytes_moved = self.size * len(self.gains)  # of all replicas that are copied


class Scheduler:
    """Puts steps into batches. It starts from what the brokers carry before the plan."""

    def __init__(self, placement: Placement, *, limited: bool = True) -> None:
        self.placement = placement
        self.limited = limited
        start = placement.start
        self.disk = list(start.disk)
        self.count = list(start.count)
        self.leads = list(start.leads)
        self.bytes_in = list(start.bytes_in)
        self.bytes_out = list(start.bytes_out)
        self.rate = placement.limits.rate_bytes_per_s
        self.dirs = placement.dirs.start()
        self._smallest: dict[int, int] = {}

    def order(self, steps: list[PartitionChange]) -> tuple[list[list[PartitionChange]], list[PartitionChange]]:
        """The batches, and the steps that fit into none."""
        queues: dict[int, deque[PartitionChange]] = defaultdict(deque)
        for step in sorted(steps, key=lambda s: (s.urgency, -s.size, s.p), reverse=True):
            queues[step.gains[0] if step.gains else -1].append(step)
        self._smallest = {key: min([step.size for step in queue]) for key, queue in queues.items()}
        batches: list[list[PartitionChange]] = []
        while any(queues.values()):
            batch = self._fill(queues)
            if not batch:
                break
            batches.append(batch)
        return batches, [s for q in queues.values() for s in q]

    def _fill(self, queues: dict[int, deque[PartitionChange]]) -> list[PartitionChange]:
        into: dict[int, int] = defaultdict(int)
        out: dict[int, int] = defaultdict(int)
        moves: dict[int, int] = defaultdict(int)
        batch: list[PartitionChange] = []
        total = 0
        limits = self.placement.limits
        # A replica that takes longer than a minute gives the others that much time.
        most = max([self.rate * BATCH_SECONDS, *(q[-1].size for q in queues.values() if q and q[-1].gains)])

        def taken(step: PartitionChange) -> bool:
            nonlocal total
            heavy, source = step.bytes_moved, step.source
            if heavy:
                for b in step.gains:
                    if into[b] and into[b] + step.size > most:
                        return False
                if out[source] and out[source] + heavy > most:
                    return False
                if total and limits.batch_bytes and total + heavy > limits.batch_bytes:
                    return False
            slots = [*step.gains, source] if step.gains else []
            if limits.moves_per_broker and any(moves[b] >= limits.moves_per_broker for b in slots):
                return False
            if not self._within(step):
                return False
            batch.append(step)
            total += heavy
            out[step.source] += heavy
            for b in step.gains:
                into[b] += step.size
            for b in slots:
                moves[b] += 1
            self._gain(step)
            return True

        for key in sorted(queues, key=lambda k: (k < 0, k)):
            queue = queues[key]
            full = most - self._smallest[key]
            # The most urgent and largest first; small ones fill the rest of the minute.
            for take, put_back in ((queue.pop, queue.extend), (queue.popleft, queue.extendleft)):
                passed: list[PartitionChange] = []
                # Once the receiver's minute is full, the rest of its queue can be skipped.
                while queue and len(passed) < _LOOK_AHEAD and not (key >= 0 and into[key] and into[key] > full):
                    step = take()
                    if not taken(step):
                        passed.append(step)
                put_back(reversed(passed))
        if not batch:
            return self._search(queues)
        for step in batch:
            self._lose(step)
        return batch

    def _search(self, queues: dict[int, deque[PartitionChange]]) -> list[PartitionChange]:
        """Beyond the look-ahead: any single step that the limits allow."""
        for key in sorted(queues):
            for i in range(len(queues[key]) - 1, -1, -1):
                step = queues[key][i]
                if self._within(step):
                    del queues[key][i]
                    self._gain(step)
                    self._lose(step)
                    return [step]
        return []

    def _within(self, step: PartitionChange) -> bool:
        if not self.limited:
            return True
        placement = self.placement
        rate = placement.rate_in[step.p]
        for b in step.gains:
            if (
                self.disk[b] + step.size > placement.disk_cap[b]
                or self.count[b] + 1 > placement.count_cap[b]
                or self.bytes_in[b] + rate > placement.in_cap[b]
                or (placement.split[b] and not self._dir_within(step, b))
            ):
                return False
        b = step.lead_to
        return b < 0 or (
            self.leads[b] + 1 <= placement.leads_cap[b]
            and self.bytes_out[b] + placement.rate_out[step.p] <= placement.out_cap[b]
        )

    def _dir_within(self, step: PartitionChange, b: int) -> bool:
        d = self.placement.dirs.at[step.p, b]
        return self.dirs[b][d] + step.size <= self.placement.dirs.of[b][d].cap

    def _gain(self, step: PartitionChange) -> None:
        for b in step.gains:
            if self.placement.split[b]:
                self.dirs[b][self.placement.dirs.at[step.p, b]] += step.size
            self.disk[b] += step.size
            self.count[b] += 1
            self.bytes_in[b] += self.placement.rate_in[step.p]
        if step.lead_to >= 0:
            self.leads[step.lead_to] += 1
            self.bytes_out[step.lead_to] += self.placement.rate_out[step.p]

    def _lose(self, step: PartitionChange) -> None:
        for b in step.losses:
            if self.placement.split[b] and (d := self.placement.dirs.before.get((step.p, b))) is not None:
                self.dirs[b][d] -= step.size
            self.disk[b] -= step.size
            self.count[b] -= 1
            self.bytes_in[b] -= self.placement.rate_in[step.p]
        if step.lead_from >= 0:
            self.leads[step.lead_from] -= 1
            self.bytes_out[step.lead_from] -= self.placement.rate_out[step.p]

    def described(self, batches: list[list[PartitionChange]]) -> tuple[Batch, ...]:
        """Each batch with its bytes, and its time at the throttle: that of the broker with the most to receive or send."""
        found = []
        for number, batch in enumerate(batches, 1):
            into: dict[int, int] = defaultdict(int)
            out: dict[int, int] = defaultdict(int)
            for step in batch:
                out[step.source] += step.bytes_moved
                for b in step.gains:
                    into[b] += step.size
            busiest = max([*into.values(), *out.values()], default=0)
            found.append(Batch(number, len(batch), sum(s.bytes_moved for s in batch), round(busiest / self.rate, 1)))
        return tuple(found)
