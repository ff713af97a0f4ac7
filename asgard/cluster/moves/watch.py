"""What an execution watches while moves are in flight: the cluster's health, the bytes still to copy, the throttle.

Looks that are expensive in a large cluster are rare enough to take at most a tenth of the time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable

from asgard.cluster.limits import Limits
from asgard.cluster.moves import auto
from asgard.cluster.moves.health import Health, TopicPartition, Worse, health, worse
from asgard.kafka.model import Broker, Partition, Topic
from asgard.kafka.ports import ControlPlane

POLL_S = 0.25
"""How long an execution waits between two looks at moves in flight."""
_BROKERS_EVERY_S = 0.5
_TOPICS_EVERY_S = 3.0
_SIZES_EVERY_S = 2.0
_RATE_OVER_S = 20.0
_TUNE_EVERY_S = 5.0
_FIRST_S = 2.0
_DISKS_DEADLINE_S = 3.0


class LookTimer:
    """When a look is due again: after `every_s`, or after ten times as long as it took."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._due = float("-inf")

    def due(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._due

    def took(self, began: float) -> None:
        """Note that a look that began then has now ended."""
        now = time.monotonic()
        self._due = now + max(self._every_s, 10 * (now - began))


class MovesWatch:
    """See the module."""

    def __init__(self, control: ControlPlane) -> None:
        self.bytes_done = 0
        self.rate: float | None = None
        self._control = control
        self._brokers, self._topics, self._sizes = (
            LookTimer(_BROKERS_EVERY_S),
            LookTimer(_TOPICS_EVERY_S),
            LookTimer(_SIZES_EVERY_S),
        )
        self._samples: deque[tuple[float, int]] = deque()
        self._excused: frozenset[int] = frozenset()
        self._state = (-1, 0)
        self._moved_at = time.monotonic()
        self.topics: dict[str, Topic] = {}
        self._first: Health | None = None
        self._last = self._now = Health(frozenset())

    def _look(self) -> Health:
        self.topics = self._control.topics()
        return health(self._control.cluster().brokers, self.topics.values())

    def look(self) -> None:
        """Check which brokers are up, and from time to time the state of all partitions."""
        began = time.monotonic()
        if self._topics.due():
            self._last, self._now = self._now, self._look()
            self._first = self._first or self._now
            self._topics.took(began)
            self._brokers.took(began)
        elif self._brokers.due():
            self._now = Health(up_of(self._control.cluster().brokers), self._now.offline, self._now.lacking)
            self._brokers.took(began)

    @property
    def up(self) -> frozenset[int]:
        """The brokers that are up, as of the last look."""
        return self._now.up

    def worse(self, ours: Collection[TopicPartition]) -> Worse:
        """What got worse since the first look; `ours` are the partitions of the plan."""
        if self._first is None:
            return Worse()
        return worse(self._first, self._last, self._now, ours, self._excused)

    def excuse(self, brokers: Iterable[int]) -> None:
        """Note that the loss of these brokers is known."""
        self._excused |= frozenset(brokers)

    def lacking(self, moving: Collection[Partition]) -> dict[TopicPartition, int] | None:
        """Bytes that each partition's new replicas still lack of their leader's size; None if not checked this time.

        A partition whose brokers did not answer is left out.
        """
        if not moving:
            return {}
        if not self._sizes.due():
            return None
        began = time.monotonic()
        asked = {b for p in moving for b in (p.leader, *p.adding) if b in self.up}
        found = self._control.disks(asked, _DISKS_DEADLINE_S)
        sizes = {broker: disk.sizes for broker, disk in found.items()}
        self._sizes.took(began)
        return {(p.topic, p.partition): n for p in moving if (n := _lacking(p, sizes)) is not None}

    def at(self, moves: int, bytes_done: int, bytes_left: int) -> None:
        """Record the number of moves and bytes in flight: shows how fast it goes, and whether it progresses at all."""
        now = time.monotonic()
        # A log that retention shortened meanwhile does not count as lost progress.
        self.bytes_done = max(self.bytes_done, bytes_done)
        if moves != self._state[0] or bytes_left < self._state[1]:
            self._state, self._moved_at = (moves, bytes_left), now
        self._samples.append((now, self.bytes_done))
        while now - self._samples[0][0] > _RATE_OVER_S:
            self._samples.popleft()
        then, bytes_then = self._samples[0]
        if now - then >= _SIZES_EVERY_S:
            self.rate = (self.bytes_done - bytes_then) / (now - then)

    @property
    def idle_s(self) -> float:
        """How long no move has finished and no byte was copied."""
        return time.monotonic() - self._moved_at


def _lacking(p: Partition, sizes: auto.Sizes) -> int | None:
    if any(b not in sizes for b in (p.leader, *p.adding)):
        return None
    key = (p.topic, p.partition)
    return sum(max(0, sizes[p.leader].get(key, 0) - sizes[new].get(key, 0)) for new in p.adding)


def up_of(brokers: Iterable[Broker]) -> frozenset[int]:
    """Ids of those that are up."""
    return frozenset(b.id for b in brokers if b.state == "up")


class Tuner:
    """Keeps a throttle within the headroom of the brokers. `most`: the maximum in bytes per second and broker."""

    def __init__(self, control: ControlPlane, limits: Limits, most: float) -> None:
        """Looks at the brokers twice, `_FIRST_S` apart, to start with a suitable rate."""
        self.rate = most
        self._control = control
        self._limits = limits
        self._most = most
        self._pace = LookTimer(_TUNE_EVERY_S)
        self._before = self._look(up_of(control.cluster().brokers))
        time.sleep(_FIRST_S)
        self.tune(self._before[1], control.topics().values())

    def _look(self, up: Collection[int]) -> tuple[float, auto.Sizes]:
        began = time.monotonic()
        sizes = {b: disk.sizes for b, disk in self._control.disks(up, _DISKS_DEADLINE_S).items()}
        self._pace.took(began)
        return began, sizes

    def tune_if_due(self, up: Collection[int], topics: Iterable[Topic]) -> bool:
        """Check the brokers' traffic, from time to time; True if the rate has changed."""
        return self._pace.due() and self.tune(up, topics)

    def tune(self, up: Collection[int], topics: Iterable[Topic]) -> bool:
        """Look now."""
        before, self._before = self._before, self._look(up)
        seconds = self._before[0] - before[0]
        carried = auto.traffic(before[1], self._before[1], seconds, (p for t in topics for p in t.partitions))
        then, self.rate = self.rate, auto.next_rate(self.rate, auto.head_room(carried, self._limits), self._most)
        return self.rate != then
