"""An execution's changes in the cluster, as the undo log keeps them: the format `asgard.execution/v1`. Pure.

It stays small whatever the plan's size: the moves in flight (a batch), and the temporary settings. The plan holds its
goals; the cluster shows where its partitions are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

from asgard.core.errors import Failed
from asgard.kafka import temporary
from asgard.kafka.model import Partition
from asgard.kafka.temporary import Key, Setting

FORMAT = "asgard.execution/v1"
OLD_FORMAT = "asgard.reassignment/v1"
"""The format of older versions while a replication factor changed; read only."""
KINDS = (FORMAT, OLD_FORMAT)
"""Operations whose moves and settings an execution can take over."""
CORDON = "cordoned.log.dirs"


@dataclass(frozen=True)
class Flight:
    """A move that was submitted. `before` are the replicas that a cancel restores; `throttled`: under the throttle."""

    topic: str
    partition: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    throttled: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """Topic and partition."""
        return self.topic, self.partition

    @property
    def name(self) -> str:
        """`topic-3`."""
        return f"{self.topic}-{self.partition}"

    @property
    def adding(self) -> tuple[int, ...]:
        """The replicas being copied."""
        return tuple(r for r in self.after if r not in self.before)


@dataclass(frozen=True)
class DirFlight:
    """A replica being moved to another log directory of its broker."""

    broker: int
    topic: str
    partition: int
    source: str
    target: str

    @property
    def name(self) -> str:
        """`topic-3 on broker 1`."""
        return f"{self.topic}-{self.partition} on broker {self.broker}"


@dataclass(frozen=True)
class MovesRecord:
    """An execution's changes in the cluster. `what` is its plan's kind with arguments, `plan` the plan's fingerprint.

    `kept`: cordons that a drain left when it ended, so they can be undone. `dirs`: replicas on their way to another
    directory.
    """

    what: str
    plan: str = ""
    flights: tuple[Flight, ...] = ()
    settings: tuple[Setting, ...] = ()
    kept: tuple[Setting, ...] = ()
    dirs: tuple[DirFlight, ...] = ()

    @property
    def cordons(self) -> tuple[Setting, ...]:
        """Of the settings, the cordons of brokers."""
        return tuple(s for s in self.settings if is_cordon(s.key))

    def document(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "format": FORMAT,
            "what": self.what,
            "plan": self.plan,
            "moves": [[f.topic, f.partition, list(f.before), list(f.after), f.throttled] for f in self.flights],
            "settings": temporary.plain(self.settings),
            "kept": temporary.plain(self.kept),
            **({"directories": [list(astuple(d)) for d in self.dirs]} if self.dirs else {}),
        }


def parse(document: Mapping[str, Any]) -> MovesRecord:
    """From its JSON, or from that of an older version (whose moves lack the earlier replicas). Raises Failed."""
    settings = temporary.parse(document.get("settings", ()))
    if document.get("format") == OLD_FORMAT:
        moves = [Flight(topic, partition, (), tuple(after), True) for topic, partition, after in document["moves"]]
        return MovesRecord("a changed replication factor", "", tuple(moves), settings)
    if document.get("format") != FORMAT:
        raise Failed(f"this is not a record of moves: format {document.get('format')!r}, not {FORMAT}")
    flights = [
        Flight(topic, partition, tuple(before), tuple(after), throttled)
        for topic, partition, before, after, throttled in document["moves"]
    ]
    dirs = tuple(DirFlight(*row) for row in document.get("directories", ()))
    return MovesRecord(
        document["what"], document["plan"], tuple(flights), settings, temporary.parse(document["kept"]), dirs
    )


def merged(records: Iterable[MovesRecord]) -> MovesRecord:
    """All of them merged, the oldest first: the earlier values are those from before the first of them."""
    flights: dict[tuple[str, int], Flight] = {}
    settings: dict[Key, Setting] = {}
    dirs: dict[tuple[int, str, int], DirFlight] = {}
    last = MovesRecord("")
    for last in records:
        dirs |= {(d.broker, d.topic, d.partition): d for d in last.dirs}
        flights |= {f.key: f for f in last.flights}
        for s in last.settings:
            older = settings.get(s.key)
            settings[s.key] = s if older is None else replace(older, ours=(*older.ours, *s.ours))
    return replace(last, flights=tuple(flights.values()), settings=tuple(settings.values()), dirs=tuple(dirs.values()))


def in_flight(flights: Iterable[Flight], moving: Iterable[Partition]) -> tuple[Flight, ...]:
    """Those still moving; one whose partition moves elsewhere by now is another tool's."""
    there = {(p.topic, p.partition): p for p in moving}
    return tuple(
        f if f.before else replace(f, before=tuple(r for r in there[f.key].replicas if r not in there[f.key].adding))
        for f in flights
        if f.key in there and there[f.key].target_replicas == f.after
    )


def is_cordon(key: Key) -> bool:
    """Whether the setting keeps new replicas off a broker."""
    return key[2] == CORDON
