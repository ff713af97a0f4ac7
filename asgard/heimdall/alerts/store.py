"""The states of alerts in the database: an evaluation and its notifications are one transaction, so nothing is sent twice.

Two evaluators of one cluster (a server, and cron) do not duplicate an alert: each continues from the states the other left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from asgard.core.database import Database
from asgard.core.schema.alerts import RuleKind
from asgard.heimdall.alerts import messages, tables
from asgard.heimdall.alerts.evaluate import evaluate, receivers_of
from asgard.heimdall.alerts.model import (
    AlertState,
    Evaluation,
    Seen,
    Transition,
    Volume,
    in_force,
)
from asgard.heimdall.settings import HeimdallSettings
from asgard.kafka.model import Broker

JOURNAL = "journal"
"""The receiver that every alert goes to: Thor's recipes are triggered by it."""
SLOT_S = 600
KEEP_VOLUMES_S = 14 * 86400
KEEP_SENT_S = 30 * 86400
_s, _n, _v = tables.states.c, tables.notifications.c, tables.volumes.c


def check(
    database: Database,
    settings: HeimdallSettings,
    seen: Seen,
    *,
    only: RuleKind | None = None,
) -> Evaluation:
    """Evaluate the file's rules, store the new states, and put what changed into the outbox.

    `only`: the rules of this kind; alerts of others stay as they are.
    """
    with database.write() as connection:
        _lock(connection)
        former = {s.key: s for s in states(connection, seen.cluster_id) if only is None or s.labels.get("kind") == only}
        rules = [rule for rule in in_force(settings.rules) if only is None or rule.kind == only]
        done = evaluate(rules, seen, former, settings.owners, seen.at)
        _write(connection, seen.cluster_id, former, done.states)
        kinds = {r.name: r for r in settings.receivers}
        waiting: dict[str, list[Transition]] = {}
        for change in done.transitions:
            for name in (JOURNAL, *receivers_of(change, settings.subscriptions)):
                waiting.setdefault(name, []).append(change)
        for name, changes in waiting.items():
            kind = kinds[name].kind if name in kinds else JOURNAL
            for body in messages.bodies(kind, changes, seen):
                _put(connection, seen.cluster_id, name, body, seen.at)
    return done


def states(connection: Connection, cluster_id: str) -> list[AlertState]:
    """The alerts of a cluster that are about to be raised, or are; the oldest first."""
    query = sa.select(tables.states).where(_s.cluster_id == cluster_id).order_by(_s.since)
    return [
        AlertState(
            r.rule,
            r.subject,
            r.phase,
            r.since,
            r.text,
            r.value,
            json.loads(r.labels),
            r.raised_at,
            r.well_since,
            json.loads(r.extent),
        )
        for r in connection.execute(query)
    ]


def raised(database: Database, cluster_id: str) -> list[AlertState]:
    """The alerts that are raised."""
    with database.read() as connection:
        return [s for s in states(connection, cluster_id) if s.phase == "raised"]


def notifications(database: Database, cluster_id: str, last: int = 100) -> list[Any]:
    """What was sent and what is to be sent, the newest first: receiver, state, attempts, error, created_at, body."""
    query = sa.select(tables.notifications).where(_n.cluster_id == cluster_id).order_by(_n.id.desc()).limit(last)
    with database.read() as connection:
        return list(connection.execute(query).all())


def disks(database: Database, cluster_id: str, brokers: Iterable[Broker], now: float) -> dict[str, list[Volume]]:
    """Record how full the volumes are, and return each one's samples, oldest first."""
    found = {
        f"broker {b.id} {d.path}": (d.used_bytes, d.capacity_bytes)
        for b in brokers for d in b.log_dirs
        if d.used_bytes is not None and d.capacity_bytes
    }  # fmt: skip
    slot = int(now // SLOT_S) * SLOT_S
    with database.write() as connection:
        here = (_v.cluster_id == cluster_id,)
        there = set(connection.execute(sa.select(_v.disk).where(*here, _v.slot == slot)).scalars())
        rows = [
            {"cluster_id": cluster_id, "disk": disk, "slot": slot, "used_bytes": used, "capacity_bytes": capacity}
            for disk, (used, capacity) in found.items() if disk not in there
        ]  # fmt: skip
        if rows:
            connection.execute(sa.insert(tables.volumes), rows)
            connection.execute(sa.delete(tables.volumes).where(*here, _v.slot < slot - KEEP_VOLUMES_S))
        query = sa.select(tables.volumes).where(*here).order_by(_v.slot)
        samples: dict[str, list[Volume]] = {disk: [] for disk in found}
        for row in connection.execute(query):
            if row.disk in samples and row.slot < slot:
                samples[row.disk].append(Volume(float(row.slot), row.used_bytes, row.capacity_bytes))
    for disk, (used, capacity) in found.items():
        samples[disk].append(Volume(now, used, capacity))
    return samples


def prune(database: Database, now: float) -> None:
    """Delete notifications that were sent, or given up, long ago."""
    with database.write() as connection:
        old = sa.delete(tables.notifications).where(_n.state != "waiting", _n.created_at < now - KEEP_SENT_S)
        connection.execute(old)


def _lock(connection: Connection) -> None:
    """One evaluation at a time (SQLite has one writer anyway)."""
    query = sa.select(tables.meta.c.value).where(tables.meta.c.name == "schema").with_for_update()
    connection.execute(query)


def _write(
    connection: Connection,
    cluster_id: str,
    former: Mapping[tuple[str, str], AlertState],
    now: Mapping[tuple[str, str], AlertState],
) -> None:
    changed = [s for key, s in now.items() if former.get(key) != s]
    gone = [key for key in former if key not in now]
    for rule, subject in [*gone, *(s.key for s in changed if s.key in former)]:
        key = (_s.cluster_id == cluster_id, _s.rule == rule, _s.subject == subject)
        connection.execute(sa.delete(tables.states).where(*key))
    rows = [
        {"cluster_id": cluster_id, "rule": s.rule, "subject": s.subject, "phase": s.phase, "since": s.since,
         "text": s.text, "value": s.value, "labels": json.dumps(dict(s.labels)), "raised_at": s.raised_at,
         "well_since": s.well_since, "extent": json.dumps(dict(s.extent))}
        for s in changed
    ]  # fmt: skip
    if rows:
        connection.execute(sa.insert(tables.states), rows)


def _put(connection: Connection, cluster_id: str, receiver: str, body: messages.Body, now: float) -> None:
    key = f"{cluster_id}:{receiver}:{body.key}"[:1024]
    if connection.execute(sa.select(_n.id).where(_n.key == key)).first() is None:
        connection.execute(
            sa.insert(tables.notifications).values(
                cluster_id=cluster_id, key=key, receiver=receiver, body=json.dumps(body.content, ensure_ascii=False),
                state="waiting", attempts=0, next_at=now, error=None, created_at=now,
            )
        )  # fmt: skip
