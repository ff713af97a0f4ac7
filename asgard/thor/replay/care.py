"""Watches the clusters during a copy: slows it down while something is being healed, says so, and speeds it up again.

A copy does not hold the cluster's lease: it must not block a healing. Instead a thread checks every few seconds for brokers that
are down, under-replicated partitions of the topics in use, and a running healing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

from asgard.core import events, process, units
from asgard.core.errors import AsgardError
from asgard.journal import leases
from asgard.journal.store.database import Database
from asgard.kafka.model import Broker, Topic
from asgard.kafka.ports import ControlPlane
from asgard.thor.replay.pace import Rate

LOOK_EVERY_S = 3.0
SHARE = 0.1
"""The share of its rate that a copy keeps while a cluster is being healed."""
UNLIMITED_BYTES_PER_S = 50_000_000.0
"""The rate assumed for an unlimited copy when it has to slow down."""

Look = Callable[[], str | None]


def trouble(brokers: Collection[Broker], topics: Collection[Topic], healing: str | None) -> str | None:
    """Why a copy should go slowly now; None if it need not."""
    if healing is not None:
        return healing
    down = sorted(b.id for b in brokers if b.state != "up")
    if down:
        return f"broker {', '.join(map(str, down))} is down"
    partitions = [p for topic in topics for p in topic.partitions]
    behind = [p for p in partitions if len(p.isr) < len(p.target_replicas)]
    if behind:
        return f"{len(behind)} of {len(partitions)} partitions are under-replicated"
    return None


def look_at(control: ControlPlane, topics: Collection[str], journal: Database) -> Look:
    """A function that checks one cluster."""

    def look() -> str | None:
        cluster = control.cluster()
        described = control.topics(topics, moves=False)
        return trouble(cluster.brokers, described.values(), _healing(journal, cluster.cluster_id))

    return look


def _healing(journal: Database, cluster_id: str) -> str | None:
    name, now = leases.cluster_change(cluster_id), journal.time()
    for state in leases.listed(journal):
        if state.name == name and state.holder is not None and not state.is_free(now, process.is_dead):
            return f"{state.holder.doing} is running" if state.holder.priority >= leases.Priority.HEAL else None
    return None


class Watch:
    """The rate of a copy, depending on the clusters' health. A context manager; the copying thread calls `rate`."""

    def __init__(self, limit: Rate, looks: Sequence[Look], *, every_s: float = LOOK_EVERY_S) -> None:
        self._limit, self._looks, self._every_s = limit, looks, every_s
        self._why: str | None = None
        self._said: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="replay-watch", daemon=True)
        self.slowed = 0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=30)

    def rate(self) -> Rate:
        """The limit, or a share of it; logs changes."""
        why = self._why
        slow = self._limit.slower(SHARE, UNLIMITED_BYTES_PER_S)
        if why is not None and self._said is None:
            self.slowed += 1
            events.warn(f"slowed down to {units.format_size(slow.bytes_per_s or 0)}/s: {why}")
        elif why is None and self._said is not None:
            events.note("back at full speed: the cluster is healthy again")
        self._said = why
        return self._limit if why is None else slow

    def _watch(self) -> None:
        while True:
            found = None
            for look in self._looks:
                try:
                    found = found or look()
                except AsgardError as error:
                    found = error.what
            self._why = found
            if self._stop.wait(self._every_s):
                return
