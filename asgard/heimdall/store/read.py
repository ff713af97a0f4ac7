"""What the store knows, as data classes: for pages, reports, alerts and the lag's window. Times are seconds since 1970 (UTC).

    with open_store() as database:
        store = Store(database, cluster_id)
        store.window(since)                      # samples for the lag's judgement, oldest first
        store.latest()                           # when the last sample was, and each group's and topic's figures then
        store.topic_series("orders", a, b)       # records that arrived, by minute or hour
        store.group_series("billing", a, b)      # lag, oldest unread record, status
        store.cluster_series(a, b)               # brokers, under-replicated and offline partitions
        store.hours(a, b)                        # records by topic and hour of record time, counted by Kafka's index
        store.gaps(a, b)                         # when nothing was collected

None means not measured, never 0. Series take the finest level that covers the time and does not exceed `points`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa

from asgard.core.database import Database
from asgard.heimdall.lag.model import STATUSES, OffsetSample, Status
from asgard.heimdall.store import tables
from asgard.heimdall.store.pack import Arrays, unpack
from asgard.heimdall.store.rollup import begins
from asgard.heimdall.store.tables import DAY, HOUR, MINUTE, SAMPLE

POINTS = 1500
_s, _h = tables.samples.c, tables.hours.c
COMPACTED, TRANSACTIONAL, OUT_OF_ORDER, DELETED, SILENT = 1, 2, 4, 8, 16
FLAGS = {
    COMPACTED: "compacted",
    TRANSACTIONAL: "transactional",
    OUT_OF_ORDER: "timestamps out of order",
    DELETED: "retention deleted",
    SILENT: "partitions have no leader",
}
"""Why a counted hour may not be exact: bit to words."""


@dataclass(frozen=True)
class TopicPoint:
    """Records that arrived in `[start, start + level_s)`. `samples` of at most `level_s / 10` were taken."""

    start: int
    level_s: int
    records: int
    samples: int


@dataclass(frozen=True)
class GroupPoint:
    """A group in a period: last and largest lag, age of its oldest unread record, worst status."""

    start: int
    level_s: int
    lag: int | None
    lag_max: int | None
    time_lag_s: float | None
    status: Status
    expired_unread: int


@dataclass(frozen=True)
class ClusterPoint:
    """The cluster in a period: fewest brokers, most under-replicated and offline partitions."""

    start: int
    level_s: int
    brokers: int
    under_replicated: int
    offline: int


@dataclass(frozen=True)
class HourCount:
    """Records of a topic in an hour of record time; `approximate` says why it may not be exact."""

    topic: str
    start: int
    records: int | None
    bytes: int | None
    approximate: tuple[str, ...] = ()


@dataclass(frozen=True)
class Latest:
    """The last sample: groups with their figures, topics with the records that they hold."""

    at: float
    groups: dict[str, GroupPoint]
    topics: dict[str, int]
    cluster: ClusterPoint


class ClusterStore:
    """The store's view of one cluster."""

    def __init__(self, database: Database, cluster_id: str) -> None:
        self.database = database
        self.cluster_id = cluster_id
        c = tables.clusters.c
        with database.read() as connection:
            self._number = connection.execute(sa.select(c.id).where(c.cluster_id == cluster_id)).scalar()
        self._names: dict[tuple[str, int], str] = {}

    @property
    def known(self) -> bool:
        """Whether anything of this cluster was ever collected."""
        return self._number is not None

    def window(self, since: float, groups: set[str] | None = None) -> list[OffsetSample]:
        """Samples since then, oldest first, of these groups or of all."""
        return [self._sample(at, arrays, groups) for at, arrays in self._rows(SAMPLE, since, float("inf"))]

    def last_at(self) -> float | None:
        """When the last sample was taken."""
        with self.database.read() as connection:
            query = sa.select(sa.func.max(_s.at)).where(_s.cluster == self._number, _s.level == SAMPLE)
            found = connection.execute(query).scalar()
        return None if found is None else float(found)

    def latest(self) -> Latest | None:
        """The last sample's figures; None if there is none."""
        at = self.last_at()
        rows = list(self._rows(SAMPLE, at, float("inf"))) if at is not None else []
        if not rows:
            return None
        at, arrays = rows[-1]
        start = int(at // SAMPLE) * SAMPLE
        held = np.maximum(arrays["end"] - arrays["start"], 0)
        topics = {
            self._name("topic", t): int(held[b : b + n].sum())
            for t, b, n in zip(arrays["t_id"], begins(arrays["t_n"]), arrays["t_n"], strict=True)
        }
        groups = {
            self._name("group", int(g)): _group(arrays, i, start, SAMPLE, "g_lag") for i, g in enumerate(arrays["g_id"])
        }
        return Latest(at, groups, topics, _cluster(arrays, start, SAMPLE))

    def topic_series(self, topic: str, since: float, until: float, points: int = POINTS) -> list[TopicPoint]:
        """Records of a topic that arrived, by period."""
        number, level = self._id("topic", topic), _level(since, until, points)
        found = []
        for start, arrays in self._periods(level, since, until):
            i = _index(arrays["t_id"], number)
            if i is not None:
                found.append(TopicPoint(start, level, int(arrays["t_records"][i]), int(arrays["c_samples"][0])))
        return found

    def arrivals(
        self, since: float, until: float, points: int = POINTS, topics: Collection[str] | None = None
    ) -> list[TopicPoint]:
        """Records of all topics together that arrived, or of those named, by period."""
        level = _level(since, until, points)
        numbers = None if topics is None else self._ids("topic", topics)

        def total(arrays: Arrays) -> int:
            counted = arrays["t_records"] if numbers is None else arrays["t_records"][np.isin(arrays["t_id"], numbers)]
            return int(counted.sum())

        return [
            TopicPoint(start, level, total(arrays), int(arrays["c_samples"][0]))
            for start, arrays in self._periods(level, since, until)
        ]

    def topics(self, since: float, until: float, points: int = POINTS) -> dict[str, int]:
        """Topic to the records that arrived in that time."""
        total: dict[str, int] = {}
        for _, arrays in self._periods(_level(since, until, points), since, until):
            for t, records in zip(arrays["t_id"].tolist(), arrays["t_records"].tolist(), strict=True):
                name = self._name("topic", t)
                total[name] = total.get(name, 0) + records
        return total

    def group_series(self, group: str, since: float, until: float, points: int = POINTS) -> list[GroupPoint]:
        """A group by period."""
        number, level = self._id("group", group), _level(since, until, points)
        found = []
        for start, arrays in self._periods(level, since, until):
            i = _index(arrays["g_id"], number)
            if i is not None:
                found.append(_group(arrays, i, start, level, "g_lag_max"))
        return found

    def groups_series(
        self, since: float, until: float, points: int = POINTS, groups: set[str] | None = None
    ) -> dict[str, list[GroupPoint]]:
        """All groups, or those named, by period; one pass over the store."""
        level = _level(since, until, points)
        found: dict[str, list[GroupPoint]] = {}
        for start, arrays in self._periods(level, since, until):
            for i, number in enumerate(arrays["g_id"].tolist()):
                name = self._name("group", number)
                if groups is None or name in groups:
                    found.setdefault(name, []).append(_group(arrays, i, start, level, "g_lag_max"))
        return found

    def cluster_series(self, since: float, until: float, points: int = POINTS) -> list[ClusterPoint]:
        """The cluster by period."""
        level = _level(since, until, points)
        return [_cluster(arrays, start, level) for start, arrays in self._periods(level, since, until)]

    def hours(self, since: float, until: float) -> Iterator[HourCount]:
        """Counted hours that begin in that time, by topic; one after the other, because a month of all topics takes gigabytes."""
        for start, arrays in self._hours(since, until):
            columns = (arrays[name].tolist() for name in ("t_id", "t_records", "t_bytes", "t_flags"))
            for topic, records, size, flags in zip(*columns, strict=True):
                why = tuple(words for bit, words in FLAGS.items() if flags & bit)
                name = self._name("topic", topic)
                yield HourCount(name, start, _known(records), _known(size), why)

    def counted_hours(self, since: float, until: float) -> set[int]:
        """Which hours that begin in that time are counted."""
        with self.database.read() as connection:
            query = sa.select(_h.start).where(_h.cluster == self._number, _h.start >= since, _h.start < until)
            return set(connection.execute(query).scalars())

    def silent_hours(self, since: float, until: float) -> dict[int, set[str]]:
        """Counted hours that begin in that time, with the topics of which partitions were not counted."""
        found = {}
        for start, arrays in self._hours(since, until):
            silent = arrays["t_id"][arrays["t_flags"] & SILENT != 0]
            if len(silent):
                found[start] = {self._name("topic", topic) for topic in silent.tolist()}
        return found

    def gaps(self, since: float, until: float) -> list[tuple[int, int]]:
        """Times between the first and the last collected minute in which nothing was collected."""
        with self.database.read() as connection:
            query = sa.select(_s.start).where(
                _s.cluster == self._number, _s.level == MINUTE, _s.start >= since, _s.start < until
            )
            minutes = list(connection.execute(query.order_by(_s.start)).scalars())
        return [(a + MINUTE, b) for a, b in itertools.pairwise(minutes) if b - a > MINUTE]

    def _hours(self, since: float, until: float) -> Iterator[tuple[int, Arrays]]:
        with self.database.read() as connection:
            query = sa.select(_h.start, _h.data).where(_h.cluster == self._number, _h.start >= since, _h.start < until)
            rows = connection.execute(query.order_by(_h.start)).all()
        for row in rows:
            yield row.start, unpack(row.data)

    def _periods(self, level: int, since: float, until: float) -> Iterator[tuple[int, Arrays]]:
        for at, arrays in self._rows(level, since, until):
            yield int(at // level) * level, arrays

    def _rows(self, level: int, since: float, until: float) -> Iterator[tuple[float, Arrays]]:
        begin = int(since // level) * level
        with self.database.read() as connection:
            query = sa.select(_s.at, _s.data).where(_s.cluster == self._number, _s.level == level, _s.start >= begin)
            if until != float("inf"):
                query = query.where(_s.start < until)
            rows = connection.execute(query.order_by(_s.start)).all()
        for row in rows:
            yield float(row.at), unpack(row.data)

    def _sample(self, at: float, arrays: Arrays, groups: set[str] | None) -> OffsetSample:
        starts, ends = {}, {}
        for t, b, n in zip(
            arrays["t_id"].tolist(), begins(arrays["t_n"]).tolist(), arrays["t_n"].tolist(), strict=True
        ):
            name = self._name("topic", t)
            starts[name], ends[name] = arrays["start"][b : b + n], arrays["end"][b : b + n]
        committed: dict[str, dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]] = {}
        begin = begins(arrays["c_n"]).tolist()
        columns = (arrays[name].tolist() for name in ("c_g", "c_t", "c_n"))
        for (g, t, n), b in zip(zip(*columns, strict=True), begin, strict=True):
            name = self._name("group", g)
            if groups is None or name in groups:
                committed.setdefault(name, {})[self._name("topic", t)] = arrays["committed"][b : b + n]
        return OffsetSample(at, starts, ends, committed)

    def _name(self, kind: str, number: int) -> str:
        if (kind, int(number)) not in self._names:
            self._names = self._all_names()
        return self._names[kind, int(number)]

    def _id(self, kind: str, name: str) -> int:
        c = tables.subjects.c
        query = sa.select(c.id).where(c.cluster == self._number, c.kind == kind, c.name == name)
        with self.database.read() as connection:
            found = connection.execute(query).scalar()
        return -1 if found is None else int(found)

    def _ids(self, kind: str, names: Collection[str]) -> list[int]:
        return [number for (k, number), name in self._all_names().items() if k == kind and name in names]

    def _all_names(self) -> dict[tuple[str, int], str]:
        c = tables.subjects.c
        with self.database.read() as connection:
            rows = connection.execute(sa.select(c.kind, c.id, c.name).where(c.cluster == self._number))
            return {(kind, int(i)): name for kind, i, name in rows}


def _level(since: float, until: float, points: int) -> int:
    return next((level for level in (MINUTE, HOUR) if (until - since) / level <= points), DAY)


def _index(ids: np.ndarray[tuple[int], np.dtype[np.int64]], number: int) -> int | None:
    found = np.flatnonzero(ids == number)
    return int(found[0]) if len(found) else None


def _group(arrays: Arrays, i: int, start: int, level: int, most: str) -> GroupPoint:
    age = float(arrays["g_time"][i])
    return GroupPoint(
        start,
        level,
        _known(int(arrays["g_lag"][i])),
        _known(int(arrays[most][i])),
        None if np.isnan(age) else round(age, 3),
        STATUSES[int(arrays["g_status"][i])],
        max(int(arrays["g_expired"][i]), 0),
    )


def _cluster(arrays: Arrays, start: int, level: int) -> ClusterPoint:
    return ClusterPoint(
        start, level, int(arrays["c_brokers"][0]), int(arrays["c_under"][0]), int(arrays["c_offline"][0])
    )


def _known(value: int) -> int | None:
    return None if value < 0 else value
