"""Moves of replicas to another log directory of their broker: one broker at a time, batch by batch, under a separate throttle.

Kafka copies such a replica next to the old one and swaps them; the copy survives a restart of the broker. The throttle
(`replica.alter.log.dirs.io.max.bytes.per.second`) applies only to these copies. As with moves between brokers,
everything is in the ledger before it is in the cluster.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.cluster.moves import decide, record
from asgard.cluster.moves.ledger import DONE, Ledger
from asgard.cluster.moves.record import DirFlight
from asgard.cluster.moves.result import Executed, MovesProgress
from asgard.cluster.moves.watch import POLL_S, MovesWatch
from asgard.cluster.plan import DirChange, Plan
from asgard.core.errors import AsgardError, Refused
from asgard.kafka.model import DirMove, Disk
from asgard.kafka.ports import ControlPlane

_DEADLINE_S = 5.0
_GONE_AFTER_S = 10.0
_STALLED_AFTER_S = 300.0
Replica = tuple[int, str, int]


@dataclass
class Within:
    """See the module. `left` are the changes not begun, `flying` those begun but not finished."""

    held: HeldCluster
    plan: Plan
    ledger: Ledger
    rate: float | None
    limits: Limits
    left: list[DirChange] = field(default_factory=list)
    flying: dict[Replica, DirChange] = field(default_factory=dict)
    moved: dict[Replica, DirChange] = field(default_factory=dict)
    already: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._watch = MovesWatch(self.held.control)
        self._began = self._moved_at = time.monotonic()
        self._bytes_left = 0
        self._missing_since: dict[Replica, float] = {}

    def start(self) -> None:
        """Resume the plan where it is. Raises Refused if another tool moves replicas between directories of its
        brokers."""
        disks = self.held.control.disks({c.broker for c in self.plan.dir_changes}, _DEADLINE_S)
        ours = {(f.broker, f.topic, f.partition) for f in self.ledger.dirs}
        wanted = {(_key(c), c.target) for c in self.plan.dir_changes}
        take_back(
            self.held.control,
            [f for f in self.ledger.dirs if ((f.broker, f.topic, f.partition), f.target) not in wanted],
        )
        for c in self.plan.dir_changes:
            disk = disks.get(c.broker)
            where = _where(disk, c)
            future = disk.future.get((c.topic, c.partition)) if disk else None
            if disk is None:
                self.refused[c.name] = "its broker does not answer"
            elif where is None:
                self.refused[c.name] = "it no longer exists"
            elif future is not None and _key(c) not in ours:
                raise Refused(
                    f"another tool is moving {c.name} to the log directory {future[0]}",
                    "Wait until that is done, or cancel it by moving it to the directory it is in.",
                )
            elif future is not None and future[0] == c.target:
                self.flying[_key(c)] = c
            elif where == c.target:
                self.already += 1
            else:
                self.left.append(c)
        if self.flying:
            self._throttle()

    def run(self, may_go_on: Callable[[], None]) -> Executed:
        """Run to the end, or until it must stop. Raises what the control plane and `may_go_on` raise, and LeaseLost."""
        while self.left or self.flying:
            self._look()
            self._progress().tell()
            may_go_on()
            if wanted := self.held.lease.wanted_by:
                return self._executed(handed_over=str(wanted))
            worse = self._watch.worse({(c.topic, c.partition) for c in (*self.flying.values(), *self.left)})
            stalled = time.monotonic() - self._moved_at > _STALLED_AFTER_S
            if worse.offline or worse.lacking or worse.lost or (self.flying and stalled):
                why = str(worse) if worse.offline or worse.lacking or worse.lost else "no copy made progress"
                self._cancel()
                self.put_back(f"stopped: {why}")
                return self._executed(stopped=why)
            if self.flying:
                time.sleep(POLL_S)
            elif self.left and (why_closed := decide.closed(self.limits, time.time())):
                self.put_back(f"paused: {why_closed}")
                return self._executed(paused=why_closed)
            elif self.left:
                self._submit()
        self.put_back(DONE if not self.refused else f"{DONE}, but for some")
        return self._executed()

    def put_back(self, outcome: str) -> None:
        """Lift the throttle and close the record, unless moves that were taken over are still in flight."""
        self._throttle()
        self.ledger.close(outcome)
        for setting in self.ledger.foreign:
            self.notes.append(f"{setting} was changed by another tool in the meantime and stays")

    def _submit(self) -> None:
        """The next batch: on disk, under the throttle, then to the broker."""
        first = self.left[0].batch
        chosen = [c for c in self.left if c.batch == first]
        self.left = [c for c in self.left if c.batch != first]
        self.flying = {_key(c): c for c in chosen}
        self._moved_at = time.monotonic()
        self._throttle()
        moves = {DirMove(c.broker, c.topic, c.partition, c.target): c for c in chosen}
        for move, error in self.held.control.move_directories(list(moves)).items():
            if error is not None:
                change = moves[move]
                del self.flying[_key(change)]
                self.refused[change.name] = error.what

    def _throttle(self) -> None:
        """The copies in flight; moves between brokers that were taken over keep their throttle as long as they run."""
        kept = self.ledger.flights
        if kept:
            kept = record.in_flight(kept, self.held.control.reassignments())
        self.ledger.throttle(kept, self.ledger.rate if any(f.throttled for f in kept) else None)
        flights = [DirFlight(c.broker, c.topic, c.partition, c.source, c.target) for c in self.flying.values()]
        self.ledger.throttle_dirs(flights, self.rate)

    def _look(self) -> None:
        self._watch.look()
        if not self.flying:
            return
        disks = self.held.control.disks({c.broker for c in self.flying.values()}, _DEADLINE_S)
        now, lacking = time.monotonic(), 0
        for key, c in list(self.flying.items()):
            disk = disks.get(c.broker)
            if disk is None:
                continue
            future = disk.future.get((c.topic, c.partition))
            if _where(disk, c) == c.target:
                self.moved[key] = self.flying.pop(key)
                self._moved_at = now
            elif future is not None and future[0] == c.target:
                lacking += max(0, c.bytes_moved - future[1])
                self._missing_since.pop(key, None)
            elif now - self._missing_since.setdefault(key, now) > _GONE_AFTER_S:
                del self.flying[key]
                self.refused[c.name] = "its move was cancelled, or it was moved elsewhere in the meantime"
        if lacking < self._bytes_left or not self._bytes_left:
            self._moved_at = now
        self._bytes_left = lacking

    def _cancel(self) -> None:
        take_back(self.held.control, [DirFlight(*key, c.source, c.target) for key, c in self.flying.items()])
        self.left = [*self.flying.values(), *self.left]
        self.flying = {}

    def _progress(self) -> MovesProgress:
        landed = sum(c.bytes_moved for c in self.moved.values())
        flying = sum(c.bytes_moved for c in self.flying.values())
        total = landed + flying + sum(c.bytes_moved for c in self.left)
        count = len(self.moved) + len(self.flying) + len(self.left)
        done = landed + max(0, flying - self._bytes_left if self._bytes_left else 0)
        return MovesProgress(count, len(self.moved), total, min(total, done), None, self.rate)

    def _executed(self, **how: str) -> Executed:
        return Executed(
            self.plan.title,
            moved=len(self.moved),
            bytes_moved=sum(c.bytes_moved for c in self.moved.values()),
            already=self.already,
            left=len(self.left) + len(self.flying),
            flying=len(self.flying),
            refused=self.refused,
            notes=tuple(self.notes),
            seconds=time.monotonic() - self._began,
            **how,  # type: ignore[arg-type]
        )


def in_flight(control: ControlPlane, flights: Collection[DirFlight]) -> tuple[DirFlight, ...]:
    """Those still being copied, on brokers that answer."""
    if not flights:
        return ()
    disks = control.disks({f.broker for f in flights}, _DEADLINE_S)
    return tuple(
        f
        for f in flights
        if f.broker in disks and disks[f.broker].future.get((f.topic, f.partition), ("", 0))[0] == f.target
    )


def take_back(control: ControlPlane, flights: Iterable[DirFlight]) -> tuple[DirFlight, ...]:
    """Stop these copies; finished ones stay. Returns the stopped ones. Safe to repeat."""
    going = in_flight(control, list(flights))
    errors = control.move_directories([DirMove(f.broker, f.topic, f.partition, f.source) for f in going])
    first: AsgardError | None = next((e for e in errors.values() if e is not None), None)
    if first is not None:
        raise first
    return going


def _where(disk: Disk | None, c: DirChange) -> str | None:
    return disk.directories.get((c.topic, c.partition)) if disk else None


def _key(c: DirChange) -> Replica:
    return c.broker, c.topic, c.partition
