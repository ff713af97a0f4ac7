"""A load carried out from a test or a proof, in its own processes, as the commands do it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from asgard.kafka.target import Target
from asgard.loki.load import run as runs
from asgard.loki.load import scratch
from asgard.loki.load.result import LoadResult
from asgard.loki.load.scenario import Scenario

During = Callable[[dict[str, Any], runs.Load], None]


def carry_out(target: Target, load: Scenario, during: During | None = None, *, workers: int = 1) -> LoadResult:
    """Run a scenario to its end; `during(event, load)` hears what happens."""
    with closing(target.connect()) as control:
        topics = scratch.plan(control, load, runs.new_run())
        with runs.begin(target, control, load, topics, site=runs.Senders(workers)) as running:
            for event in running.events():
                if during is not None:
                    during(event, running)
            return runs.finish(running, control)
