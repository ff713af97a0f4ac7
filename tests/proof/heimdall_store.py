"""The store in full: a collector of a real cluster killed -9 twenty times on each database, the same answers from both, and scale.

After each kill every minute, hour and day is made again from the samples that are there and compared: a sample half written or
counted twice would differ. Then one round on 200,000 partitions and 1,000 groups from recorded answers, with its peak memory.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from confluent_kafka import Producer

from asgard.heimdall.store.read import Store
from asgard.heimdall.store.tables import open_store
from asgard.kafka.admin import connect
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster, postgres
from tests.harness.storing import check_rollups

KILLS = 20
PARTITIONS, GROUPS, MEMORY_MIB = 200_000, 1_000, 1024
SCALES = ((20_000, 1_000), (PARTITIONS, GROUPS))


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
        scale = []
        for partitions, groups in SCALES:
            command = [sys.executable, "-m", "tests.harness.collecting", "large", str(partitions), str(groups)]
            url = f"sqlite:///{folder}/large-{partitions}.db"
            done = subprocess.run([*command, url], capture_output=True, text=True, timeout=1800)
            assert done.returncode == 0, done.stderr
            scale.append(json.loads(done.stdout))
            print(scale[-1], flush=True)
            if scale[-1]["peak_mib"] >= MEMORY_MIB:
                wrong.append(f"{partitions} partitions took {scale[-1]['peak_mib']} MiB")
        figures["scale"] = scale
    return figures, wrong


def _kills(cluster: RealCluster, url: str, wrong: list[str]) -> dict[str, object]:
    where = [cluster.bootstrap_servers, str(cluster.client_properties), url]
    chance, told, producer = random.Random(7), 0, Producer({**cluster.connection.for_librdkafka(), "log_level": 0})
    slots: list[int] = []
    for _ in range(KILLS):
        for n in range(500):
            producer.produce(f"store-{n % 20}", b"v")
        producer.flush()
        command = [sys.executable, "-m", "tests.harness.collecting", "real", *where]
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
            arrived = sum(Store(database, cluster.cluster_id).topics(slots[0] - 60, slots[-1] + 60).values())
        if missing := {slot for slot in seen if slot > 0} - set(slots):
            wrong.append(f"{url.partition(':')[0]}: {len(missing)} samples that were told are not there")
    # Records came before each round; those of the first are from before there was a sample to count from.
    if arrived != 500 * (KILLS - 1):
        wrong.append(
            f"{url.partition(':')[0]}: {arrived} records arrived by the rollups, {500 * (KILLS - 1)} were sent"
        )
    print(f"{url.partition(':')[0]}: {KILLS} kills, {len(slots)} samples, {arrived} records", flush=True)
    return {"kills": KILLS, "samples": len(slots), "told": told, "records_by_rollups": arrived}
