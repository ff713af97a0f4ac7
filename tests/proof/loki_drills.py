"""Thirty disaster drills over all scenarios with different seeds, and some that are made to lose records: is the verdict true?

Four brokers in three racks with Kafka's own times (a silent broker is fenced after 9 s); RF 3, min ISR 2, acks=all. What a verdict says of
lost and duplicated records is compared with a count by other means: what producers were told against what a plain consumer finds
(`tests.harness.counted`), while the topic is still there.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from asgard.compose import drill as drills
from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.kafka import target
from asgard.loki.drill.result import Drill
from asgard.loki.drill.statistics import share
from asgard.loki.load import run as runs
from tests.harness import RealCluster
from tests.harness.counted import Count, count

SCENARIOS = {
    "broker-dies": 6,
    "broker-hangs": 6,
    "controller-dies": 6,
    "rack-lost": 5,
    "rolling-restart": 4,
    "everything": 3,
}
LOSING = ("acks1-unclean", 3)
FIRST_SEED = 101
KNOWN = {"once"}
"""What is told and does not fail the proof: a record that librdkafka wrote twice when leaders changed (its issue 4953)."""


def prove() -> tuple[dict[str, object], list[str]]:
    """All drills: the figures and what went wrong."""
    orders = [
        drills.DrillOrder(name, FIRST_SEED + number) for name, many in SCENARIOS.items() for number in range(many)
    ]
    orders += [drills.DrillOrder(LOSING[0], FIRST_SEED + number) for number in range(LOSING[1])]
    done: list[Drill] = []
    counted: list[Count] = []
    finish = runs.finish

    def count_first(load: runs.Load, *args: Any, **kwargs: Any) -> Any:
        counted.append(count(load))
        return finish(load, *args, **kwargs)

    before = os.environ.get("ASGARD_HOME")
    with tempfile.TemporaryDirectory(prefix="asgard-drills-") as folder:
        os.environ["ASGARD_HOME"] = folder
        try:
            with RealCluster(Path(folder), brokers=4, racks=3, quick_detection=False) as cluster:
                place = (cluster.bootstrap_servers, str(cluster.client_properties), cluster.cluster_id)
                contexts.put(Context("drilled", *place, stack="harness"))
                picked = target.of_context(contexts.load().pick("drilled"))
                with mock.patch.object(runs, "finish", count_first):
                    for order in orders:
                        done += drills.run(picked, order)
                        print(f"{order.scenario} {order.seed}: {done[-1].verdict}", file=sys.stderr, flush=True)
        finally:
            os.environ.pop("ASGARD_HOME") if before is None else os.environ.update(ASGARD_HOME=before)
    return figures(done, counted), wrong(done, counted)


def wrong(done: list[Drill], counted: list[Count]) -> list[str]:
    """What is not as it should be, in sentences."""
    found = []
    for run, by_hand in zip(done, counted, strict=True):
        name = f"{run.scenario} with seed {run.seed}"
        if (run.acknowledged, run.lost, run.duplicates) != (by_hand.acknowledged, by_hand.lost, by_hand.duplicates):
            found.append(
                f"{name}: the drill says {run.acknowledged} acknowledged, {run.lost} lost, {run.duplicates} twice; by hand {by_hand}"
            )
        broken = {promise.name for promise in run.promises if not promise.kept} - KNOWN
        if not run.loses and broken:
            found.append(f"{name}: {run.verdict}")
        if run.loses and run.passed:
            found.append(f"{name} passed: {run.verdict}")
    if not any(by_hand.lost for run, by_hand in zip(done, counted, strict=True) if run.loses):
        found.append("no drill truly lost a record: these drills can't fail")
    return found


def figures(done: list[Drill], counted: list[Count]) -> dict[str, object]:
    """Times in seconds."""
    safe = [run for run in done if not run.loses]
    losing = [(run, by_hand) for run, by_hand in zip(done, counted, strict=True) if run.loses]
    faults = [fault for run in safe for fault in run.faults]
    agreed = sum(
        (run.lost, run.duplicates) == (by_hand.lost, by_hand.duplicates)
        for run, by_hand in zip(done, counted, strict=True)
    )
    held = share(sum(run.lost == 0 for run in safe), len(safe))
    return {
        "drills": len(safe),
        "scenarios": dict(Counter(run.scenario for run in safe)),
        "passed": sum(run.passed for run in safe),
        "acknowledged_records": sum(run.acknowledged for run in safe),
        "acknowledged_records_lost": sum(run.lost for run in safe),
        "nothing_lost": str(held),
        "records_twice": sum(run.duplicates for run in safe),
        "drills_that_told_of_a_record_twice": sum(run.duplicates > 0 for run in safe),
        "verdicts_as_counted_by_hand": f"{agreed} of {len(done)}",
        "drills_made_to_lose": len(losing),
        "lost_in_them": [
            {"drill": run.lost, "by_hand": by_hand.lost, "acknowledged": run.acknowledged} for run, by_hand in losing
        ],
        "fault_to_noticed_s": spread([f.noticed_s for f in faults if f.heals and f.noticed_s is not None]),
        "fault_to_whole_s": spread([f.healed_s for f in faults if f.heals and f.healed_s is not None]),
        "producers_waited_s": spread([f.producers_waited_s for f in faults]),
        "consumers_waited_s": spread([f.consumers_waited_s for f in faults]),
        "each": [
            {
                "scenario": run.scenario,
                "seed": run.seed,
                "passed": run.passed,
                "acknowledged": run.acknowledged,
                "lost": run.lost,
                "faults": [
                    {
                        "fault": f.text,
                        "noticed_s": f.noticed_s,
                        "whole_s": f.healed_s,
                        "producers_waited_s": f.producers_waited_s,
                    }
                    for f in run.faults
                ],
            }
            for run in done
        ],
    }


def spread(values: list[float]) -> dict[str, float]:
    """Least, median, most."""
    return {"least": min(values), "median": round(median(values), 2), "most": max(values)} if values else {}
