"""What each log directory of a broker holds during planning, and which one a new replica goes to.

Only brokers with several directories, or with a separate limit for one, are kept here. Kafka puts a new replica into
the directory with the fewest replicas, however full it is; so plans name the directory. A directory whose replicas are
unknown (a snapshot of an older version) never gains room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from asgard.cluster.limits import Limits
from asgard.cluster.plan import DirLoad
from asgard.kafka.model import Broker, Partition


@dataclass
class LogDirectory:
    """A log directory: `bytes` and `count` of the replicas known to be there, `base` bytes of what else is on its volume."""

    path: str
    capacity: int | None
    disk: float
    usable: bool
    offline: bool = False
    base: int = 0
    bytes: int = 0
    count: int = 0

    @property
    def cap(self) -> float:
        """Maximum bytes of replicas."""
        return math.inf if self.capacity is None else self.disk * self.capacity - self.base

    @property
    def used(self) -> int:
        """Everything on its volume."""
        return self.base + self.bytes

    @property
    def fill(self) -> float | None:
        """The used fraction of its capacity."""
        return self.used / self.capacity if self.capacity else None

    def weight(self, more: int = 0) -> float:
        """How full it would be with that many more bytes, to compare the directories of one broker."""
        return (self.used + more) / self.capacity if self.capacity else float(self.used + more)


class Directories:
    """See the module. `of` has the directories by number of the broker, `at` and `home` the directory of (partition, broker).

    `home` is where a replica goes back to; `before` where it is before the plan.
    """

    def __init__(self, brokers: Sequence[Broker], limits: Limits) -> None:
        self.of: dict[int, list[LogDirectory]] = {}
        self.at: dict[tuple[int, int], int] = {}
        self.home: dict[tuple[int, int], int] = {}
        self.before: dict[tuple[int, int], int] = {}
        self._start: dict[int, list[tuple[int, int]]] = {}
        self._limits = limits
        self._ids = [broker.id for broker in brokers]
        for b, broker in enumerate(brokers):
            named = {*limits.log_dirs, *limits.of(broker.id).log_dirs}
            own = [limits.of_directory(broker.id, d.path) for d in broker.log_dirs]
            if len(own) < 2 and not any(d.path in named for d in broker.log_dirs):
                continue
            default = limits.of(broker.id).disk or 1.0
            self.of[b] = [
                LogDirectory(
                    d.path,
                    d.capacity_bytes if limit.capacity_bytes is None else limit.capacity_bytes,
                    default if limit.disk is None else limit.disk,
                    not d.offline and not d.cordoned,
                    d.offline,
                )
                for d, limit in zip(broker.log_dirs, own, strict=True)
            ]

    def take(self, brokers: Sequence[Broker], parts: Sequence[Partition], sizes: Sequence[int]) -> None:
        """Count what is in each directory."""
        if not self.of:
            return
        number = {brokers[b].id: b for b in self.of}
        paths = {b: {d.path: i for i, d in enumerate(dirs)} for b, dirs in self.of.items()}
        for p, part in enumerate(parts):
            for i, r in enumerate(part.replicas):
                b = number.get(r)
                if b is None:
                    continue
                path = part.log_dirs[i] if part.log_dirs else ""
                d = 0 if len(self.of[b]) == 1 else paths[b].get(path)
                if d is not None:
                    self.home[p, b] = d
                    if r in part.removing:
                        continue  # its bytes are on the volume, and count as other data there
                    self.at[p, b] = d
                    self._count(b, d, sizes[p])
        for b, dirs in self.of.items():
            for d, there in enumerate(dirs):
                log_dir = brokers[b].log_dirs[d]
                own = self._limits.of_directory(brokers[b].id, log_dir.path).capacity_bytes is not None
                there.base = 0 if own else max(0, (log_dir.used_bytes or 0) - there.bytes)
            self._start[b] = [(there.bytes, there.count) for there in dirs]
        self.before = dict(self.at)

    def start(self) -> dict[int, list[int]]:
        """Bytes of replicas in each directory before the plan."""
        return {b: [size for size, _ in dirs] for b, dirs in self._start.items()}

    def loads(self, b: int) -> list[DirLoad]:
        """Each directory of the broker before the plan and now."""
        return [
            DirLoad(
                broker=self._ids[b],
                path=d.path,
                bytes_before=before,
                bytes_after=d.bytes,
                replicas_before=count,
                replicas_after=d.count,
                disk_before=round((d.base + before) / d.capacity, 4) if d.capacity else None,
                disk_after=round(d.used / d.capacity, 4) if d.capacity else None,
            )
            for d, (before, count) in zip(self.of[b], self._start[b], strict=True)
        ]

    def room(self, b: int, size: int) -> bool:
        """Whether any directory of the broker has room for that many bytes."""
        return any(d.usable and d.bytes + size <= d.cap for d in self.of[b])

    def give(self, p: int, b: int, size: int) -> None:
        """One more replica on the broker: in its earlier directory, else in the emptiest with room, else in the
        emptiest."""
        dirs = self.of[b]
        d = self.home.get((p, b))
        if d is None:
            fitting = [i for i, d in enumerate(dirs) if d.usable and d.bytes + size <= d.cap]
            fitting = fitting or [i for i, d in enumerate(dirs) if d.usable] or list(range(len(dirs)))
            d = min(fitting, key=lambda i: (dirs[i].weight(size), dirs[i].count, i))
        self.at[p, b] = d
        self._count(b, d, size)

    def send_home(self, p: int, b: int, path: str) -> None:
        """Put a replica that comes to the broker into that directory, if the broker still has it."""
        number = next((i for i, d in enumerate(self.of.get(b, ())) if d.path == path and not d.offline), None)
        if number is not None:
            self.home.setdefault((p, b), number)

    def take_away(self, p: int, b: int, size: int) -> None:
        """One replica less on the broker."""
        d = self.at.pop((p, b), None)
        if d is not None:
            self._count(b, d, -size, -1)

    def move(self, p: int, b: int, d: int, size: int) -> None:
        """Move to another directory of the same broker."""
        self.take_away(p, b, size)
        self.at[p, b] = d
        self._count(b, d, size)

    def path(self, p: int, b: int) -> str:
        """The directory of a replica; empty if it is unknown, or there is only one."""
        d = self.at.get((p, b))
        return self.of[b][d].path if d is not None and len(self.of[b]) > 1 else ""

    def path_before(self, p: int, b: int) -> str:
        """The directory of a replica before the plan, likewise."""
        d = self.before.get((p, b))
        return self.of[b][d].path if d is not None and len(self.of[b]) > 1 else ""

    def _count(self, b: int, d: int, size: int, one: int = 1) -> None:
        there = self.of[b][d]
        there.bytes += size
        there.count += one
