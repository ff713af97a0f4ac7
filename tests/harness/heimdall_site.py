"""A made-up cluster for Heimdall's pages: a source of them that needs no Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np

from asgard.heimdall.alerts.model import AlertState
from asgard.heimdall.lag.model import OffsetSample
from asgard.heimdall.picture import Picture, make
from asgard.heimdall.report.day import Day
from asgard.heimdall.settings import HeimdallSettings
from asgard.heimdall.store.read import ClusterStore, GroupPoint, TopicPoint
from asgard.journal.events import Event
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition, Quorum, Voter
from tests.harness.heimdall_days import OWNERS, TOPICS, drilled, group_lag, made

NOW = 1_764_230_400.0
GIB = 1024**3


def picture(topics: Sequence[str] = TOPICS, partitions: int = 2) -> Picture:
    """Two brokers up and one fenced; one partition under-replicated; groups that lag."""
    parts = tuple(
        Partition(
            t, p, (1, 2, 3), (1, 3) if (n, p) == (0, 0) else (1, 2, 3), 1 + 2 * (p % 2), size_bytes=(n % 40 + 1) * 40_000_000
        )
        for n, t in enumerate(topics)
        for p in range(partitions)
    )  # fmt: skip
    brokers = tuple(
        Broker(
            b,
            f"rack-{'abc'[b - 1]}",
            f"kafka-{b}.example",
            9092,
            "fenced" if b == 2 else "up",
            () if b == 2 else (LogDir("/data", 100 * GIB, (50 + 20 * (b // 3)) * GIB),),
        )
        for b in (1, 2, 3)
    )
    snapshot = ClusterSnapshot("now", "c1", 1, brokers, parts, {}, Quorum(1, (Voter(1, 0), Voter(2, 900), Voter(3, 0))))

    def sample(at: float, moved: int) -> OffsetSample:
        ends = {t: np.full(partitions, 1000 - moved * (n % 50), np.int64) for n, t in enumerate(topics)}
        starts = {t: np.zeros(partitions, np.int64) for t in topics}
        committed = {"orders-api": {topics[0]: np.full(partitions, 960, np.int64)}}
        return OffsetSample(at, starts, ends, committed)

    groups = [
        group_lag("orders-api", lag=80, time_lag_s=2.0, because="the oldest of 40 unread records is 2.0 s old"),
        group_lag("clickstream", "stalled", lag=81_000, time_lag_s=5400.0, loses_data_in_s=7.5 * 3600, topic=topics[5 % len(topics)], because="no commit moved in 9 m, and the oldest of 81000 unread records is 1 h 30 m old"),
        group_lag("ledger", "slow", lag=500, time_lag_s=420.0, topic=topics[3 % len(topics)], because="the oldest of 500 unread records is 7 m old (allowed: 5 m), and it does not catch up"),
        group_lag("search-index", topic=topics[7 % len(topics)], time_lag_s=0.5),
    ]  # fmt: skip
    newest = {t: NOW - 3 * n for n, t in enumerate(topics)}
    window = [sample(NOW - 60, 1), sample(NOW, 0)]
    return replace(make(snapshot, window, groups, newest, cluster="orders-eu"), seconds=0.12)


class History:
    """Series that look like a day."""

    def _points(self, since: float, until: float) -> list[TopicPoint]:
        step = 60 if until - since < 90_000 else 3600
        return [
            TopicPoint(at, step, int(step * (900 + 500 * np.sin(at / 9000) + 40 * np.sin(at / 400))), step // 10)
            for at in range(int(since) // step * step, int(until), step)
        ]

    def arrivals(self, since: float, until: float, topics: Any = None) -> list[TopicPoint]:
        return self._points(since, until)

    def topic_series(self, topic: str, since: float, until: float) -> list[TopicPoint]:
        return self._points(since, until)

    def group_series(self, group: str, since: float, until: float) -> list[GroupPoint]:
        start = int(since) // 60 * 60
        return [
            GroupPoint(at, 60, 100, 900, max(0.0, (at - until + 5400)) + 2, "ok", 0)
            for at in range(start, int(until), 60)
        ]


class Site:
    """A source of Heimdall's pages."""

    settings = HeimdallSettings(owners=OWNERS)

    def __init__(self, now: Picture | type | None = type, problem: str = "") -> None:
        self.picture: Picture | None = picture() if now is type else cast(Any, now)
        self.problem = problem

    def history(self) -> ClusterStore:
        return cast(ClusterStore, History())

    def events(self, since: float) -> list[Event]:
        return drilled(NOW - 3 * 3600)

    def raised(self) -> list[AlertState]:
        labels = {"severity": "critical", "owner": "team-web", "group": "clickstream", "topic": "clicks.web"}
        text = "clickstream: retention begins to delete unread records in 7 h 30 m (81,000 are unread)"
        late = {"severity": "warning", "owner": "team-payments", "group": "ledger"}
        return [
            AlertState("late", "ledger", "raised", NOW - 400, "ledger: the oldest unread record is 7 m old (allowed: 5 m)", 420.0, late, NOW - 300),
            AlertState("expires", "clickstream", "raised", NOW - 1900, text, 27000.0, labels, NOW - 1800),
        ]  # fmt: skip

    def day(self, day: date, tz: ZoneInfo) -> Day:
        return made(tz=tz.key)
