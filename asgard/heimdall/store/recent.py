"""The last minutes of a cluster from the store, if something collects: they make a single look at lag more accurate."""

from __future__ import annotations

import os
from collections.abc import Collection

from asgard.core import events, paths
from asgard.core.errors import AsgardError
from asgard.heimdall.lag.model import OffsetSample

WINDOW_S = 600.0
FRESH_S = 60.0


def window(cluster_id: str, groups: Collection[str] | None, now: float) -> list[OffsetSample]:
    """Samples of the last ten minutes, oldest first; none if nothing was collected in the last minute, or there is no store."""
    from asgard.heimdall.store.read import ClusterStore
    from asgard.heimdall.store.tables import SCHEMA, open_store

    if not os.environ.get(SCHEMA.variable) and not (paths.home() / SCHEMA.file).exists():
        return []
    try:
        with open_store() as database:
            store = ClusterStore(database, cluster_id)
            last = store.last_at() if store.known else None
            if last is None or not 0 <= now - last <= FRESH_S:
                return []
            return store.window(now - WINDOW_S, set(groups) if groups is not None else None)
    except AsgardError as error:
        events.warn(f"the store is not used: {error.what}")
        return []
