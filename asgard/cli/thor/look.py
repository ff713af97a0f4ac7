"""`asgard thor snapshot` and `status`: the state of a cluster, for planners and for people."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Which, command
from asgard.cli.thor import app
from asgard.cli.thor.common import (
    CALL_DEADLINE_S,
    LimitsPath,
    SnapshotPath,
    Window,
    limits_of,
    say_silent,
    snapshot_of,
    window_seconds,
)
from asgard.core import console
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from asgard.cluster.activity import Activity
    from asgard.kafka.model import ClusterSnapshot


@command(app, example="asgard thor snapshot --out cluster.json.gz --window 10s")
def snapshot(
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="Write it to this file; gzipped if the name ends in .gz.")
    ],
    which: Which = Which(),
    window: Window = None,
) -> None:
    """Write a snapshot of a cluster, for planning, tests and bug reports. It contains no records and no secrets."""
    from asgard.cluster import snapshot_file

    with snapshot_file.without_collector():
        taken = snapshot_of(None, which, window)
        say_silent(taken)
        snapshot_file.write(taken, out)
    document = {
        "file": out,
        "cluster_id": taken.cluster_id,
        "taken_at": taken.taken_at,
        "brokers": len(taken.brokers),
        "partitions": len(taken.partitions),
        "silent": taken.silent,
    }
    console.emit(document, text=f"{len(taken.brokers)} brokers and {len(taken.partitions)} partitions are in {out}")


@command(app, example="asgard thor status\nasgard thor status --window 10s --limits thor.yaml --json")
def status(
    which: Which = Which(),
    snapshot: SnapshotPath = None,
    window: Window = None,
    limits: LimitsPath = None,
) -> int:
    """Show a cluster's health: brokers against limits, what is wrong and what to do first, and work in progress.

    Exits with 0 if nothing is wrong, 1 if something is, 3 if no broker answers. Changes nothing.
    """
    from asgard.cli.thor import status_words
    from asgard.cluster import snapshot_file
    from asgard.thor.status import judge

    given = limits_of(limits)
    with snapshot_file.without_collector():
        if snapshot is not None:
            found, activity = snapshot_of(snapshot, which, window), None
        else:
            found, activity = _look(which, window)
        judged = judge(found, given, activity)
    console.emit(judged, *status_words.tables(judged), text=status_words.text(judged))
    return int(ExitCode.OK if judged.healthy else ExitCode.FAILED)


def _look(which: Which, window: str | None) -> tuple[ClusterSnapshot, Activity]:
    """A snapshot of the cluster, and changes in progress."""
    from asgard.cluster import activity, look
    from asgard.journal.store.database import open_journal

    seconds = window_seconds(window)
    with closing(which.pick().connect(deadline_s=CALL_DEADLINE_S)) as control:
        found = look.take(control, window_s=seconds)
        asked = [b.id for b in found.brokers if b.state == "up" and b.id not in found.silent]
        with open_journal() as journal:
            return found, activity.look(control, journal, found.cluster_id, asked, list(found.topics))
