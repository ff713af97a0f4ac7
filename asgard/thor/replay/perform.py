"""Runs a copy from any source: one run at a time, slowed down for healings, guarded by a quota, recorded in the journal.

It holds a separate lease, so that a second run of the same copy under the same journal waits; a run elsewhere is fenced by
the transactional id. It holds nothing that others need.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from asgard.core import units
from asgard.core.errors import AsgardError, Failed, Refused
from asgard.journal import leases
from asgard.journal.store.database import Database
from asgard.kafka.connection import Connection
from asgard.kafka.ports import ControlPlane
from asgard.thor.replay import care, history, quota
from asgard.thor.replay.checks import MAX_BYTES
from asgard.thor.replay.copy import Routing, copy
from asgard.thor.replay.exactly import BATCH_BYTES, ExactlyOnce
from asgard.thor.replay.model import Copied, RecordSource, Saved, TopicPartition
from asgard.thor.replay.pace import Rate
from asgard.thor.replay.slots import Slot

OFFSETS_RETENTION = "offsets.retention.minutes"
_DEFAULT_RETENTION_S, _MARGIN = 7 * 86400.0, 0.85


@dataclass(frozen=True)
class Participant:
    """A cluster that a copy uses, and which of its topics."""

    connection: Connection
    control: ControlPlane
    id: str
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A copy to run, at most at this rate. `name` is its transactional id, group and client id; `plan` is what the journal keeps of it.

    `last_at` is when an earlier run was last active; None if this is the first. `known` is progress kept in the journal; None
    if only Kafka keeps it.
    """

    kind: history.Kind
    id: str
    name: str
    doing: str
    plan: Mapping[str, Any]
    slot_of: Mapping[TopicPartition, Slot]
    rate: Rate
    last_at: float | None = None
    known: Mapping[TopicPartition, Saved] | None = None


def perform(
    job: Job,
    source: RecordSource,
    routing: Routing,
    target: Participant,
    journal: Database,
    *,
    others: Collection[Participant] = (),
) -> Copied:
    """Copy until the source is finished. Returns what happened. `others` are further clusters to watch and guard.

    Raises Busy if another run is active, Unreachable if a cluster stays down for minutes, and Failed if the target rejects a
    record; the same call continues from there.
    """
    clusters = {cluster.id: cluster for cluster in (*others, target)}

    def begun(saved: dict[TopicPartition, Saved]) -> None:
        idle_s = time.time() - (job.last_at or time.time())
        if forgotten(job, source.window, saved, idle_s, _kept_s(target.control) if job.last_at else 0.0):
            raise Refused(
                f"{job.id} was last heard of {units.format_duration(idle_s)} ago, and the target cluster has forgotten how far it was ({OFFSETS_RETENTION})",
                "The header asgard.replay of the last record in each target partition says which offset it had in the source: "
                "replay the rest with --from PARTITION:OFFSET,… Or empty the target, and add --again.",
            )
        routing.started(saved)

    with ExitStack() as stack:
        name = f"cluster/{target.id}/{job.kind}/{job.id}"
        lease = stack.enter_context(
            leases.hold(journal, name, priority=leases.Priority.CHANGE, doing=f"{job.doing} ({job.id})")
        )
        if job.last_at is None:
            history.note(journal, job.kind, "started", job.id, dict(job.plan))
        for cluster in clusters.values():
            stack.enter_context(quota.guard(cluster.control, lease, job.name, job.rate.bytes_per_s))
        looks = [care.look_at(c.control, c.topics, journal) for c in clusters.values()]
        watch = stack.enter_context(care.Watch(job.rate, looks))
        writer = stack.enter_context(
            ExactlyOnce(
                target.connection,
                name=job.name,
                slot_of=job.slot_of,
                leaders=lambda: target.control.leader_epochs(target.topics),
                batch_bytes=_batch_bytes(target),
            )
        )
        try:
            done = copy(source, replace(routing, started=begun), writer, watch, known=job.known, what=job.kind)
        except AsgardError as error:
            history.note(journal, job.kind, "stopped", job.id, {"why": error.what, **routing.facts()})
            raise
        done.slowed = watch.slowed
        told = {
            "sent": done.total_sent,
            "bytes": done.sent_bytes,
            "left": [[why, count] for why, count in sorted(done.left.items())],
            "seconds": round(done.seconds, 3),
            "slowed": watch.slowed,
            **routing.facts(),
        }
        history.note(journal, job.kind, "finished", job.id, told)
        return done


def forgotten(
    job: Job,
    window: Mapping[TopicPartition, tuple[int, int]],
    saved: Mapping[TopicPartition, Saved],
    idle_s: float,
    kept_s: float,
) -> bool:
    """Whether Kafka may have expired the progress of an earlier run: starting over would duplicate records. Pure.

    Kafka expires an offset of a group without members if it was not committed for `offsets.retention.minutes` (`kept_s`). A copy
    commits the progress of all partitions with its first transaction and then every hour, so if only some are missing, they
    expired. If all are missing, either nothing was ever committed or everything expired, and only the time can tell.
    """
    if job.last_at is None or all(key in saved for key in window):
        return False
    return job.known is None if saved else idle_s > kept_s * _MARGIN


def _kept_s(control: ControlPlane) -> float:
    """How long the cluster keeps offsets of a group without members; Kafka's default if reading the setting is not allowed."""
    try:
        return float(control.effective_broker_configs([OFFSETS_RETENTION])[OFFSETS_RETENTION]) * 60
    except (Failed, KeyError, ValueError):
        return _DEFAULT_RETENTION_S


def _batch_bytes(target: Participant) -> int:
    """The smallest `max.message.bytes` of the topics: no batch of several records may be larger."""
    try:
        configs = target.control.effective_topic_configs(target.topics, [MAX_BYTES])
    except Failed:
        return BATCH_BYTES
    return min((int(c[MAX_BYTES]) for c in configs.values() if MAX_BYTES in c), default=BATCH_BYTES)
