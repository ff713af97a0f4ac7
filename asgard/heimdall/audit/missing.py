"""What topics lack according to audits: records of closed windows that a tier had and the next one does not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgard.heimdall.audit.plan import LATENESS_S, AuditPlan, Tier

if TYPE_CHECKING:
    from asgard.core.database import Database

RECENT_S = 86400.0
"""Only closed windows of the last audited day count."""


@dataclass(frozen=True)
class MissingRecords:
    """Records that a topic should have but does not, and the windows they belong to (seconds since 1970)."""

    audit: str
    topic: str
    from_s: float
    until_s: float
    lost: int


def missing(plan: AuditPlan, lost: Iterable[tuple[int, int, int]]) -> list[MissingRecords]:
    """By topic, from closed windows: number of the tier, start, and how many records of it did not reach the next tier.

    If the next tier has several topics, each may lack them. Records of a window may be as late as the plan allows.
    """
    found: dict[str, MissingRecords] = {}
    for tier, start_s, count in lost:
        for topic in plan.tiers[tier + 1].topics:
            until_s = start_s + plan.window_s + plan.lateness_s
            known = found.get(topic, MissingRecords(plan.name, topic, start_s, until_s, 0))
            begin, end = min(known.from_s, start_s), max(known.until_s, until_s)
            found[topic] = MissingRecords(plan.name, topic, begin, end, known.lost + count)
    return list(found.values())


def opened() -> Database | None:
    """The database of audits; None if there never was an audit."""
    import os

    from asgard.core import paths
    from asgard.core.database import open_database
    from asgard.heimdall.audit import tables

    if not os.environ.get(tables.SCHEMA.variable) and not (paths.home() / tables.SCHEMA.file).exists():
        return None
    return open_database(tables.SCHEMA)


def of_cluster(database: Database, cluster_id: str) -> list[MissingRecords]:
    """What a cluster's audits found missing; reads their tables without taking over any audit."""
    import json

    import sqlalchemy as sa

    from asgard.heimdall.audit import tables

    a, w = tables.audits.c, tables.windows.c
    query = sa.select(a.id, a.name, a.plan, a.closed_until_s).where(a.cluster_id == cluster_id)
    with database.read() as connection:
        out: list[MissingRecords] = []
        for audit in connection.execute(query).all():
            saved = json.loads(audit.plan)
            tiers = tuple(Tier(tier["name"], tuple(tier["topics"])) for tier in saved["tiers"])
            plan = AuditPlan(audit.name, tiers, saved["window_s"], saved["lateness_s"] or LATENESS_S)
            here = (w.audit == audit.id, w.state == "closed", w.lost > 0, w.start_s >= audit.closed_until_s - RECENT_S)
            rows = connection.execute(sa.select(w.tier, w.start_s, w.lost).where(*here).order_by(w.start_s))
            out += missing(plan, [(r.tier, r.start_s, r.lost) for r in rows])
    return out
