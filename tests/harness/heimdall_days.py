"""A made-up day of a cluster for the report and the served pages: topics that are well and not, groups that lag, a drill, an incident."""

from __future__ import annotations

import random
from collections.abc import Collection
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from asgard.heimdall import incidents
from asgard.heimdall.lag.model import GroupLag, Measure, PartitionLag, Status
from asgard.heimdall.owners import Owners, Ownership
from asgard.heimdall.report.day import Day, group_days, topic_days
from asgard.heimdall.store.read import ClusterPoint, GroupPoint
from asgard.heimdall.volume import compare
from asgard.heimdall.volume.model import Compared, Count
from asgard.heimdall.volume.windows import midnight, of_day
from asgard.journal.events import Event

OWNERS = Owners(
    (
        Ownership("team-orders", ("orders.*",), ("orders-*",)),
        Ownership("team-payments", ("payments.*",), ("payments-*", "ledger")),
        Ownership("team-web", ("clicks*", "search.*"), ("clickstream", "search-*")),
    )
)
TOPICS = (
    "orders.created", "orders.shipped", "orders.returned", "payments.settled", "payments.refunds", "clicks.web", "clicks.app",
    "search.queries", "inventory.levels",
)  # fmt: skip


def group_lag(
    name: str, status: Status = "ok", *, lag: int | None = 0, time_lag_s: float | None = None, loses_data_in_s: float | None = None,
    topic: str = "orders.created", expired: int = 0, because: str = "nothing is unread", unmeasured: Collection[Measure] = (),
) -> GroupLag:  # fmt: skip
    """A group with one partition."""
    worst = PartitionLag(
        topic, 0, status, because, 10, 10 + (lag or 0), lag or 0, expired, time_lag_s, 0.0, None, loses_data_in_s
    )
    return GroupLag(
        name, "consumer", "Stable" if status != "stopped" else "Empty", status, because, 1, 0, lag, expired, time_lag_s, None, 1.5,
        None, status == "ok", loses_data_in_s, (topic,), f"{topic}-0", (), (worst,), frozenset(unmeasured),
    )  # fmt: skip


def event(number: int, at: float, kind: str, subject: str, correlation: str | None = None, **data: object) -> Event:
    """An event of the journal."""
    return Event(number, at, kind.partition(".")[0], kind, subject, "test", correlation, {"cluster_id": "c1", **data})


def drilled(at: float) -> list[Event]:
    """A drill in which a broker was killed and healed, and an alert that it raised."""
    return [
        event(1, at, "loki.drill.started", "orders", "d1", scenario="broker-loss"),
        event(2, at + 60, "loki.fault.injected", "broker 2", "d1", text="broker 2 killed"),
        event(3, at + 70, "thor.broker.missed", "orders/2", "i1", broker=2, state="fenced"),
        event(4, at + 80, "heimdall.alert.raised", "cluster", "a1", rule="replicas", text="12 partitions are under-replicated"),
        event(5, at + 90, "thor.heal.started", "orders", "i1", action="restart broker 2", cause="it is gone"),
        event(6, at + 400, "thor.heal.finished", "orders", "i1", outcome="broker 2 is back, every replica is in sync"),
        event(7, at + 401, "thor.broker.returned", "orders/2", "i1", broker=2),
        event(8, at + 410, "heimdall.alert.cleared", "cluster", "a1", rule="replicas"),
        event(9, at + 420, "loki.fault.ended", "broker 2", "d1"),
        event(10, at + 500, "loki.drill.finished", "orders", "d1", passed=True),
    ]  # fmt: skip


def hours(topic: str, day: date, tz: ZoneInfo, seed: int, *, made_at: float, gap: range = range(0)) -> list[Compared]:
    """A topic's hours; those in `gap` are empty."""
    chance = random.Random(f"{topic}{seed}")
    base = chance.randrange(2_000, 90_000)
    out = []
    for n, window in enumerate(of_day(day, tz)):
        shape = [0.2, 0.15, 0.1, 0.1, 0.15, 0.3, 0.6, 0.9, 1.1, 1.2, 1.2, 1.25, 1.3, 1.2, 1.2, 1.15, 1.1, 1.2, 1.3, 1.4, 1.2, 0.9, 0.6, 0.4][n % 24]  # fmt: skip
        earlier = [int(base * shape * chance.uniform(0.92, 1.08)) for _ in range(4)]
        records = 0 if n in gap else int(base * shape * chance.uniform(0.94, 1.06))
        count = Count(topic, window, records if window.start < made_at else 0, records * 430, ("transactional",) if topic == "payments.settled" else ())  # fmt: skip
        out.append(compare.compare(count, earlier, made_at, made_at))
    return out


def made(cluster: str = "orders-eu", tz: str = "Europe/Berlin", *, topics: tuple[str, ...] = TOPICS) -> Day:
    """The day."""
    zone, day = ZoneInfo(tz), date(2026, 11, 26)
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    made_at = end + 6 * 3600
    compared = [
        one
        for n, topic in enumerate(topics)
        for one in hours(topic, day, zone, n, made_at=made_at, gap={"payments.refunds": range(9, 13), "search.queries": range(15, 16)}.get(topic, range(0)))
    ]  # fmt: skip
    ages: dict[str, tuple[Status, float]] = {
        "ledger": ("slow", 1900.0), "orders-api": ("ok", 4.0), "clickstream": ("stalled", 5400.0), "search-index": ("ok", 30.0),
        "payments-fraud": ("ok", 2.0),
    }  # fmt: skip
    series = {
        name: [
            GroupPoint(int(begin) + 3600 * h, 3600, 100, 900, round(age * (1 if 12 < h < 16 else 0.05) + 1, 1), status if 12 < h < 16 else "ok", 0)
            for h in range(24)
        ]
        for name, (status, age) in ages.items()
    }  # fmt: skip
    now = {name: group_lag(name, time_lag_s=1.0) for name in ages}
    now["clickstream"] = group_lag("clickstream", "stalled", lag=81_000, time_lag_s=5400.0, loses_data_in_s=7.5 * 3600, topic="clicks.web")  # fmt: skip
    points = tuple(ClusterPoint(int(begin) + 3600 * h, 3600, 3, 12 if h == 14 else 0, 0) for h in range(24))
    return Day(
        cluster, day, zone, begin, end, made_at, topic_days(compared, OWNERS), group_days(series, now, OWNERS),
        tuple(incidents.happenings(drilled(begin + 14 * 3600 + 600), "c1", begin, end)), points, ((int(begin) + 7200, int(begin) + 7800),),
    )  # fmt: skip
