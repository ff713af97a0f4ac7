"""Recipe steps about records: archive topics, restore them, give a stuck group another coordinator."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from asgard.cluster.limits import Limits
from asgard.compose import archive, restore
from asgard.core import events as news
from asgard.core.errors import Failed, WrongUsage
from asgard.core.schema import recipe as schema
from asgard.core.units import format_duration, format_size
from asgard.kafka.target import Target
from asgard.thor.recipes.run import Attempt, Done
from asgard.thor.replay.model import Endpoint
from asgard.thor.replay.pace import Rate

if TYPE_CHECKING:
    from asgard.cluster.held import HeldCluster

_POLL_S = 1.0
BEFORE_S = 60.0
"""An alert's window is extended a little: it starts with the first missed record."""


@dataclass(frozen=True)
class Ends:
    """A window of time, in ms (UTC); None: no end."""

    from_ms: int | None = None
    until_ms: int | None = None


def run_archive(target: Target, attempt: Attempt, limits: Limits) -> Done:
    """Archive what is new."""
    given = attempt.step.given
    assert isinstance(given, schema.Archive)
    order = archive.ArchiveOrder(
        tuple(given.topics), given.to, given.endpoint_url, rate=Rate(given.rate or limits.rate_bytes_per_s)
    )
    done = archive.archive(target, order)
    if not done.records:
        return Done("nothing", f"nothing new for {given.to}")
    return Done("done", f"{done.records} records in {done.files} files, {format_size(done.bytes)}")


def run_restore(target: Target, attempt: Attempt, limits: Limits, confirm: str | None) -> Done:
    """Restore what is missing: the step's topics and window, else those of the alert that triggered it."""
    from asgard.journal.store.database import open_journal

    given = attempt.step.given
    assert isinstance(given, schema.Restore)
    alert = alert_of(attempt)
    topics = tuple(given.topics) or ((str(alert["topic"]),) if alert.get("topic") else ())
    if not topics:
        raise WrongUsage("no topic was named, and no alert that names one triggered this", "Give --set topics=orders.")
    ends = _ends(given.from_time, given.until_time, alert)
    order = restore.RestoreOrder(
        given.archive,
        topics,
        given.to,
        given.endpoint_url,
        ends.from_ms,
        ends.until_ms,
        (str(ends.from_ms), str(ends.until_ms)),
        create=given.create,
        groups=given.groups,
    )
    now = time.time()
    with open_journal() as journal, closing(target.connect()) as control:
        prepared = restore.prepare(control, order, journal, limits, now)
        if all(one.finished for one in prepared) and not given.groups:
            return Done("nothing", f"{', '.join(topics)}: the archive has nothing that is missing")
        for one in prepared:
            news.note(f"{one.plan.words}: {one.records} records at most")
        rate = Rate(given.rate or limits.rate_bytes_per_s)
        done = restore.run(prepared, order, Endpoint(target.connection, control), journal, rate, confirm)
    groups = f", {done.groups} group offsets set" if done.groups else ""
    if done.refused:
        group, why = next(iter(done.refused.items()))
        raise Failed(f"{done.records} records were restored, but offsets of {len(done.refused)} groups were not set: {group}: {why}")  # fmt: skip
    what = f"{done.records} records restored" if done.records else "nothing was missing"
    return Done("done", f"{', '.join(done.topics)}: {what}{groups}")


def alert_of(attempt: Attempt) -> Mapping[str, Any]:
    """The data of the event that triggered this run; empty if it was started by hand or by the clock."""
    from asgard.journal import events
    from asgard.thor.recipes import memory

    mine = events.read(attempt.memory.journal, events.EventFilter(kind=memory.STARTED, correlation=attempt.memory.run))
    ids = [int(e.data["event"]) for e in mine if e.data.get("event") is not None]
    if not ids:
        return {}
    found = events.read(attempt.memory.journal, events.EventFilter(after_id=ids[-1] - 1))
    event = next((e for e in found if e.id == ids[-1]), None)
    return {} if event is None else event.data


def _ends(begin: str | None, end: str | None, alert: Mapping[str, Any]) -> Ends:
    """The step's window, else the alert's (`from`, or the `window` it is about, and `until`: seconds since 1970, or ISO times)."""
    from_s = _moment(begin if begin is not None else alert.get("from", alert.get("window")))
    until_s = _moment(end if end is not None else alert.get("until"))
    early = BEFORE_S if begin is None and from_s is not None else 0.0
    return Ends(
        None if from_s is None else round((from_s - early) * 1000), None if until_s is None else round(until_s * 1000)
    )


def _moment(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise WrongUsage(f"{value!r} is not a time", "Write a date or time (UTC) as in 2026-11-24T09:00.") from error
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def move_coordinator(held: HeldCluster, attempt: Attempt) -> Done:
    """Give a group another coordinator, wait until the group works, and restore the former order."""
    from asgard.cluster import leaders
    from asgard.journal import operations
    from asgard.thor import coordinator

    given = attempt.step.given
    assert isinstance(given, schema.MoveCoordinator)
    control = held.control
    p = coordinator.find(control, given.group)
    undo = {**coordinator.undo_of(p), "cluster_id": held.cluster_id}
    after = coordinator.turned(p)
    operation = operations.begin(held.journal, coordinator.KIND, f"coordinator of {given.group}", undo, held.lease)
    leaders.order(control, {(coordinator.TOPIC, p.partition): after})
    news.note(f"{coordinator.TOPIC}-{p.partition} is led by broker {after[0]} in place of {p.leader}")
    try:
        told = _watch(held, attempt, given, after[0])
    finally:
        operations.finish(held.journal, operation, held.lease, coordinator.put_back(control, undo))
    return Done("done", f"{told}; the coordinator is back on its former broker")


def _watch(held: HeldCluster, attempt: Attempt, given: schema.MoveCoordinator, broker: int) -> str:
    from asgard.thor import coordinator

    began = time.monotonic()
    give_up = began + min(given.wait, attempt.left_s)
    while True:
        well, words = coordinator.health(held.control, given.group)
        if well and f"broker {broker}" in words:
            return f"{words} after {format_duration(time.monotonic() - began)}"
        if time.monotonic() > give_up:
            raise Failed(
                f"{words}, {format_duration(given.wait)} after its coordinator was moved",
                "Its members may be what is stuck: look at their logs.",
            )
        time.sleep(_POLL_S)
