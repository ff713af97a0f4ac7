"""Samples for the store, a check that its rollups are those of its samples, and a process that writes until it is killed.

    python -m tests.harness.storing URL

goes on from the store's last slot and prints each slot that it committed.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import sqlalchemy as sa

from asgard.core.database import Database
from asgard.heimdall.store import rollup, tables, writer
from asgard.heimdall.store.pack import Arrays, unpack
from asgard.heimdall.store.tables import LEVELS, SAMPLE, open_store


def sample(n: int, topics: list[int], groups: list[int]) -> Arrays:
    """Topics with three partitions that get 100 records a sample; groups that fall behind by 5 a sample in the first topic."""
    count = len(topics)
    return {
        "t_id": np.array(topics, np.int64),
        "t_n": np.full(count, 3, np.int64),
        "start": np.zeros(3 * count, np.int64),
        "end": np.full(3 * count, 100 * n, np.int64),
        "g_id": np.array(groups, np.int64),
        "g_lag": np.full(len(groups), 10 * n, np.int64),
        "g_time": np.full(len(groups), float(n)),
        "g_status": np.zeros(len(groups), np.int64),
        "g_expired": np.zeros(len(groups), np.int64),
        "c_g": np.array(groups, np.int64),
        "c_t": np.full(len(groups), topics[0], np.int64),
        "c_n": np.full(len(groups), 3, np.int64),
        "committed": np.array([95 * n, -1, 95 * n] * len(groups), np.int64),
        "c_brokers": np.array([3], np.int64),
        "c_under": np.array([0], np.int64),
        "c_offline": np.array([0], np.int64),
    }


def check_rollups(database: Database) -> list[int]:
    """Assert that each rollup equals one made of the samples that are there; the samples' slots."""
    with database.read() as connection:
        rows = connection.execute(sa.select(tables.samples).order_by(tables.samples.c.start)).all()
    stored: dict[tuple[int, int, int], Any] = {(row.cluster, row.level, row.start): row for row in rows}
    expected: dict[tuple[int, int, int], Arrays] = {}
    before: Arrays | None = None
    slots = []
    for row in (row for row in rows if row.level == SAMPLE):
        found = unpack(row.data)
        one = rollup.period(found, before)
        for level in LEVELS[1:]:
            key = (row.cluster, level, int(row.at // level) * level)
            expected[key] = rollup.merge(expected[key], one) if key in expected else one
        before = found
        slots.append(row.start)
    assert {key for key in stored if key[1] != SAMPLE} == set(expected)
    for key, arrays in expected.items():
        there = unpack(stored[key].data)
        assert there.keys() == arrays.keys()
        for name, values in arrays.items():
            assert np.array_equal(there[name], values, equal_nan=values.dtype.kind == "f"), (key, name)
    return slots


def main(url: str) -> None:
    """Write samples, one transaction each, until killed."""
    with open_store(url) as database:
        with database.write() as connection:
            number = writer.cluster(connection, "c1")
            topics = writer.subjects(connection, number, "topic", [f"t{n}" for n in range(200)])
            groups = writer.subjects(connection, number, "group", [f"g{n}" for n in range(50)])
            query = sa.select(sa.func.max(tables.samples.c.start)).where(tables.samples.c.level == SAMPLE)
            last = connection.execute(query).scalar()
        for slot in itertools.count(last + SAMPLE if last is not None else 1_795_000_000, SAMPLE):
            with database.write() as connection:
                writer.add_sample(
                    connection,
                    number,
                    slot,
                    sample(slot // SAMPLE % 1000, list(topics.values()), list(groups.values())),
                )
            print(slot, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
