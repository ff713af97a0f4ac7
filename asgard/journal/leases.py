"""Leases: at most one process at a time changes a cluster (or breaks it), the more urgent one first.

    with leases.hold(journal, leases.cluster_change(cluster_id), priority=Priority.CHANGE, doing="odin up orders") as lease:
        for call in calls:
            if lease.wanted_by:              # a more urgent command waits: record what is in flight, stop, leave the block
                break
            lease.check(call_deadline_s=5)   # raises LeaseLost if the lease would not outlive the call
            call()

A holder renews in the background. Kafka has no fences, so call `check` before each write to it: a holder that slept
past its lease (SIGSTOP, a laptop's lid) notices, and continues only if no one has had the lease since. Between `check`
and the call's first byte a process can still be stopped; that gap is a few microseconds of Python and nothing closes
it. Writes to the journal or to state go through `guard`, which closes it: the fence is compared inside the transaction
that writes, and no one can take the lease before that transaction ends.

If two leases are needed, take `stack/…` before `cluster/…`, and `change` before `fault`.

Clocks: ends of leases are written and compared in the journal's one clock (`store.database`). A holder also counts its
own seconds from before each renewal, sleep included, and trusts the shorter of the two; so only the rates of a server's
and a holder's clock matter, never their times.
"""

from __future__ import annotations

import getpass
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.core import process
from asgard.core.errors import AsgardError, Busy
from asgard.journal.errors import TAKEN, LeaseLost, lease_lost
from asgard.journal.lease_rows import (
    attempt,
    give_back,
    listed,
    lock,
    renew,
    state_of,
    waiting,
    wanted_by,
)
from asgard.journal.rules import TIMING, Blocked, Claimant, Priority, Timing, Wait
from asgard.journal.store import tables
from asgard.journal.store.database import Database

__all__ = ["TIMING", "Held", "Lease", "LeaseLost", "Priority", "Timing", "hold", "listed", "waiting"]

_l = tables.leases.c
_w = tables.waits.c


def cluster_change(cluster_id: str) -> str:
    """The lease for changing placement or configuration of this cluster."""
    return f"cluster/{cluster_id}/change"


def cluster_fault(cluster_id: str) -> str:
    """The lease for breaking things in this cluster."""
    return f"cluster/{cluster_id}/fault"


def stack_change(stack: str) -> str:
    """The lease for applying this stack; taken before there is a cluster id."""
    return f"stack/{stack}/change"


def whoami() -> str:
    """The actor recorded in the journal: the user's name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


class Held(Protocol):
    """A lease for writes, whoever holds it."""

    @property
    def name(self) -> str: ...

    @property
    def fence(self) -> int: ...

    @property
    def wanted_by(self) -> Claimant | None:
        """Who waits with a higher priority: hand over to them."""
        ...

    def check(self, call_deadline_s: float) -> None:
        """Return only if the lease outlives a call with this deadline that starts now. Raises LeaseLost."""
        ...

    def guard(self) -> AbstractContextManager[Connection]:
        """A journal transaction in which no one can take the lease. Raises LeaseLost."""
        ...


class Lease:
    """A lease that this process holds. Created by `hold`; don't use it after its block or in a forked child."""

    def __init__(self, journal: Database, name: str, fence: int, timing: Timing, until: float, ends: float) -> None:
        self.name = name
        self.fence = fence
        self.timing = timing
        self._journal = journal
        self._pid = os.getpid()
        self._until = until  # by the journal's clock
        self._ends = ends  # by our own count of seconds
        self._lost: str | None = None
        self._wanted_by: Claimant | None = None
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"Lease({self.name!r}, fence={self.fence})"

    @property
    def journal(self) -> Database:
        """The journal that holds this lease."""
        return self._journal

    @property
    def wanted_by(self) -> Claimant | None:
        """Who waits with a higher priority, as of the last look (at most `timing.look_s` ago): hand over to them."""
        return self._wanted_by

    def remaining_s(self) -> float:
        """How long the lease lives if it is not renewed, in seconds."""
        if self._lost or os.getpid() != self._pid:
            return 0.0
        own = self._ends - _seconds()
        # A clock set forward makes others see an earlier end than our own count does.
        return min(own, self._until - self._journal.host_clock()) if self._journal.on_this_host else own

    def check(self, call_deadline_s: float) -> None:
        """Return only if the lease outlives a call with this deadline that starts now; renews it if that helps.

        Raises LeaseLost otherwise. A deadline must be shorter than the TTL (ValueError).
        """
        if call_deadline_s >= self.timing.ttl_s:
            raise ValueError(f"a call of {call_deadline_s} s can't be covered by a lease of {self.timing.ttl_s} s")
        if self.remaining_s() <= call_deadline_s:
            self._renew()
        if self._lost or self.remaining_s() <= call_deadline_s:
            raise self._lost_error()

    @contextmanager
    def guard(self) -> Iterator[Connection]:
        """A journal transaction in which no one can take the lease; for writes to the journal and to state files.

        Keep it short: with SQLite all other writers wait meanwhile. Raises LeaseLost if another process took the lease.
        """
        with self._journal.write() as connection:
            self.guard_in(connection)
            yield connection

    def guard_in(self, connection: Connection) -> None:
        """The same inside a write transaction that is already open."""
        if os.getpid() != self._pid or not lock(connection, self.name, self.fence):
            self._lost = self._lost or TAKEN
            raise self._lost_error()

    def _lost_error(self) -> LeaseLost:
        if os.getpid() != self._pid:
            why = "a child of the process that holds it requested it"
        else:
            why = self._lost or "it was not renewed in time"
        return lease_lost(self.name, why)

    def _renew(self) -> None:
        """Extend the lease, unless another process has taken it: then it stays lost."""
        with self._lock:
            if self._lost or self._stop.is_set() or os.getpid() != self._pid:
                return
            before = _seconds()
            try:
                until = renew(self._journal, self.name, self.fence, self.timing)
            except AsgardError:
                return  # retried at the next turn; `check` relies on the last successful renewal
            if until is None:
                self._lost = TAKEN
            else:
                self._until, self._ends = until, before + self.timing.ttl_s

    def _look(self) -> None:
        """Note who waits with a higher priority."""
        with suppress(AsgardError):
            self._wanted_by = wanted_by(self._journal, self.name, self.fence)

    def _keep(self) -> None:
        due = _seconds() + self.timing.renew_s
        while not self._stop.wait(min(self.timing.look_s, self.timing.renew_s)):
            self._look()
            if _seconds() >= due:
                self._renew()
                due = _seconds() + self.timing.renew_s

    def release(self) -> None:
        """Release the lease. If the journal can't be written, it expires by itself."""
        with self._lock:
            self._stop.set()
        self._thread.join()
        with suppress(AsgardError):
            give_back(self._journal, self.name, self.fence)
        self._lost = self._lost or "it was given back"


