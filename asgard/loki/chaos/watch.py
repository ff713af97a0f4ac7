"""The conditions that end a run early, watched all the while in a thread of their own.

A condition is a probe with a tolerance, as in a hypothesis. One that is out of its tolerance (or can't be looked at) for as long
as it may be ends the run; so does the time-out. What decides is pure: `Condition`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from asgard.core import events
from asgard.core.errors import AsgardError
from asgard.loki.chaos.experiment import Abort


class Stopped(AsgardError):
    """The run is to end: an abort condition, or its time-out."""


@dataclass
class Condition:
    """One condition over time. `seen` takes each look and says why the run is to end, or nothing. Times are seconds."""

    name: str
    for_s: float
    bad_since: float | None = None

    def seen(self, well: bool, found: str, now: float) -> str | None:
        """A look that found something within the tolerance (`well`) or not, at `now`."""
        if well:
            self.bad_since = None
            return None
        if self.bad_since is None:
            self.bad_since = now
        if now - self.bad_since < self.for_s:
            return None
        lasting = f" for {now - self.bad_since:.0f} s" if self.for_s else ""
        return f"the abort condition {self.name!r} was met{lasting}: {found}"


class Over:
    """Whether the run is to end, and why; the first reason counts."""

    def __init__(self) -> None:
        self.why: str | None = None
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.ignored = False

    def end(self, why: str) -> None:
        """The run is to end."""
        with self._lock:
            self.why = self.why or why
            self._event.set()

    def check(self) -> None:
        """Raise Stopped where the run is to end; not while things are put back (`ignored`)."""
        if self._event.is_set() and not self.ignored:
            raise Stopped(self.why or "the run is over")

    def sleep(self, seconds: float) -> None:
        """Wait, at most until the run is to end; then raise Stopped."""
        if self.ignored:
            time.sleep(seconds)
        else:
            self._event.wait(seconds)
            self.check()

    def wait(self, seconds: float) -> bool:
        """Wait so long; whether the run is to end."""
        return self._event.wait(seconds)


@contextmanager
def watching(
    aborts: tuple[Abort, ...],
    every_s: float,
    over: Over,
    timeout_s: float | None,
    look: Callable[[Abort], tuple[bool, str]],
) -> Iterator[None]:
    """Look at the conditions every so many seconds until the block ends; `look` says whether one is well, and what was found."""
    done = threading.Event()
    began = time.monotonic()
    conditions = [(Condition(a.probe.name, a.for_s), a) for a in aborts]

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
