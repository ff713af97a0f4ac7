"""`loki load` against Kafka's own ProducerPerformance, interleaved on one cluster of three brokers: throughput, CPU, latency.

    python -m tests.benchmarks load

Both write 1,024 bytes with acks=all and idempotence; Loki's one worker also stamps each record, records what became of it, and checks
it afterwards. Latency is from the moment at which the client is given the record, in both: ProducerPerformance knows no other.
CPU is that of the whole process, from its start to its end. Before each run the system writes out what the run before left in
memory (3 GB): else it is the next one that waits for the disk.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from asgard.kafka.admin import connect
from asgard.kafka.distribution.home import ensure_kafka
from asgard.kafka.distribution.java import find_java
from asgard.kafka.model import NewTopic
from asgard.kafka.target import Target
from asgard.loki.load import run as runs
from asgard.loki.load import scratch
from asgard.loki.load.read import FULL_SPEED_LINGER_S
from asgard.loki.load.scenario import Keys, LoadTopic, Producers, Scenario, Stage
from tests.harness import RealCluster

SIZE = 1024
FAST_RUNS, FAST_RECORDS, FAST_PARTITIONS = 7, 1_000_000, 6
RATE_RUNS, RATE, RATE_S, RATE_WARM_S = 7, 2000, 20, 5
LINGER_S, BATCH_BYTES = 0.02, 131_072
TOPIC = "bench"
_TOLD = re.compile(r"([\d.]+) records/sec .*?([\d.]+) ms avg.*?, (\d+) ms 50th, \d+ ms 95th, (\d+) ms 99th")


@dataclass(frozen=True)
class Run:
    """One run of either tool."""

    rate_per_s: float
    cpu_us: float
    mean_ms: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Fast:
    """Full speed, ours to the Java tool's: ratios of the medians as it comes, medians of pairs with our batches and linger."""

    ratio: float
    cpu_ratio: float
    ratio_with_our_batches: float
    cpu_ratio_with_our_batches: float
    pairs_with_our_batches: list[float]
    medians: dict[str, float]


@dataclass(frozen=True)
class Fixed:
    """At a rate: how far the medians of p50 (share) and of p99 are apart, and the Java tool's range of p99 (1 ms at least: it tells whole ms)."""

    p50_apart: float
    p99_apart_ms: float
    java_p99_range_ms: float
    medians: dict[str, float]


