"""The store in full: a collector of a real cluster killed -9 twenty times on each database, the same answers from both, and scale.

After each kill every minute, hour and day is made again from the samples that are there and compared: a sample half written or
counted twice would differ. Then `heimdall collect --once` as a whole command on clusters that are larger than this machine, from
`tests.harness.replayed`: seconds, peak memory and requests a broker of the first round, which counts a week, and of the next one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Producer

from asgard.heimdall.store.read import ClusterStore
from asgard.heimdall.store.tables import open_store
from asgard.kafka.admin import connect
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster, postgres
from tests.harness.replayed import replayed
from tests.harness.storing import check_rollups

KILLS = 20
MEMORY_MIB = 1024
SCALES = (
    (30, 20_000, 1_000, False),
    (30, 200_000, 1_000, False),
    (60, 200_000, 1_000, False),
    (30, 20_000, 15_000, True),
)
"""Brokers, partitions, groups, and whether all groups read one topic."""
SLOT_S = 10


def prove() -> tuple[dict[str, object], list[str]]:
    """The figures, and what is wrong with them."""
    wrong: list[str] = []
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder, RealCluster(Path(folder) / "kafka", brokers=1) as cluster:
        with connect(cluster.connection) as control:
            control.create_topics([NewTopic(f"store-{n}", 4, 1) for n in range(20)])
        programs, why_not = postgres.find()
        figures["sqlite"] = _kills(cluster, f"sqlite:///{folder}/heimdall.db", wrong)
        if programs is None:
            figures["postgresql"] = f"not run: {why_not}"
        else:
            with postgres.running() as server:
                figures["postgresql"] = _kills(cluster, server.database(), wrong)
        scale = [_collected(Path(folder), number, *one, wrong=wrong) for number, one in enumerate(SCALES)]
        figures["scale"] = scale
    return figures, wrong


def _collected(
    folder: Path, number: int, brokers: int, partitions: int, groups: int, one_topic: bool, *, wrong: list[str]
) -> dict[str, object]:
    """Two rounds, as cron runs them."""
    home = folder / f"scale-{number}"
    with replayed(brokers, partitions, groups, one_topic=one_topic) as (address, end):
        rounds = [_round(home, address, wrong) for _ in range(2)]
        seen = end()
    found = {"brokers": brokers, "partitions": partitions, "groups": groups, "all_groups_on_one_topic": one_topic}
    for name, one in zip(("first_round", "next_round"), rounds, strict=True):
        found[name] = one
    most = max(seen, key=lambda counted: sum(counted.values()))
    found["requests_of_the_busiest_broker_in_both"] = most
    found["requests_of_a_median_broker_in_both"] = sorted(sum(counted.values()) for counted in seen)[brokers // 2]
    print(found, flush=True)
    return found


def _round(home: Path, address: str, wrong: list[str]) -> dict[str, object]:
    time.sleep(SLOT_S)  # a slot of the store takes one sample
    command = [str(Path(sys.executable).with_name("asgard")), "heimdall", "collect", "--once", "--json"]
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr); sys.exit(done.returncode)"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--bootstrap-server", address],
        capture_output=True,
        text=True,
        timeout=1800,
        env={**os.environ, "ASGARD_HOME": str(home)},
    )
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    peak = int(done.stderr.split()[-1]) // 1024
    if peak >= MEMORY_MIB:
        wrong.append(f"{document['partitions']} partitions took {peak} MiB")
    if not document["new"]:
        wrong.append(f"{document['partitions']} partitions: the sample was not kept")
    return {
        "seconds": round(took, 1),
        "peak_mib": peak,
        "hours_counted": document["hours_counted"],
        "groups_behind": len(document["behind"]),
        "requests": sum(document["requests_by_broker"].values()),
    }


def _kills(cluster: RealCluster, url: str, wrong: list[str]) -> dict[str, object]:
    where = [cluster.bootstrap_servers, str(cluster.client_properties), url]
    chance, told, producer = random.Random(7), 0, Producer({**cluster.connection.for_librdkafka(), "log_level": 0})
    slots: list[int] = []
    for _ in range(KILLS):
        for n in range(500):
            producer.produce(f"store-{n % 20}", b"v")
        producer.flush()
        command = [sys.executable, "-m", "tests.harness.collecting", *where]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            seen = [int(child.stdout.readline()) for _ in range(1 + chance.randrange(3))]
            try:
                child.wait(chance.random() * 0.3)
            except subprocess.TimeoutExpired:
                child.kill()
            seen += [int(line) for line in child.stdout.read().split("\n")[:-1]]
        told += len(seen)
        with open_store(url) as database:
            slots = check_rollups(database)
            arrived = sum(ClusterStore(database, cluster.cluster_id).topics(slots[0] - 60, slots[-1] + 60).values())
        if missing := {slot for slot in seen if slot > 0} - set(slots):
            wrong.append(f"{url.partition(':')[0]}: {len(missing)} samples that were told are not there")
    # Records came before each round; those of the first are from before there was a sample to count from.
    if arrived != 500 * (KILLS - 1):
        wrong.append(
            f"{url.partition(':')[0]}: {arrived} records arrived by the rollups, {500 * (KILLS - 1)} were sent"
        )
    print(f"{url.partition(':')[0]}: {KILLS} kills, {len(slots)} samples, {arrived} records", flush=True)
    return {"kills": KILLS, "samples": len(slots), "told": told, "records_by_rollups": arrived}
