"""Archiving and restoring against bare loops of confluent-kafka, in turn, on one broker: MB/s, and memory at records of 1 MB.

    python -m tests.benchmarks archive

The bare consumer loop reads the same records (read_committed) and looks at their values; the bare producer loop writes them with acks=all
and idempotence. `asgard` runs in a process of its own, so the time of its start is in its figures. What no archive can do without is
printed beside it: zstandard and SHA-256 over the same values, and fastavro's reader over the same files, each on one core.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic
from asgard.thor.archive.blocks import compressor
from tests.harness import RealCluster

RUNS, MB, PARTITIONS = 3, 1000, 4
GOAL, MEMORY_MIB = 0.6, 300
ALONE = {"archive": "zstandard and SHA-256", "restore": "fastavro's reader"}
_BARE = """
import sys, time, json
from confluent_kafka import Consumer, Producer, TopicPartition
what, servers, topic, partitions, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
began = time.monotonic()
consumer = Consumer({"bootstrap.servers": servers, "group.id": "bare", "enable.auto.commit": False, "auto.offset.reset": "earliest",
                     "isolation.level": "read_committed", "queued.max.messages.kbytes": 32768})
consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "acks": "all", "linger.ms": 50, "batch.size": 1000000,
                     "compression.type": "lz4", "message.max.bytes": 2000000, "queue.buffering.max.kbytes": 65536})
got = size = 0
values = []
while got < count:
    for message in consumer.consume(1000 if count > 10000 else 8, 1.0):
        value = message.value()
        size += len(value)
        got += 1
        if what == "produce" and len(values) < 200:
            values.append(value)
consumer.close()
if what == "produce":
    began = time.monotonic()
    for n in range(count):
        while True:
            try:
                producer.produce(topic + "-bare", values[n % len(values)], b"k%d" % n, n % partitions)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    producer.flush()
print(json.dumps({"mb_per_s": size / 1e6 / (time.monotonic() - began)}))
"""


def main() -> None:
    """Print both sizes."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASGARD_HOME"] = folder
        config = {"message.max.bytes": "3000000"}
        with RealCluster(
            Path(folder) / "k", brokers=1, security="none", heap_bytes=512 << 20, config=config
        ) as cluster:
            for size in (1024, 1_000_000):
                compare(cluster, Path(folder), size)


def compare(
    cluster: RealCluster, folder: Path, size: int, *, megabytes: int = MB, runs: int = RUNS
) -> dict[str, float]:
    """One size of records: the ratios to the bare loops."""
    topic, count = f"bench-{size}", megabytes * 1_000_000 // size
    _fill(cluster.connection, topic, count, size)
    servers = cluster.bootstrap_servers
    found: dict[str, list[float]] = {"consume": [], "archive": [], "produce": [], "restore": []}
    memory = 0.0
    for turn in range(runs):
        place = folder / f"a-{size}-{turn}"
        for bare, ours, args in (
            ("consume", "archive", ["archive", "run", topic, "--to", str(place), "--rate", "none"]),
            ("produce", "restore", ["replay", topic, "--from-archive", str(place), "--to", f"{topic}-{turn}", "--create", "--rate", "none", "--yes"]),
        ):  # fmt: skip
            os.sync()
            found[bare].append(_bare(bare, servers, topic, count))
            os.sync()
            seconds, peak = _asgard([*args, "--bootstrap-server", servers, "--json"])
            found[ours].append(megabytes / seconds)
            memory = max(memory, peak)
    medians = {name: statistics.median(rates) for name, rates in found.items()}
    alone = {"archive": _compressed_alone(size, megabytes), "restore": _read_alone(folder / f"a-{size}-0", megabytes)}
    ratios = {
        "archive": medians["archive"] / medians["consume"],
        "restore": medians["restore"] / medians["produce"],
        "memory_mib": memory,
    }
    print(f"records of {size:,} bytes, {megabytes:,} MB, {runs} runs in turn:")
    for ours, bare in (("archive", "consume"), ("restore", "produce")):
        print(
            f"  {ours} {medians[ours]:.0f} MB/s, bare {bare} loop {medians[bare]:.0f} MB/s: {ratios[ours]:.2f} (goal: {GOAL});"
            f" {ALONE[ours]} alone {alone[ours]:.0f} MB/s"
        )
    print(f"  most memory of a process of asgard: {memory:.0f} MiB (goal: below {MEMORY_MIB})", flush=True)
    return ratios


def _fill(connection: Connection, topic: str, count: int, size: int) -> None:
    values = _values(size)
    with connect(connection) as control:
        config = {"max.message.bytes": "3000000", "retention.ms": "-1"}
        control.create_topics(
            [NewTopic(topic, PARTITIONS, 1, config), NewTopic(f"{topic}-bare", PARTITIONS, 1, config)]
        )
    from confluent_kafka import Producer

    producer = Producer({**connection.for_librdkafka(), "linger.ms": 50, "compression.type": "lz4", "message.max.bytes": 2_000_000, "queue.buffering.max.kbytes": 65536})  # fmt: skip
    for n in range(count):
        _patiently(lambda n=n: producer.produce(topic, values[n % len(values)], b"k%d" % n, n % PARTITIONS), producer)  # type: ignore[misc]
    assert producer.flush(300) == 0


def _values(size: int) -> list[bytes]:
    """Events in JSON, as many in a value as fit into it. zstandard makes a third of them."""
    rnd = random.Random(size)

    def event() -> str:
        where, fare = {"lat": 52 + rnd.random(), "lon": 13 + rnd.random()}, round(rnd.random() * 50, 2)
        return json.dumps(
            {"id": f"{rnd.getrandbits(128):032x}", "user": rnd.randrange(10**7), "at": where, "fare": fare}
        )

    events = [event() for _ in range(20_000)]
    each = size // len(events[0]) + 2
    count = max(40, 8_000_000 // size)
    return ["".join(rnd.choices(events, k=each))[:size].encode() for _ in range(count)]


def _compressed_alone(size: int, megabytes: int) -> float:
    """MB/s on one core, in blocks of 1 MB as the archive has them."""
    values = _values(size)
    block = b"".join(values)[:1_000_000]
    compress, hashed = compressor("zstandard"), hashlib.sha256()
    began = time.monotonic()
    for _ in range(megabytes):
        hashed.update(compress(block))
    return megabytes * len(block) / 1e6 / (time.monotonic() - began)


def _read_alone(place: Path, megabytes: int) -> float:
    """MB/s on one core, with nothing done with the records."""
    import fastavro

    began = time.monotonic()
    for path in place.rglob("*.avro"):
        with path.open("rb") as content:
            for _ in fastavro.reader(content):
                pass
    return megabytes / (time.monotonic() - began)


def _patiently(send: Callable[[], None], producer: object) -> None:
    while True:
        try:
            send()
            producer.poll(0)  # type: ignore[attr-defined]
            return
        except BufferError:
            producer.poll(0.05)  # type: ignore[attr-defined]


def _bare(what: str, servers: str, topic: str, count: int) -> float:
    args = [sys.executable, "-c", _BARE, what, servers, topic, str(PARTITIONS), str(count)]
    return float(json.loads(subprocess.run(args, capture_output=True, text=True, check=True).stdout)["mb_per_s"])


def _asgard(args: list[str]) -> tuple[float, float]:
    """Seconds, and the most memory in MiB."""
    command = [str(Path(sys.executable).with_name("asgard")), "thor", *args]
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, told.decode()
    return time.monotonic() - began, usage.ru_maxrss / 1024
