"""Keeps an audit in a database: how far it read and what it counted, always together, so that each record counts once.

A commit is one transaction. What a killed auditor had counted since the last one is counted again by the next, which starts reading at
that commit. Two auditors of the same audit would count twice, so the one that opened it last continues and the other
fails at its next commit (`fence`).
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.core.database import Database, insert, open_database
from asgard.core.errors import Busy, Refused
from asgard.heimdall.audit import tables
from asgard.heimdall.audit.count import AuditCounts, AuditWindow, Key, PartitionProgress
from asgard.heimdall.audit.ids import Ids
from asgard.heimdall.audit.judge import Row, close, rows
from asgard.heimdall.audit.plan import AuditPlan
from asgard.heimdall.audit.sketch import Sketch

KEEP_S = 90 * 86400
REACHED_S = 7 * 86400
_IN = 500


def open_store(url: str | None = None) -> Database:
    """The database of audits: ASGARD_HOME/audit.db, or the one ASGARD_STORE names."""
    return open_database(tables.SCHEMA, url)


class AuditStore:
    """One audit in the store. `counts` is what was last committed plus what the caller has added."""

    def __init__(self, database: Database, cluster_id: str, plan: AuditPlan) -> None:
        """Take over the audit. Raises Refused if its tiers or windows have changed."""
        self.database = database
        with database.write() as connection:
            self.id, self.fence = _take(connection, cluster_id, plan)
            self.counts = _load(connection, self.id, plan)
        self._stored = {where: asdict(p) for where, p in self.counts.progress.items()}

    def commit(self, until_s: int | None = None) -> list[Row]:
        """Write what changed and close windows up to `until_s`; returns the rows of closed ones. Raises Busy."""
        counts = self.counts
        with self.database.write() as connection:
            self._check(connection)
            late = _late(connection, self.id, counts.late)
            counts.late.clear()
            before = set(counts.windows)
            latencies = {key: w.latency.dump() for key, w in counts.windows.items()}
            closed = close(counts, until_s) if until_s is not None else []
            gone = before - set(counts.windows)
            _delete(connection, self.id, [*counts.dirty, *gone, *(_key(counts.plan, row) for row in closed)])
            _insert(connection, self.id, counts, closed, latencies, late)
            _recover(connection, self.id, counts.recovered)
            _write_ids(connection, self.id, counts, gone)
            self._write_progress(connection)
            _write_reached(connection, self.id, counts, closed)
            connection.execute(
                sa.update(tables.audits)
                .where(tables.audits.c.id == self.id)
                .values(closed_until_s=counts.closed_until_s)
            )
        for key in counts.dirty:
            counts.windows[key].ids.dirty.clear()
        counts.dirty.clear()
        counts.recovered.clear()
        counts.missing = {key: ids for key, ids in counts.missing.items() if len(ids)}
        for ids in counts.missing.values():
            ids.dirty.clear()
        return closed

    def _check(self, connection: Connection) -> None:
        a = tables.audits.c
        held = sa.update(tables.audits).where(a.id == self.id, a.fence == self.fence).values(fence=self.fence)
        if connection.execute(held).rowcount != 1:
            raise Busy(
                f"another auditor has taken over the audit {self.counts.plan.name!r}",
                "Let one of them run; nothing was counted twice.",
            )

    def _write_progress(self, connection: Connection) -> None:
        p = tables.progress.c
        now = {where: asdict(progress) for where, progress in self.counts.progress.items()}
        changed = [where for where, values in now.items() if values != self._stored.get(where)]
        for topic, partitions in _by_topic(w for w in changed if w in self._stored).items():
            for some in _some(partitions):
                connection.execute(
                    sa.delete(tables.progress).where(p.audit == self.id, p.topic == topic, p.partition.in_(some))
                )
        if changed:
            found = [{"audit": self.id, "topic": w[0], "partition": w[1], **now[w]} for w in changed]
            connection.execute(sa.insert(tables.progress), found)
        self._stored = now

    def untold(self) -> list[Row]:
        """Rows of closed windows with trouble that are not in the journal yet."""
        w = tables.windows.c
        with self.database.read() as connection:
            wrong = sa.or_(w.lost > 0, w.gaps > 0, w.duplicates > 0)
            query = sa.select(tables.windows).where(w.audit == self.id, w.state == "closed", ~w.told, wrong)
            return [_row(self.counts.plan, found) for found in connection.execute(query.order_by(w.start_s)).mappings()]

    def told(self, given: Iterable[Row]) -> None:
        """These rows are in the journal."""
        w = tables.windows.c
        with self.database.write() as connection:
            for key in (_key(self.counts.plan, row) for row in given):
                here = (w.audit == self.id, w.start_s == key.start_s, w.tier == key.tier, w.topic == key.topic)
                connection.execute(sa.update(tables.windows).where(*here).values(told=True))

    def report(self, since_s: float | None = None, until_s: float | None = None) -> list[Row]:
        """All windows, closed and open, that begin in a time; oldest first."""
        w = tables.windows.c
        query = sa.select(tables.windows).where(w.audit == self.id, w.state != "open")
        query = query.where(w.start_s >= since_s) if since_s is not None else query
        query = query.where(w.start_s < until_s) if until_s is not None else query
        with self.database.read() as connection:
            found = [_row(self.counts.plan, row) for row in connection.execute(query).mappings()]
        for start in self.counts.starts():
            if (since_s is None or start >= since_s) and (until_s is None or start < until_s):
                found += rows(self.counts, start, "open")
        order = {tier.name: number for number, tier in enumerate(self.counts.plan.tiers)}
        return sorted(found, key=lambda row: (row.start_s, order[row.tier], row.topic))


def _take(connection: Connection, cluster_id: str, plan: AuditPlan) -> tuple[int, int]:
    a = tables.audits.c
    text = json.dumps({**asdict(plan), "name": None}, sort_keys=True)
    here = (a.cluster_id == cluster_id, a.name == plan.name)
    known = connection.execute(sa.select(tables.audits).where(*here)).mappings().first()
    if known is None:
        values = {"cluster_id": cluster_id, "name": plan.name, "plan": text, "fence": 1, "closed_until_s": 0}
        return insert(connection, tables.audits, **values), 1
    if _identity(known["plan"]) != _identity(text):
        raise Refused(
            f"the audit {plan.name!r} was begun with other tiers or another window",
            "Give it another name (--name, or `name:` in the file); the old one's counts stay.",
        )
    fence = int(known["fence"]) + 1
    connection.execute(sa.update(tables.audits).where(a.id == known["id"]).values(fence=fence, plan=text))
    return int(known["id"]), fence


def _identity(plan: str) -> object:
    """What may not change between runs: tiers and windows, but not how long to wait for late records."""
    return {**json.loads(plan), "lateness_s": None}


def _load(connection: Connection, audit: int, plan: AuditPlan) -> AuditCounts:
    a, p, w, i, r = (t.c for t in (tables.audits, tables.progress, tables.windows, tables.ids, tables.reached))
    counts = AuditCounts(plan)
    counts.closed_until_s = int(connection.execute(sa.select(a.closed_until_s).where(a.id == audit)).scalar_one())
    old = counts.closed_until_s
    connection.execute(sa.delete(tables.windows).where(w.audit == audit, w.start_s < old - KEEP_S, w.state != "open"))
    connection.execute(sa.delete(tables.reached).where(r.audit == audit, r.start_s < old - REACHED_S))
    connection.execute(sa.delete(tables.ids).where(i.audit == audit, i.start_s < old - REACHED_S))
    for row in connection.execute(sa.select(tables.progress).where(p.audit == audit)).mappings():
        values = {name: row[name] for name in ("topic_id", "offset", "newest_us", "since_us", "skipped")}
        counts.progress[row["topic"], row["partition"]] = PartitionProgress(**values)
    for row in connection.execute(sa.select(tables.windows).where(w.audit == audit, w.state == "open")).mappings():
        window = AuditWindow(
            row["records"], row["unstamped"], row["duplicates"], row["late"], Sketch.load(row["latency"])
        )
        counts.windows[Key(row["start_s"], row["tier"], row["topic"])] = window
    for row in connection.execute(sa.select(tables.ids).where(i.audit == audit)).mappings():
        key = Key(row["start_s"], row["tier"], row["topic"])
        ids = counts.windows[key].ids if key in counts.windows else counts.missing.setdefault(key, Ids())
        ids.put((bytes.fromhex(row["run"]), row["producer"]), row["chunk"], zlib.decompress(row["bits"]))
    for row in connection.execute(sa.select(tables.reached).where(r.audit == audit)).mappings():
        who = (bytes.fromhex(row["run"]), int(row["producer"]))
        counts.reached[row["topic"], who] = (int(row["sequence"]), int(row["start_s"]))
    return counts


def _late(connection: Connection, audit: int, late: Mapping[Key, int]) -> dict[Key, int]:
    """Add late records to closed windows; returns those whose window was never seen, to be inserted."""
    w, unknown = tables.windows.c, {}
    for key, count in late.items():
        here = (w.audit == audit, w.start_s == key.start_s, w.tier == key.tier, w.topic == key.topic)
        if not connection.execute(sa.update(tables.windows).where(*here).values(late=w.late + count)).rowcount:
            unknown[key] = count
    return unknown


def _recover(connection: Connection, audit: int, recovered: Mapping[Key, int]) -> None:
    """Count lost records that have arrived since."""
    w = tables.windows.c
    for key, count in recovered.items():
        here = (w.audit == audit, w.start_s == key.start_s, w.tier == key.tier, w.topic == key.topic)
        values: dict[str, Any] = {"lost": w.lost - count}
        connection.execute(sa.update(tables.windows).where(*here).values(**values, examples="[]"))


def _delete(connection: Connection, audit: int, keys: Collection[Key]) -> None:
    w = tables.windows.c
    grouped: dict[tuple[int, int], set[str]] = defaultdict(set)
    for key in keys:
        grouped[key.start_s, key.tier].add(key.topic)
    for (start, tier), topics in grouped.items():
        for some in _some(sorted(topics)):
            here = (w.audit == audit, w.start_s == start, w.tier == tier, w.topic.in_(some))
            connection.execute(sa.delete(tables.windows).where(*here))


def _insert(
    connection: Connection,
    audit: int,
    counts: AuditCounts,
    closed: Sequence[Row],
    latencies: Mapping[Key, str],
    late: Mapping[Key, int],
) -> None:
    found: list[dict[str, Any]] = []
    nothing = {"lost": None, "gaps": None, "unmatched": None, "examples": "[]", "told": False, "audit": audit}
    empty = Sketch().dump()
    for key in counts.dirty:
        window = counts.windows[key]
        plain = {name: getattr(window, name) for name in ("records", "unstamped", "duplicates", "late")}
        found.append({**nothing, **asdict(key), **plain, "state": "open", "latency": latencies.get(key, empty)})
    for row in closed:
        key = _key(counts.plan, row)
        names = ("state", "records", "unstamped", "duplicates", "lost", "gaps", "unmatched", "late")
        values = {name: getattr(row, name) for name in names}
        more = {"latency": latencies.get(key, empty), "examples": json.dumps(row.examples)}
        found.append({**nothing, **asdict(key), **values, **more})
    for key, count in late.items():
        zero = {"records": 0, "unstamped": 0, "duplicates": 0, "late": count, "state": "closed", "latency": empty}
        found.append({**nothing, **asdict(key), **zero})
    if found:
        connection.execute(sa.insert(tables.windows), found)


def _write_ids(connection: Connection, audit: int, counts: AuditCounts, gone: Collection[Key]) -> None:
    i = tables.ids.c
    for key in gone:
        here = (i.audit == audit, i.start_s == key.start_s, i.tier == key.tier, i.topic == key.topic)
        connection.execute(sa.delete(tables.ids).where(*here))
    found: list[dict[str, Any]] = []
    changed = {key: counts.windows[key].ids for key in counts.dirty}
    for key, ids in {**changed, **{key: ids for key, ids in counts.missing.items() if ids.dirty}}.items():
        by_who: dict[tuple[bytes, int], list[int]] = defaultdict(list)
        for who, number in ids.dirty:
            by_who[who].append(number)
        for who, numbers in by_who.items():
            of_it = {"audit": audit, **asdict(key), "run": who[0].hex(), "producer": who[1]}
            same = [i[name] == value for name, value in of_it.items()]
            for some in _some(numbers):
                connection.execute(sa.delete(tables.ids).where(*same, i.chunk.in_(some)))
            found += [
                {**of_it, "chunk": number, "bits": zlib.compress(ids.chunks[who, number].tobytes(), 1)}
                for number in numbers
                if ids.chunks[who, number].any()
            ]
    if found:
        connection.execute(sa.insert(tables.ids), found)


def _write_reached(connection: Connection, audit: int, counts: AuditCounts, closed: Sequence[Row]) -> None:
    r = tables.reached.c
    starts = {row.start_s for row in closed}
    changed = {at: values for at, values in counts.reached.items() if values[1] in starts}
    for (topic, who), (sequence, start) in changed.items():
        here = {"audit": audit, "topic": topic, "run": who[0].hex(), "producer": who[1]}
        connection.execute(sa.delete(tables.reached).where(*(r[name] == value for name, value in here.items())))
        connection.execute(sa.insert(tables.reached).values(**here, sequence=sequence, start_s=start))


def _key(plan: AuditPlan, row: Row) -> Key:
    return Key(row.start_s, plan.topics[row.topic], row.topic)


def _row(plan: AuditPlan, found: Mapping[Any, Any]) -> Row:
    latency = Sketch.load(found["latency"])
    p50, p95, p99 = latency.quantiles(0.5, 0.95, 0.99)
    names = ("start_s", "topic", "state", "records", "unstamped", "duplicates", "lost", "gaps", "unmatched", "late")
    return Row(
        **{name: found[name] for name in names},
        tier=plan.tiers[found["tier"]].name,
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=latency.largest_ms if latency.count else None,
        examples=tuple(json.loads(found["examples"])),
    )


def _by_topic(where: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for topic, partition in where:
        found[topic].append(partition)
    return found


def _some(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Lists short enough for one statement."""
    return (values[at : at + _IN] for at in range(0, len(values), _IN))
