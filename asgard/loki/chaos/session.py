"""Which cluster the functions of `actions` and `probes` work on: that of the run, else one for this process.

Their arguments are plain, as Chaos Toolkit requires them, so the cluster comes from here. Under `asgard loki chaos run` it is the
run's. Under any other runner it is the one that ASGARD_CONTEXT names (else the current context), held from the first call until
the process ends, when all is put back; if the process is killed, Asgard's next command cleans up after it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from contextvars import ContextVar
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from asgard.core import events
from asgard.core.errors import Failed
from asgard.loki.chaos.site import ChaosSite

if TYPE_CHECKING:
    from asgard.loki.chaos.pulse import Pulse


class _Here:
    """A site with what was created for it."""

    def __init__(self, site: ChaosSite, stack: contextlib.ExitStack) -> None:
        self.site = site
        self.stack = stack
        self.lock = threading.Lock()
        self.pulse: Pulse | None = None


_run: ContextVar[_Here | None] = ContextVar("asgard_chaos_site", default=None)
"""Set for the run that this code is part of; a thread gets it by `core.events.carried`."""
_first = threading.Lock()


@contextlib.contextmanager
def using(site: ChaosSite) -> Iterator[None]:
    """Make the functions work on this site inside the block."""
    with contextlib.ExitStack() as stack:
        token = _run.set(_Here(site, stack))
        try:
            yield
        finally:
            _run.reset(token)


def site() -> ChaosSite:
    """The site to work on. If it has to be created first, raises what `compose.holding.to_break` raises."""
    return _current().site


def pulse() -> Pulse:
    """The check whether records go in and come out; its scratch topic is created at the first call."""
    from asgard.loki.chaos.pulse import beating

    here = _current()
    with here.lock:
        if here.pulse is None:
            here.pulse = here.stack.enter_context(beating(here.site))
        return here.pulse


def _current() -> _Here:
    run = _run.get()
    if run is not None:
        return run
    events.fall_back_to(lambda event: logging.getLogger("chaostoolkit").info(event.text))
    with _first:
        return _own()


@cache
def _own() -> _Here:
    """A site for the rest of this process, which belongs to another runner. What happens goes to that runner's log."""
    stack = contextlib.ExitStack()
    found = stack.enter_context(_entry_point()())
    # What was created for the site is removed after everything is put back, and before the site is.
    inner = contextlib.ExitStack()
    stack.push(inner)
    stack.callback(_put_back, found)
    atexit.register(stack.close)
    return _Here(found, inner)


def _put_back(found: ChaosSite) -> None:
    from asgard.loki.chaos.breaking import put_all_back

    put_all_back(found)


def _entry_point() -> Callable[[], AbstractContextManager[ChaosSite]]:
    """What provides the site: it needs more than Loki, so it is in a layer above and declared as an entry point of the package."""
    for found in entry_points(group="asgard.loki.chaos", name="site"):
        opened: Callable[[], AbstractContextManager[ChaosSite]] = found.load()
        return opened
    raise Failed(
        "this installation of Asgard lacks the entry point that gives Loki's functions a cluster under another runner",
        "Reinstall asgard-kafka with pip, or run the experiment with `asgard loki chaos run`.",
    )
