"""What `heimdall top` shows: a watch that only looks, on a separate thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asgard.compose import heimdall
from asgard.compose.heimdall import ClusterWatch
from asgard.heimdall.top.sheets import TopSnapshot

if TYPE_CHECKING:
    from asgard.heimdall.settings import HeimdallSettings
    from asgard.kafka.target import Target

ENDS_S = 1.0
"""How long to wait for a running look at the end: it may hang in a call to a dead broker."""


class Feed:
    """A `heimdall.top.app.Feed` of a watch."""

    def __init__(self, watch: ClusterWatch) -> None:
        self._watch = watch
        self._known: TopSnapshot | None = None

    @property
    def problem(self) -> str:
        return self._watch.problem

    @property
    def known(self) -> TopSnapshot | None:
        from asgard.heimdall.alerts import store

        picture = self._watch.picture
        if picture is not None and (self._known is None or self._known.picture is not picture):
            raised = store.raised(self._watch.alerts, picture.cluster_id)
            self._known = TopSnapshot(picture, raised, self._watch.settings.owners)
        return self._known


@contextmanager
def feeding(target: Target, settings: HeimdallSettings, every_s: float) -> Iterator[Feed]:
    """Look repeatedly while the block runs. Raises Unreachable if the cluster is unreachable at the start."""
    stop = threading.Event()
    with heimdall.watching(target, settings, judges=False) as watch:
        # A daemon: a hung call must not keep the terminal.
        looking = threading.Thread(target=heimdall.keep_looking, args=(watch, every_s, stop), name="heimdall", daemon=True)  # fmt: skip
        looking.start()
        try:
            yield Feed(watch)
        finally:
            stop.set()
            looking.join(ENDS_S)