@contextmanager
def hold(
    journal: Database,
    name: str,
    *,
    priority: Priority,
    doing: str,
    wait_s: float = 0.0,
    timing: Timing = TIMING,
    on_wait: Callable[[str], None] | None = None,
) -> Iterator[Lease]:
    """Hold a lease for the length of the block. `doing` is shown to others, as in "odin up orders".

    Waits `wait_s` seconds for it, visible to its holder, and calls `on_wait` once with the reason. Raises Busy with the
    holder, since when and doing what.
    """
    lease = acquire(journal, name, priority=priority, doing=doing, wait_s=wait_s, timing=timing, on_wait=on_wait)
    try:
        yield lease
    finally:
        lease.release()


def acquire(
    journal: Database,
    name: str,
    *,
    priority: Priority,
    doing: str,
    wait_s: float = 0.0,
    timing: Timing = TIMING,
    on_wait: Callable[[str], None] | None = None,
) -> Lease:
    """Like `hold`, for callers whose work doesn't fit a block; they call `release`."""
    me = Claimant(process.identity(), whoami(), doing, int(priority), since=0.0, until=0.0)
    request = Wait(uuid.uuid4().hex, me)
    give_up = _seconds() + wait_s
    repeat_at = 0.0
    told = False
    try:
        while True:
            before = _seconds()
            repeat = wait_s > 0 and before >= repeat_at
            got, request = attempt(journal, name, request, timing, register=repeat)
            if not isinstance(got, Blocked):
                fence, until = got
                return Lease(journal, name, fence, timing, until, before + timing.ttl_s)
            if repeat:
                repeat_at = before + timing.renew_s
            with journal.read() as connection:
                sentence = got.sentence(name, journal.now(connection))
            left = give_up - _seconds()
            if left <= 0:
                raise Busy(sentence, "Try again later; `asgard journal leases` shows who holds what.")
            if on_wait and not told:
                on_wait(sentence)
                told = True
            time.sleep(min(left, timing.poll_s))
    finally:
        if request.claimant.since:
            with suppress(AsgardError), journal.write() as connection:
                connection.execute(sa.delete(tables.waits).where(_w.id == request.id))


def refuse_if_held(journal: Database, name: str) -> None:
    """Raise Busy if the lease is held, without taking it: planned work checks the fault lease this way."""
    with journal.read() as connection:
        now = journal.now(connection)
        state = state_of(connection, name)
    if state and state.holder and not state.is_free(now, process.is_dead):
        raise Busy(
            Blocked(state.holder, holds=True).sentence(name, now),
            "Try again when it is done; `asgard journal leases` shows who holds what.",
        )


def _seconds() -> float:
    """Seconds that keep counting while the machine sleeps, and that can't be set."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
