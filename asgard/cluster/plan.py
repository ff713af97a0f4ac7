"""A plan of moves as plain data: changes in batches, every broker's load before and after, and goals that could not be met.

Sizes are bytes, rates per second, times seconds. Broker ids and topic names are Kafka's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from asgard.cluster.limits import Limits
from asgard.kafka.model import ClusterSnapshot, Move

_NAMED = 8
BATCH_SECONDS = 60.0
"""About how long a batch takes at the throttle."""
Kind = Literal["heal", "drain", "fill", "balance", "leaders", "set-rf", "rack-repair", "disks", "undo", "reassign"]


@dataclass(frozen=True)
class Change:
    """A partition that gets other replicas, or the same in another order (`bytes_moved` is then 0).

    `bytes_moved` counts each replica that must be copied; `batch` counts from 1; `why` is a sentence. `log_dirs` has
    the directory for each replica of `after`, `""` for one that stays or that Kafka may put anywhere (empty: all of
    them); `log_dirs_before` those of `before`, as far as known.
    """

    topic: str
    partition: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    bytes_moved: int
    batch: int
    why: str
    log_dirs: tuple[str, ...] = ()
    log_dirs_before: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`topic-3`."""
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True)
class DirChange:
    """A replica that goes to another log directory of its broker. `replicas` are those of its partition, which stay."""

    broker: int
    topic: str
    partition: int
    replicas: tuple[int, ...]
    source: str
    target: str
    bytes_moved: int
    batch: int
    why: str

    @property
    def name(self) -> str:
        """`topic-3 on broker 1`."""
        return f"{self.topic}-{self.partition} on broker {self.broker}"


@dataclass(frozen=True)
class DirLoad:
    """A log directory before and after the plan: bytes and number of its replicas, and the used fraction of its capacity."""

    broker: int
    path: str
    bytes_before: int
    bytes_after: int
    replicas_before: int
    replicas_after: int
    disk_before: float | None
    disk_after: float | None


@dataclass(frozen=True)
class Batch:
    """What moves at the same time; `seconds` at the throttle."""

    number: int
    changes: int
    bytes_moved: int
    seconds: float


@dataclass(frozen=True)
class BrokerLoad:
    """A broker's load. `disk` is the used fraction of its capacity, None if that is unknown."""

    bytes: int
    replicas: int
    leaders: int
    bytes_in_per_s: float
    bytes_out_per_s: float
    disk: float | None


@dataclass(frozen=True)
class BrokerChange:
    """A broker before and after the plan; `note` says why it gets nothing new."""

    id: int
    rack: str | None
    note: str
    before: BrokerLoad
    after: BrokerLoad
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True)
class Unmet:
    """A goal that the plan does not reach: what, for which partitions or brokers (`count` of them, a few named), why, and what would help.

    `required`: the plan was requested for this; else it only noticed it.
    """

    goal: str
    subjects: tuple[str, ...]
    count: int
    why: str
    would_help: str
    required: bool = True

    def __str__(self) -> str:
        more = f" and {self.count - len(self.subjects)} more" if self.count > len(self.subjects) else ""
        return f"{self.goal}: {', '.join(self.subjects)}{more}: {self.why}"


@dataclass(frozen=True)
class Spread:
    """How even the participating brokers are: largest share over the mean (1.0 is even)."""

    disk: float
    replicas: float
    leaders: float
    bytes_out: float


@dataclass(frozen=True)
class Plan:
    """A plan. `changes` are in the order of their batches; `dir_changes` come after them, one broker at a time.
    `lower_bound_bytes`: no plan for this can move less, where known."""

    kind: Kind
    arguments: tuple[str, ...]
    cluster_id: str
    taken_at: str
    changes: tuple[Change, ...]
    batches: tuple[Batch, ...]
    brokers: tuple[BrokerChange, ...]
    spread_before: Spread
    spread_after: Spread
    unmet: tuple[Unmet, ...] = ()
    notes: tuple[str, ...] = ()
    throttle_bytes_per_s: float = 0.0
    lower_bound_bytes: int | None = None
    limits: dict[str, object] = field(default_factory=dict)
    dir_changes: tuple[DirChange, ...] = ()
    log_dirs: tuple[DirLoad, ...] = ()

    @property
    def title(self) -> str:
        """`drain 3`; with many arguments the first few."""
        shown = self.arguments if len(self.arguments) <= _NAMED else self.arguments[: _NAMED - 1]
        more = len(self.arguments) - len(shown)
        return " ".join((self.kind, *shown, *([f"and {more} more"] if more else [])))

    @property
    def bytes_moved(self) -> int:
        """Of all copied replicas."""
        return sum(c.bytes_moved for c in self.changes) + sum(c.bytes_moved for c in self.dir_changes)

    @property
    def moved(self) -> int:
        """How many partitions get other replicas, and how many replicas another directory."""
        return len(self.changes) + len(self.dir_changes)

    @property
    def seconds(self) -> float:
        """At the throttle, batch after batch."""
        return sum(b.seconds for b in self.batches)

    @property
    def failed(self) -> bool:
        """Whether something requested could not be planned."""
        return any(u.required for u in self.unmet)

    def moves(self, batch: int | None = None) -> list[Move]:
        """What to submit to Kafka, for one batch or for all."""
        return [Move(c.topic, c.partition, c.after) for c in self.changes if batch in (None, c.batch)]


Replan = Callable[[Plan, Iterable[Change], ClusterSnapshot, Limits], Plan]
"""A plan with the same goal for the current cluster; the changes are those of the old plan that are not done yet."""


def brokers_named(ids: Sequence[int]) -> str:
    """`broker 3`, `brokers 1, 2`; with many the first few."""
    shown = ", ".join(map(str, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return f"broker {shown}" if len(ids) == 1 else f"brokers {shown}"
