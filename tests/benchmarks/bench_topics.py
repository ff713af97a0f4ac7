"""1,000 topics made by `asgard odin up` on a running secured broker, against Kafka's own classes that make the same topics.

`kafka-topics` makes one topic a call and starts a JVM for each. What is measured instead is kinder to it: one JVM (compiled
before the clock runs, with the JVM flags of Asgard's tools) that calls the tool's own TopicService once a topic over one
connection; and one that hands all topics to Kafka's Java admin client in one call, as no tool of Kafka's does. `up` is the
whole command: it reads the stack file, plans, shows, claims, writes its state and waits until the broker knows its topics.
The clock stops when the broker tells of all the topics. All in turn on the same broker; medians of the ratios round by round.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from asgard.kafka.connection import render_properties
from asgard.kafka.distribution.jars import DEFAULT_VERSION
from asgard.kafka.distribution.java import find_java
from asgard.machines.local import process
from tests.harness import RealCluster

ROUNDS, TOPICS = 3, 1000
PARTITIONS, REPLICATION, CONFIG = 1, 1, ("retention.ms", "86400000")
HEAP_BYTES = 512 * 1024 * 1024
PATIENCE_S = 300
SOURCE = Path(__file__).with_name("CreateTopics.java")


def main() -> None:
    """Print seconds of all three and the ratios: below 1 `up` is faster."""
    with tempfile.TemporaryDirectory(prefix="asgard-bench-topics-") as folder:
        here = Path(folder)
        compile_kafkas_side(here)
        with RealCluster(here / "kafka", brokers=1, heap_bytes=HEAP_BYTES) as cluster:
            bench = Bench(here, cluster)
            sides: dict[str, Callable[[str], float]] = {
                "up": bench.up,
                "tool": lambda prefix: bench.java("tool", prefix),
                "client": lambda prefix: bench.java("client", prefix),
            }
            rows: list[dict[str, float]] = []
            for number in range(ROUNDS + 1):
                order = list(sides)[number % 3 :] + list(sides)[: number % 3]
                row = {side: sides[side](f"{side}.{number}") for side in order}
                print(", ".join(f"{side} {row[side]:.2f} s" for side in sides), flush=True)
                rows += [row] if number else []  # the first round only warms the brokers
    middle = {side: statistics.median(row[side] for row in rows) for side in sides}
    for side, what in (("tool", "kafka-topics' class, a topic a call"), ("client", "Java's admin client, one call")):
        ratio = statistics.median(row["up"] / row[side] for row in rows)
        print(f"{TOPICS} topics, odin up: {middle['up']:.2f} s; {what}: {middle[side]:.2f} s; ratio {ratio:.2f}")


def compile_kafkas_side(into: Path) -> None:
    """Make the class that calls Kafka's."""
    javac = find_java().path.with_name("javac")
    assert javac.is_file(), f"this benchmark wants a JDK: there is no {javac}"
    jars = process.java_command(DEFAULT_VERSION)[-1]
    subprocess.run([javac, "-nowarn", "-cp", jars, "-d", into, SOURCE], check=True)


@dataclass(frozen=True)
class Bench:
    """A directory to work in and a cluster."""

    here: Path
    cluster: RealCluster

    @cached_property
    def admin(self) -> AdminClient:
        """A look from the side."""
        return AdminClient(self.cluster.connection.for_librdkafka())

    def java(self, how: str, prefix: str) -> float:
        """Seconds of one JVM of Kafka's classes."""
        servers = {"bootstrap.servers": self.cluster.bootstrap_servers}
        (self.here / "admin.properties").write_text(
            render_properties({**self.cluster.connection.properties, **servers})
        )
        config = "=".join(CONFIG)
        lines = [f"{prefix}.{i} {PARTITIONS} {REPLICATION} {config}\n" for i in range(TOPICS)]
        (self.here / "topics").write_text("".join(lines))
        *java, classpath = process.java_command(DEFAULT_VERSION, "-Xmx256m")
        what = ["org.apache.kafka.tools.CreateTopics", how, self.here / "admin.properties", self.here / "topics"]
        took = self._timed([*java, f"{self.here}{os.pathsep}{classpath}", *what], {}, prefix)
        for deleted in self.admin.delete_topics(
            [f"{prefix}.{i}" for i in range(TOPICS)], operation_timeout=60
        ).values():
            deleted.result()
        self._at_rest(prefix)
        return took

    def up(self, prefix: str) -> float:
        """Seconds of the whole command, from a home without any state."""
        folder = self.here / prefix
        folder.mkdir()
        at = f"bootstrap_servers: '{self.cluster.bootstrap_servers}', client_properties: {self.cluster.client_properties}"
        key, value = CONFIG
        lines = ["stack: bench", "target: external", f"cluster: {{{at}}}", "topics:"]
        options = f"partitions: {PARTITIONS}, replication: {REPLICATION}, config: {{{key}: {value}}}"
        lines += [f"  - {{name: {prefix}.{i}, {options}}}" for i in range(TOPICS)]
        (folder / "asgard.yaml").write_text("\n".join(lines) + "\n")
        asgard = Path(sys.executable).with_name("asgard")
        home = {"ASGARD_HOME": str(folder / "home")}
        took = self._timed([asgard, "odin", "up", "--yes", "-f", folder / "asgard.yaml"], home, prefix)
        destroy = [asgard, "odin", "destroy", "--stack", "bench", "--confirm", "bench", "--yes"]
        subprocess.run(destroy, check=True, capture_output=True, env={**os.environ, **home})
        self._at_rest(prefix)
        return took

    def _at_rest(self, prefix: str) -> None:
        """Wait until the broker is done with the deletions: it tells of a new topic only then."""
        name = f"rest-{prefix}"
        self.admin.create_topics([NewTopic(name, 1, 1)])[name].result()
        until(lambda: name in self.admin.list_topics(timeout=60).topics, f"the broker tells of {name}")

    def _timed(self, command: list[str | Path], more: dict[str, str], prefix: str) -> float:
        start = time.perf_counter()
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, env={**os.environ, **more}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        until(lambda: len(self._names(prefix)) == TOPICS, f"the broker tells of all of {prefix}")
        return time.perf_counter() - start

    def _names(self, prefix: str) -> list[str]:
        return [name for name in self.admin.list_topics(timeout=60).topics if name.startswith(f"{prefix}.")]


def until(true: Callable[[], bool], what: str) -> None:
    """Look every 20 ms."""
    give_up = time.perf_counter() + PATIENCE_S
    while not true():
        assert time.perf_counter() < give_up, f"not in {PATIENCE_S} s: {what}"
        time.sleep(0.02)


if __name__ == "__main__":
    main()
