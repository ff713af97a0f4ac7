"""`thor replay` against MirrorMaker 2, in turns on one cluster: records per second, and the memory of a replay of 1 MB records.

    python -m tests.benchmarks replay

Both copy the same topic into a topic of the same cluster, with one process and one task. The replay is exactly once, MirrorMaker 2
at least once, as it comes and with the replay's batches and compression. Time counts from the first record in the target to the last
one, seen from outside; what comes before (start of Java or Python, plan, preview) is printed apart.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic
from tests.benchmarks.mirror import TUNED, classpath, mirroring
from tests.harness import RealCluster
from tests.harness.replaying import ASGARD, options

RUNS, RECORDS, SIZE, PARTITIONS = 3, 400_000, 1000, 6
LARGE, LARGE_RECORDS = 990_000, 300
PATIENCE_S = 600


@dataclass(frozen=True)
class Run:
    """One copy: records per second, and seconds before the first record."""

    rate_per_s: float
    before_s: float


def main() -> None:
    """Print both."""
    classpath()
    with (
        tempfile.TemporaryDirectory() as folder,
        RealCluster(
            Path(folder) / "kafka",
            brokers=1,
            security="none",
            heap_bytes=512 * 1024 * 1024,
            config={"message.max.bytes": "2000000", "replica.fetch.max.bytes": "2000000"},
        ) as cluster,
    ):
        os.environ["ASGARD_HOME"] = f"{folder}/home"
        with connect(cluster.connection) as control:
            _fill(cluster, control, "bench", RECORDS, SIZE)
            runs: dict[str, list[Run]] = {"replay": [], "mirror": [], "mirror tuned": []}
            for n in range(RUNS):
                runs["replay"].append(_replay(cluster, control, f"replayed{n}"))
                for name, producer in (("mirror", {}), ("mirror tuned", TUNED)):
                    alias = f"{name.replace(' ', '-')}{n}"
                    runs[name].append(_mirror(cluster, control, Path(folder), alias, producer))
            for name, found in runs.items():
                rates = ", ".join(f"{run.rate_per_s:,.0f}" for run in found)
                before = statistics.median(run.before_s for run in found)
                print(f"{name:>13}: {rates} records/s; {before:.1f} s before the first record")
            ours = statistics.median(run.rate_per_s for run in runs["replay"])
            for name in ("mirror", "mirror tuned"):
                print(f"replay / {name}: {ours / statistics.median(r.rate_per_s for r in runs[name]):.2f}")
            _fill(cluster, control, "large", LARGE_RECORDS, LARGE)
            print(
                f"memory of a replay of {LARGE_RECORDS} records of 0.99 MB: {_memory(cluster, control):.0f} MiB at most"
            )


def _fill(cluster: RealCluster, control: AdminClient, topic: str, records: int, size: int) -> None:
    _create(control, topic)
    dice = random.Random(1)
    bodies = [bytes(dice.choices(b"abcdefghijklmnopqrstuvwxyz0123456789", k=size)) for _ in range(20)]
    with Writer(cluster.connection) as writer:
        for n in range(records):
            writer.send(Record(topic, bodies[n % 20], b"key-%d" % (n % 5000), [("trace", b"%032d" % n)]))


def _create(control: AdminClient, topic: str) -> None:
    assert control.create_topics([NewTopic(topic, PARTITIONS, 1, {"max.message.bytes": "2000000"})]) == {topic: None}
    until = time.monotonic() + 20
    while topic not in control.topics([topic]) and time.monotonic() < until:
        time.sleep(0.05)


def _held(control: AdminClient, topic: str) -> int:
    return sum(o.end for o in control.offsets([(topic, p) for p in range(PARTITIONS)]).values())


def _replay(cluster: RealCluster, control: AdminClient, topic: str) -> Run:
    _create(control, topic)
    began = time.monotonic()
    command = [str(ASGARD), "thor", "replay", "bench", "--to", topic, "--rate", "none", "--yes", "--json"]
    with subprocess.Popen([*command, *options(cluster)], stdout=subprocess.DEVNULL) as process:
        first = _first(control, topic)
        assert process.wait(PATIENCE_S) == 0
    # The process ends a moment after the last commit: that counts against the replay.
    return Run(RECORDS / (time.monotonic() - first), first - began)


def _mirror(cluster: RealCluster, control: AdminClient, folder: Path, alias: str, producer: dict[str, str]) -> Run:
    began = time.monotonic()
    with mirroring(folder, cluster.bootstrap_servers, "bench", alias, producer):
        first = _first(control, f"{alias}.bench")
        until = time.monotonic() + PATIENCE_S
        while _held(control, f"{alias}.bench") < RECORDS:
            assert time.monotonic() < until, (folder / f"{alias}.log").read_text()[-3000:]
            time.sleep(0.05)
        return Run(RECORDS / (time.monotonic() - first), first - began)


def _first(control: AdminClient, topic: str) -> float:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if _held(control, topic):
            return time.monotonic()
        time.sleep(0.05)
    raise AssertionError(f"nothing came into {topic}")


def _memory(cluster: RealCluster, control: AdminClient) -> float:
    _create(control, "large2")
    command = [str(ASGARD), "thor", "replay", "large", "--to", "large2", "--rate", "none", "--yes", "--json"]
    most = 0.0
    with subprocess.Popen([*command, *options(cluster)], stdout=subprocess.DEVNULL) as process:
        seen = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                most = max(most, seen.memory_info().rss / 1024 / 1024)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
    assert process.returncode == 0
    return most
