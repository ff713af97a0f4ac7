"""Writes samples and counted hours to the store, each in one transaction with all its rollups: all or nothing, never twice.

A killed collector leaves the store as it was after the last complete sample. Two collectors of one cluster do not duplicate
anything: a slot of ten seconds takes one sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from asgard.core.database import Database
from asgard.heimdall.store import rollup, tables
from asgard.heimdall.store.pack import Arrays, pack, unpack
from asgard.heimdall.store.read import SILENT
from asgard.heimdall.store.tables import DAY, HOUR, LEVELS, MINUTE, SAMPLE

_s, _h = tables.samples.c, tables.hours.c


@dataclass(frozen=True)
class Keep:
    """How long each level is kept, in seconds, and at most how many bytes of data; the oldest of the finest go first."""

    sample_s: float = 3600.0
    minute_s: float = 2 * 86400.0
    hour_s: float = 90 * 86400.0
    day_s: float = 1825 * 86400.0
    counted_s: float = 400 * 86400.0
    max_bytes: int = 2 * 1024**3

    def of(self, level: int) -> float:
        return {SAMPLE: self.sample_s, MINUTE: self.minute_s, HOUR: self.hour_s, DAY: self.day_s}[level]


def cluster(connection: Connection, cluster_id: str) -> int:
    """The store's number of a cluster, assigned when it is first seen."""
    c = tables.clusters.c
    found = connection.execute(sa.select(c.id).where(c.cluster_id == cluster_id)).scalar()
    if found is None:
        _insert_missing(connection, tables.clusters, [{"cluster_id": cluster_id}])
        found = connection.execute(sa.select(c.id).where(c.cluster_id == cluster_id)).scalar_one()
    return int(found)


def subjects(connection: Connection, number: int, kind: str, names: Iterable[str]) -> dict[str, int]:
    """Name to number of topics (`topic`) or groups (`group`); new ones get theirs."""
    c = tables.subjects.c
    query = sa.select(c.name, c.id).where(c.cluster == number, c.kind == kind)
    known = {name: int(i) for name, i in connection.execute(query)}
    wanted = list(names)
    missing = [name for name in wanted if name not in known]
    if missing:
        _insert_missing(connection, tables.subjects, [{"cluster": number, "kind": kind, "name": n} for n in missing])
        known = {name: int(i) for name, i in connection.execute(query)}
    return {name: known[name] for name in wanted}


def add_sample(connection: Connection, number: int, at: float, sample: Arrays) -> bool:
    """Keep a sample and merge it into its minute, hour and day; False if its slot, or a later one, is taken."""
    slot = _begin(at, SAMPLE)
    # One collector at a time: arrivals are counted from the sample before, so that must not change meanwhile.
    locked = sa.select(tables.clusters.c.id).where(tables.clusters.c.id == number).with_for_update()
    connection.execute(locked)
    newest = sa.select(sa.func.max(_s.start)).where(_s.cluster == number, _s.level == SAMPLE)
    if (connection.execute(newest).scalar() or -1) >= slot:
        return False
    before = connection.execute(
        sa.select(_s.data, _s.start)
        .where(_s.cluster == number, _s.level == SAMPLE, _s.start < slot)
        .order_by(_s.start.desc())
        .limit(1)
    ).first()
    _put(connection, number, SAMPLE, slot, at, pack(sample))
    one = rollup.period(sample, unpack(before.data) if before else None)
    for level in LEVELS[1:]:
        _merge(connection, number, level, _begin(at, level), at, one)
    return True


def add_hours(connection: Connection, number: int, hours: Mapping[int, Arrays]) -> int:
    """Keep counted hours (start to arrays `t_id`, `t_records`, `t_bytes`, `t_flags`); those already there stay. Returns how many are new."""
    there = set(
        connection.execute(sa.select(_h.start).where(_h.cluster == number, _h.start.in_(list(hours)))).scalars()
    )
    new = 0
    for start, arrays in hours.items():
        if start in there:
            continue
        data = pack(arrays)
        try:
            with connection.begin_nested():
                connection.execute(
                    sa.insert(tables.hours).values(cluster=number, start=start, size=len(data), data=data)
                )
            new += 1
        except IntegrityError:
            continue
    return new


