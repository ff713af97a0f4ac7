"""What rules are judged by, put together from the picture, the store, the audits and the journal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from asgard.heimdall.alerts import store as alert_store
from asgard.heimdall.alerts.model import AlertRule, Seen, in_force
from asgard.heimdall.audit.missing import MissingRecords
from asgard.heimdall.canary.record import FAILED
from asgard.heimdall.picture import Picture
from asgard.heimdall.store.read import ClusterStore, HourCount
from asgard.heimdall.store.tables import HOUR
from asgard.heimdall.volume import compare, counts
from asgard.heimdall.volume.model import Compared, Count
from asgard.heimdall.volume.windows import TimeWindow

if TYPE_CHECKING:
    from asgard.core.database import Database
    from asgard.journal.events import Event

WEEK_S = 7 * 86400
RECENT_H = 3
"""Volume is judged by this many hours: those counted last."""
RECENT_S = 86400.0
"""Older events of drills say nothing about now."""
_DRILLS = {"loki.drill.started": "loki.drill.finished", "loki.experiment.started": "loki.experiment.ended",
           "loki.fault.injected": "loki.fault.ended"}  # fmt: skip


def seen(
    picture: Picture,
    rules: Sequence[AlertRule],
    *,
    store: ClusterStore,
    alerts: Database,
    events: Callable[[float], Sequence[Event]],
    audit: Callable[[], Iterable[MissingRecords]],
    canary: Callable[[], Iterable[Event]],
) -> Seen:
    """Everything that these rules need; nothing else is read.

    `events` gives the journal's since a time, `canary` the canary's last one of each broker.
    """
    kinds = {rule.kind for rule in in_force(rules)}
    now = picture.at
    happened = events(now - RECENT_S)
    return Seen(
        at=now,
        cluster_id=picture.cluster_id,
        cluster=picture.cluster,
        groups=tuple(picture.groups.values()),
        unknown_groups=any(name.startswith("broker ") for name in picture.problems),
        under_replicated=picture.under_replicated,
        offline=picture.offline,
        disks=alert_store.disks(alerts, picture.cluster_id, picture.snapshot.brokers, now) if "disk-full" in kinds else None,
        volume=tuple(recent(store, now, newest={n: t.newest for n, t in picture.topics.items()})) if "volume-missing" in kinds else None,
        losses=tuple(audit()) if "audit-loss" in kinds else None,
        canary=unserved(canary(), {broker.id for broker in picture.snapshot.brokers}) if "canary" in kinds else None,
        drill=drill(happened, picture.cluster_id),
    )  # fmt: skip


def recent(store: ClusterStore, now: float, newest: dict[str, float | None]) -> list[Compared]:
    """The last counted hours of each topic beside the same hours of the weeks before, from the store alone."""
    last = int(now // HOUR) * HOUR
    found: dict[tuple[str, int], HourCount] = {}
    for week in range(compare.WEEKS + 1):
        until = last - week * WEEK_S
        for hour in store.hours(until - (RECENT_H + 1) * HOUR, until):
            found[hour.topic, hour.start] = hour
    starts = sorted({start for _, start in found if start >= last - (RECENT_H + 1) * HOUR})[-RECENT_H:]
    out = []
    for topic in sorted({topic for topic, _ in found}):
        for start in starts:
            earlier = [
                old.records
                for week in range(1, compare.WEEKS + 1)
                if (old := found.get((topic, start - week * WEEK_S))) is not None
                and old.records is not None and not counts.incomparable(old.approximate)
            ]  # fmt: skip
            here = found.get((topic, start))
            window = TimeWindow(float(start), float(start + HOUR), _label(start))
            count = (
                Count(topic, window, here.records, here.bytes, here.approximate)
                if here
                else Count(topic, window, None, None)
            )
            out.append(compare.compare(count, earlier, newest.get(topic), now))
    return out


def _label(start: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%MZ")


def unserved(events: Iterable[Event], brokers: Collection[int]) -> dict[str, str]:
    """Broker to why clients can't use it; empty if they can. From the canary's last event of each; brokers that left the cluster are left out."""
    return {
        event.subject: str(event.data["because"]) if event.kind == FAILED else ""
        for event in events
        if event.data["broker"] in brokers
    }


def drill(events: Iterable[Event], cluster_id: str) -> str | None:
    """What breaks the cluster on purpose and has not ended."""
    running: dict[tuple[str, str, str | None], str] = {}
    ends = {end: start for start, end in _DRILLS.items()}
    for event in events:
        if event.data.get("cluster_id", cluster_id) != cluster_id:
            continue
        if event.kind in _DRILLS:
            running[event.kind, event.subject, event.correlation] = str(event.data.get("text") or event.subject)
        elif event.kind in ends:
            running.pop((ends[event.kind], event.subject, event.correlation), None)
    return next(iter(running.values()), None)
