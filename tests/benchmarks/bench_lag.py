"""`asgard heimdall lag` and `volume` against Kafka's own tools, as whole commands on one cluster of three brokers.

Lag: 200 groups, each with offsets in all 2,000 partitions, against `kafka-consumer-groups --describe --all-groups`, which says lag
in records only. Asgard takes two samples, a second apart here, and adds the age of unread records, trend and retention; the same
with the waiting taken out is printed too. Counts: `heimdall volume --by hour` of a day and 2,000 partitions against `kafka-get-offsets
--time`, which answers for one time a call: three calls are timed, 25 are needed. Requests are those to each broker.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Producer

from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster
from tests.harness.javatool import CONSUMER_GROUPS, GET_OFFSETS, java_tool

GROUPS, PARTITIONS, RECORDS, HOURS = 200, 2000, 6, 25
TOPIC = "bench-lag"
APART_S = 1.0


def main() -> None:
    """Print seconds, ratios and requests a broker."""
    with (
        tempfile.TemporaryDirectory(prefix="asgard-bench-lag-") as folder,
        RealCluster(Path(folder), brokers=3, heap_bytes=384 * 1024 * 1024) as cluster,
    ):
        compare(cluster)


def compare(cluster: RealCluster) -> None:
    """Plant and measure on a running cluster."""
    with connect(cluster.connection) as control:
        plant(control, cluster.connection)
    where = ["--bootstrap-server", cluster.bootstrap_servers, "--command-config", str(cluster.client_properties)]
    tool = java_tool(CONSUMER_GROUPS, *where, "--describe", "--all-groups", "--timeout", "600000", heap_mb=512)
    lag = _asgard("lag", *where, "--apart", f"{APART_S:g}s")
    rows = [(_seconds(lag), _seconds(tool)) for _ in range(2)]
    for own, theirs in rows:
        print(
            f"lag of {GROUPS} groups x {PARTITIONS} partitions: asgard {own:.2f} s, kafka-consumer-groups {theirs:.2f} s",
            end="",
        )
        print(
            f"; ratio {theirs / own:.1f} (without the second between samples {theirs / (own - APART_S):.1f})",
            flush=True,
        )
    report = json.loads(subprocess.run([*lag, "--json"], capture_output=True, check=True, text=True).stdout)
    assert len(report["groups"]) >= GROUPS
    print(f"requests by broker, both samples: {report['requests_by_broker']}")
    by_time = java_tool(GET_OFFSETS, *where, "--topic", TOPIC, "--time", str(int((time.time() - 7200) * 1000)))
    theirs = HOURS * sum(_seconds(by_time) for _ in range(3)) / 3
    volume = _asgard("volume", *where, "--date", "today", "--topic", TOPIC)
    own = _seconds(volume)
    print(
        f"{HOURS} times of {PARTITIONS} partitions: asgard {own:.2f} s, kafka-get-offsets {theirs:.2f} s; ratio {theirs / own:.1f}"
    )
    counted = json.loads(subprocess.run([*volume, "--json"], capture_output=True, check=True, text=True).stdout)
    print(f"requests by broker: {counted['requests_by_broker']}")


def plant(control: AdminClient, connection: Connection) -> None:
    """Partitions with records over the last hours, and groups at places of their own."""
    control.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    while len(there := control.topics([TOPIC])) != 1 or any(p.leader < 0 for p in there[TOPIC].partitions):
        time.sleep(0.5)
    producer = Producer(
        {**connection.for_librdkafka(), "log_level": 0, "linger.ms": 50, "queue.buffering.max.messages": 1_000_000}
    )
    now = int(time.time() * 1000)
    for record in range(RECORDS):
        for partition in range(PARTITIONS):
            at = now - (RECORDS - record) * 1_800_000
            producer.produce(TOPIC, value=b"x" * 100, partition=partition, timestamp=at)
        producer.poll(0)
    producer.flush()
    for group in range(GROUPS):
        offsets = {(TOPIC, p): (group + p) % RECORDS for p in range(PARTITIONS)}
        control.commit_offsets(f"bench-{group:03}", offsets)


def _asgard(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("asgard")), "heimdall", *arguments]


def _seconds(command: list[str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return time.monotonic() - began
