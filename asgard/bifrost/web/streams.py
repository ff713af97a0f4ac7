"""Server-sent events: a page learns at once that its request moved, and refreshes its parts. Nothing else is sent.

A stream holds one of the server's threads. So there are few, each ends after `LASTS_S` (the browser opens another one, and is
authenticated again), and if none is free, the answer says so: its page then polls every second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

MOST = 8
"""At most so many streams per portal; further pages poll for news."""
LASTS_S = 55.0
LOOK_EVERY_S = 0.25
BEAT_S = 10.0
"""How often an empty line is sent, to notice that a browser has left."""


class Streams:
    """The streams of one server: at most so many at a time. Safe to use from several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._free = threading.Semaphore(most)
        self._over = threading.Event()

    def take(self) -> bool:
        """Whether a stream was free; it is the caller's until `give_back`."""
        return not self._over.is_set() and self._free.acquire(blocking=False)

    def give_back(self) -> None:
        """The stream has ended."""
        self._free.release()

    def end(self) -> None:
        """End all streams: the server is stopping."""
        self._over.set()

    def events(self, look: Callable[[], tuple[int, bool]]) -> Iterator[str]:
        """A line for each new version of something. `look` returns its version, and whether more will come."""
        yield "retry: 1000\n\n"
        began = beat = time.monotonic()
        known = None
        while time.monotonic() - began < LASTS_S:
            version, more = look()
            if not more:
                yield "event: end\ndata: \n\n"
                return
            if known is not None and version != known:
                yield f"data: {version}\n\n"
            elif time.monotonic() - beat > BEAT_S:
                beat = time.monotonic()
                yield ": still here\n\n"
            known = version
            if self._over.wait(LOOK_EVERY_S):
                return