def replace_silent(connection: Connection, number: int, topics: Iterable[int], hours: Mapping[int, Arrays]) -> None:
    """Replace in kept hours what was counted of these topics without some of their partitions; the arrays are those of `add_hours`."""
    query = sa.select(_h.start, _h.data).where(_h.cluster == number, _h.start.in_(list(hours)))
    asked = np.fromiter(topics, np.int64)
    for row in connection.execute(query).all():
        there, now = unpack(row.data), hours[row.start]
        silent = (there["t_flags"] & SILENT != 0) & np.isin(there["t_id"], asked)
        again = np.isin(now["t_id"], there["t_id"][silent])
        data = pack({name: np.concatenate([there[name][~silent], now[name][again]]) for name in there})
        here = (_h.cluster == number, _h.start == row.start)
        connection.execute(sa.update(tables.hours).where(*here).values(size=len(data), data=data))


def prune(database: Database, keep: Keep = Keep()) -> int:
    """Delete what is older than its level is kept, then the oldest of the finest level until the data fits; returns how many rows."""
    gone = 0
    with database.write() as connection:
        now = database.now(connection)
        for level in LEVELS:
            old = sa.delete(tables.samples).where(_s.level == level, _s.start < int(now - keep.of(level)))
            gone += connection.execute(old).rowcount
        gone += connection.execute(sa.delete(tables.hours).where(_h.start < int(now - keep.counted_s))).rowcount
        over = size(connection) - keep.max_bytes
        for level in LEVELS:
            if over <= 0:
                break
            rows = connection.execute(
                sa.select(_s.cluster, _s.start, _s.size).where(_s.level == level).order_by(_s.start)
            ).all()
            for row in _oldest(rows, over):
                key = (_s.cluster == row.cluster, _s.level == level, _s.start == row.start)
                gone += connection.execute(sa.delete(tables.samples).where(*key)).rowcount
                over -= row.size
    return gone


def size(connection: Connection) -> int:
    """Bytes of data in the store."""
    sums = [sa.select(sa.func.coalesce(sa.func.sum(t.c.size), 0)) for t in (tables.samples, tables.hours)]
    return sum(int(connection.execute(one).scalar_one()) for one in sums)


def _oldest(rows: Sequence[Any], over: int) -> Iterable[Any]:
    for row in rows[:-1]:  # the newest stays: the next arrivals are counted from it
        if over <= 0:
            return
        over -= row.size
        yield row


def _merge(connection: Connection, number: int, level: int, start: int, at: float, one: Arrays) -> None:
    key = (_s.cluster == number, _s.level == level, _s.start == start)
    there = connection.execute(sa.select(_s.data).where(*key)).scalar()
    if there is None:
        _put(connection, number, level, start, at, pack(one))
        return
    data = pack(rollup.merge(unpack(there), one))
    connection.execute(sa.update(tables.samples).where(*key).values(at=at, size=len(data), data=data))


def _put(connection: Connection, number: int, level: int, start: int, at: float, data: bytes) -> None:
    row = {"cluster": number, "level": level, "start": start, "at": at, "size": len(data), "data": data}
    connection.execute(sa.insert(tables.samples).values(**row))


def _begin(at: float, level: int) -> int:
    return int(at // level) * level


def _insert_missing(connection: Connection, table: sa.Table, rows: list[dict[str, object]]) -> None:
    """Insert rows that another collector may insert at the same moment."""
    from sqlalchemy.dialects import postgresql, sqlite

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for some in range(0, len(rows), 1000):
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows[some : some + 1000])
