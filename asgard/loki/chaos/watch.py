"""Watches the conditions that end a run early, in a separate thread.

A condition is a probe with a tolerance, as in a hypothesis. If it is out of tolerance (or can't be looked at) for as long
as it may be, the run ends; so it does at the time-out. The decision is pure: `StopCondition`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from asgard.core import events
from asgard.core.errors import AsgardError
from asgard.loki.chaos.experiment import Abort


class Stopped(AsgardError):
    """The run must end: an abort condition, or its time-out."""


@dataclass
class StopCondition:
    """One condition over time. `seen` takes each look and returns why the run must end, or None. Times are seconds."""

    name: str
    for_s: float
    bad_since: float | None = None

    def seen(self, well: bool, found: str, now: float) -> str | None:
        """Take a look that was within the tolerance (`well`) or not, at `now`."""
        if well:
            self.bad_since = None
            return None
        if self.bad_since is None:
            self.bad_since = now
        if now - self.bad_since < self.for_s:
            return None
        lasting = f" for {now - self.bad_since:.0f} s" if self.for_s else ""
        return f"the abort condition {self.name!r} was met{lasting}: {found}"


_putting_back: ContextVar[bool] = ContextVar("asgard_chaos_putting_back", default=False)
"""Set while things are put back. A thread of the method was started before, so it does not see it."""


@contextmanager
def putting_back() -> Iterator[None]:
    """Inside the block, and in threads that it starts with `core.events.carried`, no `Over` ends anything."""
    token = _putting_back.set(True)
    try:
        yield
    finally:
        _putting_back.reset(token)


class Over:
    """Whether the run must end, and why; the first reason counts."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._event = threading.Event()
        self._lock = threading.Lock()

    def end(self, why: str) -> None:
        """End the run."""
        with self._lock:
            self.why = self.why or why
            self._event.set()

    def check(self) -> None:
        """Raise Stopped if the run must end; not inside `putting_back`."""
        if self._event.is_set() and not _putting_back.get():
            raise Stopped(self.why or "the run is over")

    def sleep(self, seconds: float) -> None:
        """Wait (seconds), at most until the run must end; then raise Stopped. Inside `putting_back`, wait to the end."""
        if _putting_back.get():
            time.sleep(seconds)
        else:
            self._event.wait(seconds)
            self.check()

    def wait(self, seconds: float) -> bool:
        """Wait that long; returns whether the run must end."""
        return self._event.wait(seconds)


@contextmanager
def watching(
    aborts: tuple[Abort, ...],
    every_s: float,
    over: Over,
    timeout_s: float | None,
    look: Callable[[Abort], tuple[bool, str]],
) -> Iterator[None]:
    """Check the conditions every so many seconds until the block ends; `look` returns whether one is well, and what was found."""
    done = threading.Event()
    began = time.monotonic()
    conditions = [(StopCondition(a.probe.name, a.for_s), a) for a in aborts]

    def watch() -> None:
        while not done.is_set() and over.why is None:
            if timeout_s is not None and time.monotonic() - began >= timeout_s:
                over.end(f"the run took longer than {timeout_s:g} s")
                return
            for condition, abort in conditions:
                well, found = look(abort)
                why = condition.seen(well, found, time.monotonic())
                if why is not None and not done.is_set():
                    over.end(why)
                    return
            left = every_s if timeout_s is None else min(every_s, max(began + timeout_s - time.monotonic(), 0.0))
            done.wait(left)

    if not conditions and timeout_s is None:
        yield
        return
    thread = threading.Thread(target=events.carried(watch), name="abort conditions", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(every_s)
