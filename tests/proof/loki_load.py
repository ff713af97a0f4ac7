"""Loads against Kafka's own tool, against a broker that hangs, and in several processes: the figures behind docs/loki-load.md."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asgard.kafka.target import Target
from asgard.loki.load import run as runs
from asgard.loki.load.result import Latency
from asgard.loki.load.scenario import Consumers, LoadTopic, Producers, Scenario, Stage
from tests.benchmarks import bench_load
from tests.harness import RealCluster
from tests.harness.loading import carry_out

HANG_S, HANG_AT_S = 3, 5


def prove() -> tuple[dict[str, object], list[str]]:
    """The figures, and in sentences what is not as it should be."""
    figures: dict[str, object] = {}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ASGARD_HOME"] = folder
        with RealCluster(Path(folder) / "kafka", brokers=3, security="none", heap_bytes=512 * 1024 * 1024) as cluster:
            fast = bench_load.full_speed(cluster)
            figures["throughput_against_producer_performance"] = asdict(fast)
            wrong += [] if fast.ratio >= 1 else [f"throughput is {fast.ratio} of the Java tool's"]
            fixed = bench_load.fixed_rate(cluster)
            figures["latency_at_a_fixed_rate"] = asdict(fixed)
            wrong += [] if abs(fixed.p50_apart) <= 0.15 else [f"the medians of p50 are {fixed.p50_apart:+.0%} apart"]
            within = abs(fixed.p99_apart_ms) <= fixed.java_p99_range_ms
            wrong += [] if within else [f"the medians of p99 are {fixed.p99_apart_ms} ms apart"]
            for name, prove_it in (("hanging_broker", _hanging), ("workers", _workers)):
                figures[name], found = prove_it(cluster)
                wrong += found
    return figures, wrong


def _hanging(cluster: RealCluster) -> tuple[dict[str, object], list[str]]:
    """Three seconds of SIGSTOP at 200 records a second, and a closed loop beside it."""
    rate = Producers("open loop", "t", stages=(Stage(20, 200, 200),))
    closed = Producers("closed loop", "t", in_flight=1, linger_s=0)
    hung: list[float] = []

    def hang(event: dict[str, Any], load: runs.Load) -> None:
        if event["event"] == "progress" and event["at_s"] > HANG_AT_S and not hung:
            hung.append(event["at_s"])
            cluster.pause(2)
            time.sleep(HANG_S)
            cluster.resume(2)

    result = carry_out(
        Target(cluster.connection), Scenario("hang", 20, (rate, closed), topics=(LoadTopic("t", 6),)), hang
    )
    honest, blind = (sends.latency for sends in result.sending)
    assert honest.p99_s is not None and blind.p99_s is not None
    wrong = [] if honest.p99_s > 1 else [f"three seconds of a hanging broker show as a p99 of {honest.p99_s} s"]
    wrong += [] if blind.p99_s < 0.5 else [f"the closed loop's p99 is {blind.p99_s} s: it hides less than it should"]
    wrong += [] if result.passed else [f"hanging broker: {result.reason}"]
    return {"open_loop": _plain(honest), "closed_loop": _plain(blind)}, wrong


def _workers(cluster: RealCluster) -> tuple[dict[str, object], list[str]]:
    """One process, two workers and a master, and two of which one is killed."""
    sends = Producers("sends", "t", users=2, stages=(Stage(10, 2000, 2000),))
    load = Scenario("workers", 10, (sends,), (Consumers("t", users=2),), topics=(LoadTopic("t", 6),))
    killed: list[int] = []

    def kill(event: dict[str, Any], running: runs.Load) -> None:
        if event["event"] == "progress" and event["at_s"] > 4 and not killed:
            killed.append(running.pids["worker-1"])
            os.kill(killed[0], signal.SIGKILL)

    one, two = carry_out(Target(cluster.connection), load), carry_out(Target(cluster.connection), load, workers=2)
    dead = carry_out(Target(cluster.connection), load, kill, workers=2)
    figures, wrong = {}, []
    for name, found in (("one_process", one), ("two_workers", two), ("one_of_two_killed", dead)):
        sent, acked = found.sending[0].sent, found.sending[0].acked
        figures[name] = {"sent": sent, "acked": acked, "read": found.reading[0].read, "reason": found.reason}
    for name in ("sent", "acked"):
        there, here = getattr(two.sending[0], name), getattr(one.sending[0], name)
        wrong += [] if abs(there / here - 1) <= 0.02 else [f"two workers: {name} {there}, one process {here}"]
    reported = any(w.state == "lost" and w.pid == killed[0] for w in dead.workers)
    wrong += [] if reported and not dead.passed else ["a killed worker was not reported"]
    return figures, wrong


def _plain(latency: Latency) -> dict[str, float | None]:
    return {name: getattr(latency, name) for name in ("p50_s", "p90_s", "p99_s", "max_s")}
