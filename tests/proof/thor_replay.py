"""A million records replayed while the replay and the brokers are killed: the target holds each record once, in order, whole.

Five kills -9 of `thor replay` at random instants, five of brokers during the run that follows. Counted from the records themselves: of
each partition a hash over key, value, time and headers of all records in order, in the source and in the target.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path

from asgard.kafka.admin import connect
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.replaying import ASGARD, digest, fill, options, until_done

RECORDS, PARTITIONS, KILLS, BROKERS = 1_000_000, 6, 5, (1, 2, 3)


def prove() -> tuple[dict[str, object], list[str]]:
    """Figures, and what went wrong."""
    seed = int(time.time())
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as below, RealCluster(Path(below), brokers=3) as cluster:
        with connect(cluster.connection) as control:
            for name in ("source", "target"):
                assert control.create_topics([NewTopic(name, PARTITIONS, 3)]) == {name: None}
            time.sleep(1)
            fill(cluster, "source", PARTITIONS, RECORDS, size_bytes=100, seed=seed)
            before = digest(cluster, control, "source")
        environment = {**os.environ, "ASGARD_HOME": str(Path(below) / "home")}
        kills = [dice.uniform(2, 12) for _ in range(KILLS)]
        # A broker is killed 3 to 8 s after the one before it is back.
        at, broker_kills = 0.0, []
        for _ in range(KILLS):
            at += dice.uniform(3, 8)
            broker_kills.append((at, dice.choice(BROKERS)))
            at += 8
        command = [str(ASGARD), "thor", "replay", "source", "--to", "target", "--records", "12000/s", "--yes", "--json"]
        began = time.monotonic()
        done = until_done(
            [*command, *options(cluster)], environment, cluster=cluster, kills=kills, broker_kills=broker_kills
        )
        took = time.monotonic() - began
        cluster.all_up()
        with connect(cluster.connection) as control:
            after = digest(cluster, control, "target")
    wrong = []
    if sum(count for count, _ in before.values()) != RECORDS:
        wrong.append(f"the source holds {before}, not {RECORDS} records")
    wrong += [
        f"partition {p}: {after[p][0]} records in the target, {before[p][0]} in the source, or not the same in order"
        for p in before
        if after[p] != before[p]
    ]
    if done.answer["sent"] != RECORDS:
        wrong.append(f"the replay says it sent {done.answer['sent']}")
    if len(done.kills) != KILLS or done.broker_kills != KILLS:
        wrong.append(f"only {len(done.kills)} kills and {done.broker_kills} of brokers fell into the replay")
    figures = {
        "records": RECORDS,
        "partitions": PARTITIONS,
        "seed": seed,
        "kills_of_the_replay": len(done.kills),
        "kills_of_a_broker": done.broker_kills,
        "transactions_undone_in_the_last_run": done.answer["undone"],
        "slowed_down_for_a_healing": done.answer["slowed"],
        "seconds": round(took, 1),
        "lost": max(0, RECORDS - sum(count for count, _ in after.values())),
        "twice": max(0, sum(count for count, _ in after.values()) - RECORDS),
        "partitions_equal": sum(after[p] == before[p] for p in before),
    }
    return figures, wrong
