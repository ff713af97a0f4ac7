"""`asgard heimdall collect`: cluster, topics and groups into the store, once (cron) or repeatedly."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Which, command
from asgard.cli.heimdall import app
from asgard.cli.moments import Every, every_seconds
from asgard.core import console
from asgard.core.errors import Unreachable

if TYPE_CHECKING:
    from asgard.heimdall.collect import Collected
    from asgard.heimdall.lag.model import OffsetSample

Thresholds = Annotated[
    Path | None, typer.Option("--thresholds", metavar="FILE", help="A file with `lag:`; default: heimdall.yaml.")
]
EVERY = "10s"
"""Of the store: it keeps a sample for each such interval."""


@command(app, name="collect", example="asgard heimdall collect --once --context orders")
def collect(
    which: Which = Which(),
    once: Annotated[bool, typer.Option("--once", help="Run one round, for cron; default: run until Ctrl-C.")] = False,
    every: Every = EVERY,
    thresholds: Thresholds = None,
) -> None:
    """Collect the cluster's state, the offsets of topics and the lag of groups into the store (ASGARD_STORE, else heimdall.db).

    Hours that passed without a collector are counted from Kafka's time index. Changes nothing in the cluster.
    """
    from asgard.heimdall import collect as collecting
    from asgard.heimdall.lag import rules
    from asgard.heimdall.store import writer
    from asgard.heimdall.store.tables import open_store

    every_s = every_seconds(every, EVERY)
    given = rules.load(thresholds)
    chosen = which.pick()
    with closing(chosen.connect()) as control, open_store() as database:
        window: list[OffsetSample] | None = None
        while True:
            began = time.monotonic()
            try:
                done = collecting.once(control, database, thresholds=given, window=window)
                window = list(done.window)
                writer.prune(database)
                _show(done, once)
            except Unreachable as error:
                if once:
                    raise
                console.warn(error.what)
            if once:
                return
            time.sleep(max(every_s - (time.monotonic() - began), 0.1))


def _show(done: Collected, once: bool) -> None:
    for what, why in done.problems.items():
        console.warn(f"{what}: {why}")
    behind = [g.name for g in done.groups if g.status not in ("ok", "unknown")]
    document = {
        "at": done.at,
        "new": done.new,
        "topics": done.topics,
        "partitions": done.partitions,
        "groups": len(done.groups),
        "behind": behind,
        "hours_counted": done.hours,
        "seconds": done.seconds,
        "requests_by_broker": done.requests,
    }
    words = f"{done.topics} topics, {done.partitions} partitions, {len(done.groups)} groups in {done.seconds:g} s"
    words += f"; {len(behind)} groups behind" + (f"; {done.hours} hours counted" if done.hours else "")
    if not done.new:
        words += "; another collector had taken this sample"
    if once:
        console.emit(document, text=words)
    else:
        console.emit_line(document, words)
