"""`asgard thor status` of a cluster with 8,000 partitions, as a whole process, against Kafka's own tools for a part of the same.

Three brokers, 80 topics of 100 partitions with a replica each. Kafka's tools are `kafka-topics --describe`, `kafka-log-dirs
--describe` and `kafka-metadata-quorum describe --status`, one after the other: what a person runs to know half as much. Then the
status of 1,000 brokers with 200,000 partitions, from a snapshot file.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from asgard.cluster import snapshot_file
from asgard.kafka.admin import connect
from asgard.kafka.connection import Connection
from asgard.kafka.distribution.home import ensure_kafka
from asgard.kafka.distribution.java import find_java
from asgard.kafka.model import NewTopic
from tests.benchmarks.thor_clusters import cluster_for
from tests.harness import RealCluster

RUNS = 5
TOPICS, PARTITIONS = 80, 100
HEAP_BYTES = 768 * 1024 * 1024


def main() -> None:
    """Print seconds of both, and the median of the ratios pair by pair."""
    asgard = str(Path(sys.executable).parent / "asgard")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with RealCluster(home / "kafka", brokers=3, security="none", heap_bytes=HEAP_BYTES) as cluster:
            servers = cluster.bootstrap_servers
            with connect(cluster.connection, deadline_s=120) as control:
                made = control.create_topics([NewTopic(f"t{i}", PARTITIONS, 1) for i in range(TOPICS)])
                assert not any(made.values()), made
            for server in servers.split(","):
                with connect(Connection(server), deadline_s=120) as control:
                    # Brokers hear of new topics one after the other.
                    while sum(len(t.partitions) for t in control.topics().values()) < TOPICS * PARTITIONS:
                        time.sleep(0.5)
            env = {**os.environ, "ASGARD_HOME": str(home / "home")}
            ours = [asgard, "thor", "status", "--bootstrap-server", servers, "--json"]
            pairs = []
            for _ in range(RUNS):
                began = time.perf_counter()
                said = subprocess.run(ours, capture_output=True, text=True, env=env, cwd=folder, check=False)
                assert said.returncode in (0, 1) and f'"partitions": {TOPICS * PARTITIONS}' in said.stdout, said.stderr
                status = time.perf_counter() - began
                pairs.append((status, sum(tool(*words) for words in tools(servers))))
        of_a_snapshot(asgard, 1_000, 200_000, home, env)
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(
        f"thor status, {TOPICS * PARTITIONS} partitions: {first:.2f} s; Kafka's tools: {second:.2f} s; ratio {ratio:.2f}"
    )


def tools(servers: str) -> list[list[str]]:
    """The classes behind Kafka's scripts, with their arguments."""
    tool = "org.apache.kafka.tools"
    return [
        [f"{tool}.TopicCommand", "--bootstrap-server", servers, "--describe"],
        [f"{tool}.LogDirsCommand", "--bootstrap-server", servers, "--describe"],
        [f"{tool}.MetadataQuorumCommand", "--bootstrap-server", servers, "describe", "--status"],
    ]


def tool(*words: str) -> float:
    """Seconds of one of Kafka's tools, with the flags that its own scripts give to the JVM."""
    command = [str(find_java().path), "-Xmx256M", "-XX:+UseG1GC", "-cp", ensure_kafka().classpath, *words]
    began = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - began


def of_a_snapshot(asgard: str, brokers: int, partitions: int, folder: Path, env: dict[str, str]) -> None:
    """Print seconds and memory of the status of a large cluster with a dead broker."""
    file = folder / "large.json"
    snapshot_file.write(cluster_for("heal", brokers, partitions)[0], file)
    began = time.perf_counter()
    words = [asgard, "thor", "status", "--snapshot", str(file)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=env, cwd=folder)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1
    seconds, memory = time.perf_counter() - began, usage.ru_maxrss // 1024
    work = usage.ru_utime + usage.ru_stime
    what = f"{brokers} brokers x {partitions} partitions from a file"
    print(f"thor status, {what}: {seconds:.1f} s ({work:.1f} s of processor time), {memory} MiB")


if __name__ == "__main__":
    main()
