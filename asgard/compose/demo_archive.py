"""The demo's act in which a topic is emptied by mistake and restored from the archive: every record, each once."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from asgard.cluster.limits import Limits
from asgard.compose import archive, restore
from asgard.core import events
from asgard.core import events as news
from asgard.core.errors import Failed
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.thor.replay.model import Endpoint
from asgard.thor.replay.pace import Rate

TOPIC = "rides.booked"


@dataclass(frozen=True)
class Saved:
    """What was archived of all topics, what one of them lost, and what was restored. Times in seconds."""

    archived: int
    archived_bytes: int
    archive_s: float
    emptied: int
    restored: int
    restore_s: float


def act(target: Target, directory: Path) -> Saved | None:
    """Archive the rides, empty a topic, restore it; None, with a message, if the archive packages are not installed."""
    from asgard.kafka import data

    try:
        import fastavro
    except ImportError:
        news.warn("fastavro is not installed: the demo skips the archive. pip install 'asgard-kafka[archive]'")
        return None
    del fastavro
    news.step(f"archiving the rides to {directory}")
    began = time.monotonic()
    with events.silence():
        done = archive.archive(target, archive.ArchiveOrder(("rides.*",), str(directory)))
    archive_s = time.monotonic() - began
    news.step(f"emptying {TOPIC} by mistake, and bringing it back from the archive")
    with closing(target.connect()) as control:
        partitions = [(TOPIC, p.partition) for p in control.topics([TOPIC])[TOPIC].partitions]
        held = control.offsets(partitions)
        answers = data.delete_records(target.connection, {key: o.end for key, o in held.items()})
        if wrong := [error for error in answers.values() if error is not None]:
            raise Failed(f"{TOPIC} could not be emptied: {wrong[0].what}")
        restored, restore_s = _bring_back(target, directory, control)
    news.note(f"  {restored.records:,} records restored, each once, in {restore_s:.1f} s")
    emptied = sum(o.records for o in held.values())
    return Saved(done.records, done.bytes, archive_s, emptied, restored.records, restore_s)


def _bring_back(target: Target, directory: Path, control: ControlPlane) -> tuple[restore.Restored, float]:
    from asgard.journal.store.database import open_journal

    order = restore.RestoreOrder(str(directory), (TOPIC,))
    began = time.monotonic()
    with open_journal() as journal, events.silence():
        prepared = restore.prepare(control, order, journal, Limits(), time.time())
        done = restore.run(prepared, order, Endpoint(target.connection, control), journal, Rate())
    return done, time.monotonic() - began
