"""A collector for tests: it collects a real cluster until it is killed.

    python -m tests.harness.collecting BOOTSTRAP PROPERTIES URL

It goes on from the store's last slot, ten seconds of the store's time a round, and prints each slot that it committed (a slot that
was taken: as a negative number).
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from asgard.heimdall import collect
from asgard.heimdall.store import tables
from asgard.heimdall.store.tables import SAMPLE, open_store


def real(bootstrap: str, properties: str, url: str) -> None:
    """Collect until killed."""
    from asgard.kafka.admin import connect
    from asgard.kafka.connection import Connection
    from asgard.kafka.properties import read_properties

    with connect(Connection(bootstrap, read_properties(Path(properties)))) as control, open_store(url) as database:
        with database.read() as connection:
            query = sa.select(sa.func.max(tables.samples.c.start)).where(tables.samples.c.level == SAMPLE)
            last = connection.execute(query).scalar()
        begin = int(time.time()) // SAMPLE * SAMPLE if last is None else last + SAMPLE
        window: Any = None
        for slot in itertools.count(begin, SAMPLE):
            done = collect.once(control, database, window=window, clock=lambda at=slot: float(at))  # type: ignore[misc]
            window = done.window[-5:]
            print(slot if done.new else -slot, flush=True)


if __name__ == "__main__":
    real(*sys.argv[1:])
