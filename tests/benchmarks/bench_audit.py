"""The audit against a bare confluent-kafka consume loop, in turns, on one topic of stamped records.

    python -m tests.benchmarks audit

The bare loop assigns the same partitions, takes batches of the same size and only counts them. Both are timed from their start to the
last record, the audit with its commits to SQLite and its report.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from asgard.heimdall.audit import plan, run, store
from asgard.kafka import stamp
from asgard.kafka.admin import connect
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import NewTopic
from tests.harness import RealCluster

RECORDS, PARTITIONS, SIZE, RUNS = 500_000, 6, 256, 5
TOPIC = "audited"


def main() -> None:
    """Print both rates and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASGARD_HOME"] = folder
        with RealCluster(Path(folder) / "kafka", brokers=1, security="none") as cluster:
            fill(cluster, TOPIC, RECORDS)
            compare(cluster, RECORDS, RUNS)


def fill(cluster: RealCluster, topic: str, records: int) -> None:
    """Stamped records of three producers, spread over half an hour of event time."""
    began_us = time.time_ns() // 1000 - 1800 * 1_000_000
    value = b"x" * SIZE
    with connect(cluster.connection) as control:
        assert control.create_topics([NewTopic(topic, PARTITIONS, 1)]) == {topic: None}
    run_id = os.urandom(16)
    with Writer(cluster.connection) as writer:
        for i in range(records):
            at_us = began_us + i * 1800 * 1_000_000 // records
            header = stamp.make(run_id, i % 3, i // 3, at_us, value)
            writer.send(
                Record(
                    topic,
                    value,
                    headers=((stamp.HEADER, header),),
                    partition=i % PARTITIONS,
                    timestamp_ms=at_us // 1000 + 5,
                )
            )


def compare(cluster: RealCluster, records: int, runs: int) -> float:
    """The ratio of the medians; what runs first changes from time to time."""
    bare, ours = [], []
    for i in range(runs):
        for which in ("bare", "audit") if i % 2 else ("audit", "bare"):
            if which == "bare":
                bare.append(records / bare_loop(cluster, records))
            else:
                ours.append(records / audited(cluster, records, i))
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"{records:,} stamped records of {SIZE} bytes, {PARTITIONS} partitions, in turn")
    for name, found in (("bare confluent-kafka loop", bare), ("heimdall audit", ours)):
        print(f"  {name}: {statistics.median(found):,.0f}/s ({', '.join(f'{rate:,.0f}' for rate in found)})")
    print(f"  ratio {ratio:.2f} (goal: 0.7 or more)", flush=True)
    return ratio


def bare_loop(cluster: RealCluster, records: int) -> float:
    """Seconds to be given every record."""
    began = time.monotonic()
    consumer = Consumer({**cluster.connection.for_librdkafka(), "group.id": "bare", "enable.auto.commit": False})
    consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
    count = 0
    while count < records:
        count += len(consumer.consume(run.BATCH, timeout=0.5))
    took = time.monotonic() - began
    consumer.close()
    return took


def audited(cluster: RealCluster, records: int, number: int) -> float:
    """Seconds for a whole audit, which must have counted everything."""
    began = time.monotonic()
    with connect(cluster.connection) as control, store.open_store() as database:
        kept = store.AuditStore(database, cluster.cluster_id, plan.of_topics([TOPIC], f"bench-{number}"))
        done = run.audit(kept, cluster.connection, control)
        rows = kept.report()
    took = time.monotonic() - began
    assert done.records == records == sum(row.records for row in rows), (done, rows)
    assert not any(row.gaps or row.duplicates for row in rows), rows
    return took


if __name__ == "__main__":
    main()
