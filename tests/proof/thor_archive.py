"""Archives at full count: a million records archived with kills, restored with kills of the restore and of brokers, damage found.

The records of each partition are compared in their order, with keys, values, headers and times, by a running SHA-256. `asgard` is
killed with SIGKILL at random instants; brokers too, one at a time, and are started again. Archive and restore go so slowly that all
kills fall into them.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from itertools import chain
from pathlib import Path

from confluent_kafka import Producer

from asgard.kafka import data
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic
from asgard.thor.archive import location, read, verify
from tests.harness import RealCluster
from tests.unit.thor.test_thor_archive_files import archived, damages

ASGARD = Path(sys.executable).with_name("asgard")
RECORDS, PARTITIONS, KILLS, DAMAGES, SEED = 1_000_000, 6, 5, 600, 14
TOPIC = "orders"

Sums = dict[int, tuple[int, str]]
"""By partition: records, and the SHA-256 of all of them in their order."""


def prove() -> tuple[dict[str, object], list[str]]:
    """The figures, and what went wrong."""
    wrong: list[str] = []
    figures: dict[str, object] = {"records": RECORDS, "partitions": PARTITIONS, "seed": SEED}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["ASGARD_HOME"] = folder
        with RealCluster(home / "kafka", brokers=3, security="none") as cluster:
            sent = write(cluster.connection)
            archive = _archive(cluster, home / "archive", figures)
            wrong += _compared("archive", sent, archive, figures)
            verdict = verify.verify(location.open_storage(str(home / "archive")))
            if verdict.damaged or verdict.strays:
                wrong.append(f"the archive is not whole: {verdict.damaged[:3]} {verdict.strays[:3]}")
            with connect(cluster.connection) as control:
                control.delete_topics([TOPIC])
            restored = _restore(cluster, home / "archive", figures)
            wrong += _compared("restore", sent, restored, figures)
            wrong += [
                f"only {figures[name]} of {KILLS} {name.replace('_', ' ')} fell into the run"
                for name in ("archive_kills", "restore_kills", "broker_kills")
                if figures[name] != KILLS
            ]
        place = location.open_storage(str(home / "damaged"))
        archived(place, batches=6, size=2000)
        missed = damages(home / "damaged", place, DAMAGES, SEED)
        figures |= {"damages": DAMAGES, "damages_missed": len(missed)}
        wrong += missed
    return figures, wrong


def _compared(what: str, sent: Sums, found: Sums, figures: dict[str, object]) -> list[str]:
    """Add lost, twice and equal partitions to the figures; the partitions that differ."""
    counts = [(count, found.get(p, (0, ""))[0]) for p, (count, _) in sent.items()]
    figures[f"{what}_lost"] = sum(max(0, before - after) for before, after in counts)
    figures[f"{what}_twice"] = sum(max(0, after - before) for before, after in counts)
    figures[f"{what}_partitions_equal"] = sum(found.get(p) == sums for p, sums in sent.items())
    return [
        f"{what}: partition {p} has {found.get(p, (0, ''))[0]} records of {count}, or not the same in order"
        for p, (count, digest) in sent.items()
        if found.get(p) != (count, digest)
    ]


def write(connection: Connection) -> Sums:
    """Create the topic and fill it."""
    with connect(connection) as control:
        config = {"retention.ms": "-1", "min.insync.replicas": "2"}
        assert control.create_topics([NewTopic(TOPIC, PARTITIONS, 3, config)]) == {TOPIC: None}
    rnd, hashes = random.Random(SEED), {p: hashlib.sha256() for p in range(PARTITIONS)}
    counts = dict.fromkeys(range(PARTITIONS), 0)
    producer = Producer({**connection.for_librdkafka(), "enable.idempotence": True, "linger.ms": 50, "log_level": 0})
    start_ms = int(time.time() * 1000) - 86_400_000
    for n in range(RECORDS):
        partition = n % PARTITIONS
        key, value = b"k%d" % rnd.randrange(1000), b"%d " % n + rnd.randbytes(60)
        headers: list[tuple[str, bytes | None]] = [] if n % 3 else [("trace", b"%d" % n), ("none", None)]
        while True:
            try:
                producer.produce(TOPIC, value, key, partition, timestamp=start_ms + n, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
        hashes[partition].update(repr((key, value, headers, start_ms + n)).encode())
        counts[partition] += 1
        producer.poll(0)
    assert producer.flush(120) == 0
    return {p: (counts[p], hashes[p].hexdigest()) for p in hashes}


def _killed(
    cluster: RealCluster, args: list[str], wait_s: tuple[float, float], rnd: random.Random
) -> tuple[int, float]:
    """Run a command, kill it `KILLS` times at random instants, then let it end; kills that hit, and the seconds of all runs."""
    hits, began = 0, time.monotonic()
    command = [str(ASGARD), "thor", *args, "--bootstrap-server", cluster.bootstrap_servers]
    while hits < KILLS:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            process.wait(rnd.uniform(*wait_s))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            hits += 1
        process.communicate()
        if process.returncode == 0:
            break
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return hits, round(time.monotonic() - began, 1)


def _archive(cluster: RealCluster, place: Path, figures: dict[str, object]) -> Sums:
    rnd = random.Random(SEED)
    args = ["archive", "run", TOPIC, "--to", str(place), "--roll-size", "1MiB", "--rate", "3MB/s"]
    figures["archive_kills"], figures["archive_s"] = _killed(cluster, args, (2.0, 5.0), rnd)
    plan = read.plan(location.open_storage(str(place)), read.TopicWindow((TOPIC,)))
    found: Sums = {}
    for shard in plan.files:
        count, digest = 0, hashlib.sha256()
        for r in chain.from_iterable(b for file in plan.files[shard] for b in read.blocks(plan, shard, file)):
            digest.update(repr((r.key, r.value, list(r.headers), r.timestamp_ms)).encode())
            count += 1
        found[shard.partition] = (count, digest.hexdigest())
    return found


def _restore(cluster: RealCluster, place: Path, figures: dict[str, object]) -> Sums:
    rnd, over, killed = random.Random(SEED + 1), threading.Event(), [0]

    def brokers() -> None:
        while killed[0] < KILLS and not over.wait(rnd.uniform(2, 5)):
            node = rnd.choice(list(cluster.specs))
            cluster.kill(node)
            killed[0] += 1
            time.sleep(1)
            cluster.start_node(node)

    thread = threading.Thread(target=brokers)
    thread.start()
    args = ["replay", TOPIC, "--from-archive", str(place), "--create", "--records", "12000/s", "--yes"]
    try:
        figures["restore_kills"], figures["restore_s"] = _killed(cluster, args, (3.0, 9.0), rnd)
    finally:
        over.set()
        thread.join()
    figures["broker_kills"] = killed[0]
    with connect(cluster.connection) as control:
        offsets = control.offsets([(TOPIC, p) for p in range(PARTITIONS)])
    hashes, counts = {p: hashlib.sha256() for p in range(PARTITIONS)}, dict.fromkeys(range(PARTITIONS), 0)
    for batch in data.read(cluster.connection, offsets, deadline_s=600):
        for r in batch:
            headers = [(n, v) for n, v in r.headers if n != "asgard.replay"]
            hashes[r.partition].update(repr((r.key, r.value, headers, r.timestamp_ms)).encode())
            counts[r.partition] += 1
    return {p: (counts[p], hashes[p].hexdigest()) for p in hashes}