def main() -> None:
    """Print both comparisons."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASGARD_HOME"] = folder
        with RealCluster(Path(folder) / "kafka", brokers=3, security="none", heap_bytes=512 * 1024 * 1024) as cluster:
            full_speed(cluster)
            fixed_rate(cluster)


def full_speed(cluster: RealCluster, count: int = FAST_RUNS, records: int = FAST_RECORDS) -> Fast:
    """Records a second at full speed: ours against the Java tool as it comes (every other time), and with our batches and linger.

    What runs first changes from time to time.
    """
    group = Producers("p", TOPIC, keys=Keys("none"), linger_s=FULL_SPEED_LINGER_S)
    load = _scenario(group, 600, records)

    def java(properties: dict[str, object]) -> Run:
        return producer_performance(cluster, FAST_PARTITIONS, records, -1, properties)

    ours: list[Run] = []
    default: list[Run] = []
    alike: list[Run] = []
    java(_batches(group))  # brokers compile their code as they run it
    for i in range(count):
        if i % 2:
            ours.append(loki(cluster, load))
        alike.append(java(_batches(group)))
        if i % 2 == 0:
            ours.append(loki(cluster, load))
            default.append(java({}))
    print(f"full speed, {records:,} x {SIZE} bytes, acks=all, {FAST_PARTITIONS} partitions, in turn")
    names = (
        "loki load, one worker, every record checked",
        "ProducerPerformance",
        f"  with the same batches and linger ({group.batch_bytes:,} bytes, {group.linger_s * 1000:.0f} ms)",
    )
    for name, found in zip(names, (ours, default, alike), strict=True):
        rates = ", ".join(f"{run.rate_per_s:,.0f}" for run in found)
        print(
            f"  {name}: {_median(found, 'rate_per_s'):,.0f}/s ({rates}), {_median(found, 'cpu_us'):.1f} µs CPU a record"
        )
    pairs = list(zip(ours, alike, strict=True))
    rates_of_pairs = sorted(round(mine.rate_per_s / its.rate_per_s, 2) for mine, its in pairs)
    fast = Fast(
        _ratio(ours, default, "rate_per_s"),
        _ratio(ours, default, "cpu_us"),
        statistics.median(rates_of_pairs),
        round(statistics.median(mine.cpu_us / its.cpu_us for mine, its in pairs), 2),
        rates_of_pairs,
        _figures({"loki": ours, "java": default, "java_with_our_batches": alike}, ("rate_per_s", "cpu_us")),
    )
    print(f"  against the tool as it comes: {fast.ratio} (goal: 1.0 or more), CPU a record {fast.cpu_ratio}")
    print(
        f"  with the same batches and linger: {fast.ratio_with_our_batches} (runs in turn: {fast.pairs_with_our_batches}), "
        f"CPU a record {fast.cpu_ratio_with_our_batches}",
        flush=True,
    )
    return fast


def fixed_rate(cluster: RealCluster, count: int = RATE_RUNS, seconds: float = RATE_S) -> Fixed:
    """Latency at a rate, counted from the send by both."""
    group = Producers(
        "p",
        TOPIC,
        stages=(Stage(seconds, RATE, RATE),),
        keys=Keys("none"),
        linger_s=LINGER_S,
        batch_bytes=BATCH_BYTES,
    )
    load = _scenario(group, seconds, None, partitions=1, warm_up_s=RATE_WARM_S)
    ours, theirs = [], []
    for _ in range(count):
        theirs.append(
            producer_performance(cluster, 1, int(RATE * seconds), RATE, _batches(group), int(RATE * RATE_WARM_S))
        )
        ours.append(loki(cluster, load))
    tails_of_java = [run.p99_ms for run in theirs]
    fixed = Fixed(
        round(_ratio(ours, theirs, "p50_ms") - 1, 3),
        round(_median(ours, "p99_ms") - _median(theirs, "p99_ms"), 2),
        max(max(tails_of_java) - min(tails_of_java), 1.0),
        _figures({"loki": ours, "java": theirs}, ("p50_ms", "p99_ms", "cpu_us")),
    )
    print(
        f"{RATE:,} records/s for {seconds} s, linger {LINGER_S * 1000:.0f} ms, one partition, {count} runs each, in turn"
    )
    for name, found in (("loki load", ours), ("ProducerPerformance", theirs)):
        tails = ", ".join(f"{run.p99_ms:.1f}" for run in found)
        print(
            f"  {name}: mean {_median(found, 'mean_ms'):.2f} ms, p50 {_median(found, 'p50_ms'):.2f} ms, "
            f"p99 {_median(found, 'p99_ms'):.1f} ms ({tails}), {_median(found, 'cpu_us'):.0f} µs CPU a record"
        )
    print(
        f"  p50 {fixed.p50_apart:+.0%} (goal: within 15 %), p99 {fixed.p99_apart_ms:+.1f} ms "
        f"(goal: no more than the tool's own runs are apart, {fixed.java_p99_range_ms:.0f} ms)",
        flush=True,
    )
    return fixed


def loki(cluster: RealCluster, load: Scenario) -> Run:
    """One run of ours, whose every record must be there."""
    os.sync()
    target = Target(cluster.connection)
    control = target.connect()
    try:
        topics = scratch.plan(control, load, runs.new_run())
        with runs.begin(target, control, load, topics) as running:
            for _ in running.events():
                pass
            result = runs.finish(running, control)
    finally:
        control.close()
    assert result.passed, result.reason
    sends, cpu_s = result.sending[0], result.workers[0].cpu_s
    latency = sends.from_send
    assert cpu_s is not None and latency.mean_s is not None and latency.p50_s is not None and latency.p99_s is not None
    figures = (latency.mean_s * 1000, latency.p50_s * 1000, latency.p99_s * 1000)
    return Run(sends.rate_per_s, cpu_s / sends.sent * 1e6, *figures)


def producer_performance(
    cluster: RealCluster, partitions: int, records: int, rate: int, properties: dict[str, object], warm_up: int = 0
) -> Run:
    """One run of Kafka's tool, on a topic of its own."""
    os.sync()
    properties = {"acks": "all", **properties}
    with _topic(cluster, partitions) as topic:
        args = [
            find_java().path,
            "-Xmx512m",
            "-cp",
            ensure_kafka().classpath,
            "org.apache.kafka.tools.ProducerPerformance",
        ]
        args += ["--topic", topic, "--num-records", str(records), "--record-size", str(SIZE), "--throughput", str(rate)]
        args += ["--bootstrap-server", cluster.bootstrap_servers, "--command-property"]
        args += [f"{key}={value}" for key, value in properties.items()]
        args += ["--warmup-records", str(warm_up)] if warm_up else []
        process = subprocess.Popen(
            [str(arg) for arg in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert process.stdout is not None
        told = process.stdout.read()
        process.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = _TOLD.findall(told)
    assert process.returncode == 0 and found, told[-2000:]
    per_s, mean, p50, p99 = (float(number) for number in found[-1])
    return Run(per_s, (usage.ru_utime + usage.ru_stime) / records * 1e6, mean, p50, p99)


def _batches(group: Producers) -> dict[str, object]:
    return {"linger.ms": round(group.linger_s * 1000), "batch.size": group.batch_bytes}


def _scenario(
    group: Producers, seconds: float, records: int | None, partitions: int = FAST_PARTITIONS, **more: float
) -> Scenario:
    return Scenario("bench", seconds, (group,), topics=(LoadTopic(TOPIC, partitions, 3),), records=records, **more)  # type: ignore[arg-type]


@contextmanager
def _topic(cluster: RealCluster, partitions: int) -> Iterator[str]:
    name = f"{TOPIC}-{time.time_ns()}"
    with connect(cluster.connection) as control:
        assert control.create_topics([NewTopic(name, partitions, 3)]) == {name: None}
        while any(p.leader < 0 for t in control.topics([name]).values() for p in t.partitions):
            time.sleep(0.1)
        try:
            yield name
        finally:
            control.delete_topics([name])


def _figures(runs_of: dict[str, list[Run]], names: tuple[str, ...]) -> dict[str, float]:
    return {f"{who}_{name}": round(_median(found, name), 2) for who, found in runs_of.items() for name in names}


def _ratio(ours: list[Run], theirs: list[Run], figure: str) -> float:
    return round(_median(ours, figure) / _median(theirs, figure), 2)


def _median(found: list[Run], figure: str) -> float:
    return statistics.median(getattr(run, figure) for run in found)


if __name__ == "__main__":
    main()
