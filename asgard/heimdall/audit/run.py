"""Reads the topics of an audit and counts them, from where the last run stopped to the ends, or on and on.

Progress and counts are committed together about every two seconds (`store`). Closed windows with losses or duplicates
become events `heimdall.record.lost` in the journal, at least once each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from asgard.core import events
from asgard.core.errors import WrongUsage
from asgard.heimdall.audit.columns import of_messages
from asgard.heimdall.audit.count import PartitionProgress
from asgard.heimdall.audit.judge import Row
from asgard.heimdall.audit.store import AuditStore
from asgard.kafka import data
from asgard.kafka.connection import Connection
from asgard.kafka.model import Offsets, Topic
from asgard.kafka.ports import ControlPlane

COMMIT_S = 2.0
LOOK_S = 1.0
BATCH = 10_000
READ_DEADLINE_S, SLOWEST_PER_S = 120.0, 1000.0
"""Reading is given up when it takes longer than this, plus a second for each so many records."""
_NAMED = 5
Where = tuple[str, int]


@dataclass(frozen=True)
class AuditRun:
    """What one run did. `skipped`: offsets that retention deleted before they were audited, over all runs."""

    records: int
    seconds: float
    skipped: int


def audit(
    store: AuditStore,
    connection: Connection,
    control: ControlPlane,
    *,
    follow: bool = False,
    tell: Callable[[Row], None] = lambda row: None,
    looked: Callable[[], None] = lambda: None,
) -> AuditRun:
    """Count everything up to the ends as they are now; with `follow`, without end. `tell` gets each closed window with trouble;
    `looked` is called when everything there is counted and told.

    Raises WrongUsage for a topic that does not exist, Busy if another auditor took the audit over, and what reading raises.
    """
    began, records, absent = time.monotonic(), 0, set[Where]()
    _tell(store, tell)
    while True:
        before = absent
        ends, absent = _ends(store, control)
        if absent - before:
            events.warn(f"{_names(absent)}: no leader answers, so windows with records that may be there stay open")
        for count in _read(store, connection, ends, absent):
            records += count
            events.progress("audit", f"{records:,} records", done=records, unit="records")
        store.commit(store.counts.due(_unread(store, ends) | absent))
        _tell(store, tell)
        looked()
        if not follow:
            break
        time.sleep(LOOK_S)
    skipped = sum(p.skipped for p in store.counts.progress.values())
    return AuditRun(records, time.monotonic() - began, skipped)


def _tell(store: AuditStore, tell: Callable[[Row], None]) -> None:
    if found := store.untold():
        for row in found:
            tell(row)
        store.told(found)


def _ends(store: AuditStore, control: ControlPlane) -> tuple[dict[Where, Offsets], set[Where]]:
    """What there is to read: from each partition's progress to its end; and the partitions without a leader.

    Notes what retention deleted before that.
    """
    wanted = list(store.counts.plan.topics)
    topics = control.topics(wanted)
    if missing := [name for name in wanted if name not in topics]:
        raise WrongUsage(f"there is no topic {', '.join(missing)} in this cluster", "An audit names topics that exist.")
    there = {(name, p.partition) for name, topic in topics.items() for p in topic.partitions}
    offsets = control.offsets(there)
    found = {}
    for where, span in offsets.items():
        progress = _progress(store, topics[where[0]], where, span)
        if progress.offset < span.start:
            progress.skipped += span.start - progress.offset
            progress.offset = span.start
            if store.counts.plan.topics[where[0]] == 0:
                progress.since_us = -1  # in a later tier, the earlier records tell what is missing
        found[where] = Offsets(progress.offset, max(span.end, progress.offset))
    return found, there - found.keys()


def _names(partitions: set[Where]) -> str:
    names = [f"{topic}-{number}" for topic, number in sorted(partitions)]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _progress(store: AuditStore, topic: Topic, where: Where, span: Offsets) -> PartitionProgress:
    known = store.counts.progress.get(where)
    if known is not None and known.topic_id == topic.id:
        if known.offset > span.end:
            events.warn(f"{where[0]}-{where[1]} ends before what was audited: records of it are gone from Kafka")
            known.offset = span.end
        return known
    if known is not None:
        events.warn(
            f"topic {where[0]} was created anew since the last run; partition {where[1]} is read from its start"
        )
    # This audit never saw offsets before the log's start: they are not skipped, but windows before it can't be judged.
    new = PartitionProgress(topic.id, span.start, since_us=-1 if span.start else 0)
    store.counts.progress[where] = new
    return new


def _read(store: AuditStore, connection: Connection, ends: dict[Where, Offsets], absent: set[Where]) -> Iterator[int]:
    counts = store.counts
    reached = {where: span.start for where, span in ends.items()}
    due = time.monotonic() + COMMIT_S
    deadline_s = READ_DEADLINE_S + sum(span.records for span in ends.values()) / SLOWEST_PER_S
    for messages in data.read_messages(connection, ends, deadline_s=deadline_s, batch=BATCH, reached=reached):
        for topic, columns in of_messages(messages).items():
            counts.add(topic, columns)
        yield len(messages)
        if time.monotonic() >= due:
            _move_on(store, reached)
            store.commit(counts.due(_unread(store, ends) | absent))
            due = time.monotonic() + COMMIT_S
    _move_on(store, reached)


def _move_on(store: AuditStore, reached: dict[Where, int]) -> None:
    for where, offset in reached.items():
        store.counts.progress[where].offset = offset


def _unread(store: AuditStore, ends: dict[Where, Offsets]) -> set[Where]:
    return {where for where, span in ends.items() if store.counts.progress[where].offset < span.end}
