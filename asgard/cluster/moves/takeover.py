"""What a run left behind or handed over: settled by the next command, inherited by a healing, or undone by `cancel`."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from asgard.cluster.held import HeldCluster
from asgard.cluster.moves import record as records
from asgard.cluster.moves import within
from asgard.cluster.moves.back import take_back
from asgard.cluster.moves.ledger import Ledger, left_open
from asgard.cluster.moves.record import Flight, in_flight
from asgard.cluster.moves.watch import up_of
from asgard.core.errors import Busy
from asgard.journal import operations
from asgard.journal.leases import Lease
from asgard.journal.operations import Operation
from asgard.kafka import temporary
from asgard.kafka.model import ClusterSnapshot
from asgard.kafka.ports import ControlPlane
from asgard.kafka.temporary import PutBack

CANCEL = "cancel"


@dataclass(frozen=True)
class Inherited:
    """What a healing took over: moves cancelled because they lead to dead brokers, moves unthrottled because they lead
    away from them, and the others, which continue."""

    from_whom: tuple[str, ...] = ()
    cancelled: tuple[Flight, ...] = ()
    freed: tuple[Flight, ...] = ()
    running: tuple[Flight, ...] = ()

    def __str__(self) -> str:
        if not self.from_whom:
            return "nothing was in flight"
        counts = ((self.cancelled, "taken back"), (self.freed, "freed from the throttle"), (self.running, "running on"))
        told = ", ".join(f"{len(moves)} {words}" for moves, words in counts if moves)
        return f"took over from {', '.join(self.from_whom)}: {told or 'nothing was in flight'}"


@dataclass(frozen=True)
class Cancelled:
    """What a cancel undid: the plans, their moves in flight, and settings that wait for a broker."""

    of: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"took back {', '.join(self.of)}: {len(self.moves)} moves that were in flight, and what was set for them"
        ]
        lines += [f"still set, as its broker is down: {setting}; the next command lifts it" for setting in self.waiting]
        return "\n".join([*lines, "What had already moved stays: `asgard thor plan undo PLAN` plans the way back."])


def inherit(held: HeldCluster, dead: Collection[int]) -> Inherited:
    """Take over the moves in flight of the previous holder of the cluster. Raises what the control plane raises, and LeaseLost.

    Moves that add a replica on a dead broker are cancelled, for the healing to plan; those that lead away from one
    continue without a throttle; the others continue under theirs, and the command that ends last puts their settings
    back.
    """
    if not left_open(held):
        return Inherited()
    control, gone = held.control, frozenset(dead)
    moving = control.reassignments()
    ledger = Ledger(held, "heal", "", moving, up_of(control.cluster().brokers) - gone)
    back = tuple(f for f in ledger.flights if gone.intersection(f.adding))
    take_back(control, back)
    within.take_back(control, ledger.dirs)
    kept = [f for f in ledger.flights if f not in back]
    away = {f.key for f in kept if gone.intersection(f.before) - set(f.after)}
    freed = tuple(replace(f, throttled=False) for f in kept if f.key in away)
    running = tuple(f for f in kept if f.key not in away)
    ledger.throttle([*freed, *running], ledger.rate if any(f.throttled for f in running) else None)
    ledger.throttle_dirs((), None)
    ledger.lift_cordons()
    ledger.close("everything that was handed over is restored")
    return Inherited(ledger.took_over_from, back, freed, running)


def cancel(held: HeldCluster) -> Cancelled:
    """Undo what is running or unfinished: moves in flight, throttles, cordons. Raises what the control plane raises."""
    if not left_open(held):
        return Cancelled()
    control = held.control
    ledger = Ledger(held, CANCEL, "", control.reassignments(), up_of(control.cluster().brokers))
    # Including those that a killed cancel had stopped already.
    take_back(control, ledger.left)
    stopped = within.take_back(control, ledger.dirs)
    ledger.throttle((), None)
    ledger.throttle_dirs((), None)
    ledger.lift_cordons()
    ledger.close("cancelled")
    return Cancelled(
        ledger.took_over_from,
        (*(f.name for f in ledger.taken_over), *(f.name for f in stopped)),
        tuple(map(str, ledger.record.settings)),
    )


def must_wait(operation: Operation, snapshot: ClusterSnapshot) -> bool:
    """Whether nothing can be put back now: running moves still need the settings, or only down brokers have any of
    them."""
    if operation.kind not in records.KINDS:
        return False
    left = records.parse(operation.undo)
    if in_flight(left.flights, (p for p in snapshot.partitions if p.adding or p.removing)):
        return True
    up = {str(b) for b in up_of(snapshot.brokers)}
    return bool(left.settings) and all(s in left.cordons and s.key[1] not in up for s in left.settings)


def settle(control: ControlPlane, operation: Operation, lease: Lease, *, wait_s: float = 0.0) -> str:
    """For the undo log: put back what a dead run set, and report it. Waits `wait_s` for moves in flight, which then continue.

    Raises Busy if something must stay for now: the throttle of running moves, the cordon of a down broker.
    """
    left = records.parse(operation.undo)
    brokers = control.cluster().brokers
    known, up = {str(b.id) for b in brokers}, up_of(brokers)
    # A cordon is no longer needed; a throttle is, as long as its moves run.
    cordons = temporary.put_back(control, left.cordons, up)
    waiting = tuple(s for s in cordons.left if s.key[1] in known)
    throttle = tuple(s for s in left.settings if s not in left.cordons)
    give_up = time.monotonic() + wait_s
    while True:
        flights = in_flight(left.flights, control.reassignments())
        dirs = within.in_flight(control, left.dirs)
        if not flights and not dirs:
            break
        if time.monotonic() >= give_up:
            _amend(operation, replace(left, flights=flights, settings=(*throttle, *waiting), dirs=dirs), lease)
            raise Busy(
                f"{len(flights) + len(dirs)} moves of {left.what} continue; their settings are restored when they are done"
            )
        time.sleep(0.5)
    back = temporary.put_back(control, throttle, up)
    if waiting:
        _amend(operation, replace(left, flights=(), settings=waiting, dirs=()), lease)
        names = ", ".join(sorted({s.key[1] for s in waiting}))
        raise Busy(f"broker {names} is down; its cordon is removed when it is back")
    return _said(left, cordons, back)


def put_back(control: ControlPlane, document: Mapping[str, Any], *, wait_s: float = 60.0) -> str:
    """Settle a record that is in no journal: wait for its moves, lift its throttle, and report what was done. Raises
    Busy."""
    left = records.parse(document)
    give_up = time.monotonic() + wait_s
    while flights := in_flight(left.flights, control.reassignments()):
        if time.monotonic() >= give_up:
            raise Busy(f"{len(flights)} moves of {left.what} continue; their throttle stays until they are done")
        time.sleep(0.5)
    return _said(left, temporary.put_back(control, left.settings))


def _said(left: records.MovesRecord, *parts: PutBack) -> str:
    count = sum(part.restored for part in parts)
    told = f"{count} settings of {left.what} are as they were before" if count else "nothing of it was left"
    foreign = ", ".join(str(setting) for part in parts for setting in part.foreign)
    return told + (f"; {foreign} was changed by another tool since and stays" if foreign else "")


def _amend(operation: Operation, record: records.MovesRecord, lease: Lease) -> None:
    """Record what is left, except for an operation in a file of an older version: that file is not changed."""
    if operation.id:
        operations.amend(lease.journal, operation, record.document(), lease)
