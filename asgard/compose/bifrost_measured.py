"""Heimdall's data on topics, for Bifrost's catalogue: how fresh they are, how much arrives, how far behind readers are.

It queries no cluster, and creates no store if Heimdall has none. Times are seconds since 1970 (UTC).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgard.core import paths
from asgard.core.database import STORE_VARIABLE

if TYPE_CHECKING:
    from asgard.heimdall.store.read import ClusterStore

DAY_S, HOUR_S = 86400.0, 3600.0
LOOK_BACK_DAYS = 30
"""A topic's last record is searched for in this many days of counted hours."""


@dataclass(frozen=True)
class Measured:
    """A topic as Heimdall last saw it. None: not measured.

    `records_per_day` arrived in the last 24 hours; `last_hour` is the start of the newest hour with a record, so its last record is up
    to an hour younger; `held` is how many records the topic holds.
    """

    at: float
    records_per_day: int | None = None
    last_hour: float | None = None
    held: int | None = None


@contextmanager
def _store(cluster_id: str | None) -> Iterator[ClusterStore | None]:
    from asgard.heimdall.store.read import ClusterStore
    from asgard.heimdall.store.tables import SCHEMA, open_store

    if cluster_id is None or not (os.environ.get(STORE_VARIABLE) or (paths.home() / SCHEMA.file).is_file()):
        yield None
        return
    with open_store() as database:
        store = ClusterStore(database, cluster_id)
        yield store if store.known else None


def measured(cluster_id: str | None, now: float) -> dict[str, Measured]:
    """Each topic of a cluster; empty if Heimdall never collected from it."""
    with _store(cluster_id) as store:
        latest = None if store is None else store.latest()
        if store is None or latest is None:
            return {}
        arrived = store.topics(now - DAY_S, now)
        last: dict[str, float] = {}
        for hour in store.hours(now - LOOK_BACK_DAYS * DAY_S, now):
            if hour.records:
                last[hour.topic] = max(last.get(hour.topic, 0.0), float(hour.start))
    return {name: Measured(latest.at, arrived.get(name), last.get(name), held) for name, held in latest.topics.items()}


def quiet_since(cluster_id: str | None, now: float, days: float) -> dict[str, float] | None:
    """Topic to the end of its last hour with a record; under `""` the first hour looked at, for topics without any.

    None if Heimdall's hours don't cover that many days without a gap: then they can't prove that nothing came.
    """
    since = (now - days * DAY_S) // HOUR_S * HOUR_S - HOUR_S
    with _store(cluster_id) as store:
        if store is None:
            return None
        counted = store.counted_hours(since, now)
        # The current hour and the one that just ended are not counted yet.
        wanted = range(int(since), int(now // HOUR_S * HOUR_S - 2 * HOUR_S), int(HOUR_S))
        if not counted.issuperset(wanted):
            return None
        found = {"": float(since)}
        for hour in store.hours(since, now):
            if hour.records or hour.approximate:
                found[hour.topic] = max(found.get(hour.topic, 0.0), hour.start + HOUR_S)
    return found
