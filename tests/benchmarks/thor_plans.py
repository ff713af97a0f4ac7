"""Plans of large clusters: bytes against the least possible, spread, time and memory of the whole command, and Kafka's own tool.

`python -m tests.benchmarks.thor_plans [--large]`. Thor is run as a process of its own, reading the snapshot and writing the plan, so
its time is what a user waits. Kafka's tool is `kafka-reassign-partitions --generate` without a cluster: its own calculation, called by
ReassignGenerate.java with the jars that Asgard uses; its time is that calculation alone, without the start of a JVM. It knows no
sizes, so it spreads replica counts and says nothing of leaders or bytes: what it proposes is weighed here with the same sizes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from asgard.cluster import snapshot_file
from asgard.cluster.plan import Plan
from asgard.kafka.model import ClusterSnapshot
from asgard.thor.plan import file as plan_file
from tests.benchmarks.thor_clusters import KINDS, Kind, cluster_for

HERE = Path(__file__).parent
SMALL, LARGE = (100, 10_000), (1_000, 200_000)
GOAL_S: dict[tuple[int, Kind], float] = {(100, k): 1.5 for k in KINDS} | {(1_000, k): 10.0 for k in KINDS}
GOAL_MIB = 2048
GOAL_RATIO = 1.01
GOAL_SPREAD = 1.10
GOAL_HEALED_DISK = 1.15
SPREADS_LEADERS = ("heal", "fill", "balance")


@dataclass(frozen=True)
class Result:
    """What one planner did with one cluster. `memory_mib` is None where it was not measured.

    `disk_least`: a healing or draining that copies only what must leave can't get below it, as the fullest broker keeps what it has.
    """

    cluster: str
    kind: str
    planner: str
    seconds: float
    memory_mib: int | None
    tib_moved: float
    of_bound: float
    disk: float
    replicas: float
    leaders: float
    disk_least: float | None = None


def measure(kind: Kind, brokers: int, partitions: int, folder: Path) -> tuple[list[Result], list[str]]:
    """Thor and Kafka's tool on the same cluster, and where Thor missed a goal."""
    snapshot, arguments = cluster_for(kind, brokers, partitions)
    source, out = folder / f"{kind}.json", folder / f"{kind}-plan.json"
    snapshot_file.write(snapshot, source)
    seconds, memory = _thor(arguments, source, out)
    plan = plan_file.read(out)
    bound = plan.lower_bound_bytes or 1
    cluster, after = f"{brokers:,} x {partitions:,}", plan.spread_after
    ours = Result(
        cluster,
        kind,
        "thor",
        seconds,
        memory,
        plan.bytes_moved / 2**40,
        plan.bytes_moved / bound,
        after.disk,
        after.replicas,
        after.leaders,
        _disk_least(plan) if kind in ("heal", "drain") else None,
    )
    theirs = _kafka(snapshot, arguments, folder, cluster, bound)
    missed = []
    if ours.of_bound > GOAL_RATIO:
        missed.append(f"{cluster} {kind}: moves {ours.of_bound:.3f} of the bound, at most {GOAL_RATIO} is wanted")
    if kind == "balance" and ours.disk > GOAL_SPREAD:
        missed.append(f"{cluster} balance: disk {ours.disk}, at most {GOAL_SPREAD} is wanted")
    if kind in SPREADS_LEADERS and ours.leaders > GOAL_SPREAD:
        missed.append(f"{cluster} {kind}: leaders {ours.leaders}, at most {GOAL_SPREAD} is wanted")
    if ours.disk_least and ours.disk > max(GOAL_HEALED_DISK, round(ours.disk_least, 4)):
        missed.append(f"{cluster} {kind}: disk {ours.disk}, {max(GOAL_HEALED_DISK, ours.disk_least):.4f} is possible")
    if seconds > GOAL_S[brokers, kind]:
        missed.append(f"{cluster} {kind}: {seconds:.1f} s, at most {GOAL_S[brokers, kind]} is wanted")
    if memory > GOAL_MIB:
        missed.append(f"{cluster} {kind}: {memory} MiB, at most {GOAL_MIB} is wanted")
    return [ours, theirs], missed


def _disk_least(plan: Plan) -> float:
    """What the fullest broker that stays holds already, over the mean of all that stay."""
    stay = [b for b in plan.brokers if not b.note]
    return max(b.before.bytes for b in stay) * len(stay) / sum(b.after.bytes for b in stay)


def _thor(arguments: list[str], source: Path, out: Path) -> tuple[float, int]:
    """Seconds and MiB of `asgard thor plan` as a process."""
    code = "import sys; from asgard.cli.main import run; run()"
    command = [sys.executable, "-c", code, "thor", "plan", *arguments, "--snapshot", str(source), "--out", str(out)]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=source.parent, env=_env()
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: {said}")
    return seconds, usage.ru_maxrss // 1024


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HERE.parents[1])}


def _kafka(snapshot: ClusterSnapshot, arguments: list[str], folder: Path, cluster: str, bound: int) -> Result:
    from asgard.kafka.distribution.home import ensure_kafka

    drained = {int(a) for a in arguments[1:]} if arguments[0] == "drain" else set()
    usable = [b for b in snapshot.brokers if b.state == "up" and b.id not in drained]
    given = folder / "generate.txt"
    lines = [f"b {b.id} {b.rack}" for b in usable]
    lines += [f"p {p.topic} {p.partition} {','.join(map(str, p.replicas))}" for p in snapshot.partitions]
    given.write_text("\n".join(lines))
    done = subprocess.run(
        ["java", "-cp", ensure_kafka().classpath, str(HERE / "ReassignGenerate.java"), str(given)],
        capture_output=True,
        text=True,
        check=True,
    )
    milliseconds = next(int(line) for line in done.stderr.splitlines() if line.isdecimal())
    proposed = {}
    for line in done.stdout.splitlines():
        _, topic, partition, ids = line.split(" ")
        proposed[topic, int(partition)] = [int(i) for i in ids.split(",")]
    disk = {b.id: 0 for b in usable}
    count, lead = dict(disk), dict(disk)
    moved = 0
    for p in snapshot.partitions:
        replicas = proposed[p.topic, p.partition]
        moved += (p.size_bytes or 0) * len(set(replicas) - set(p.replicas))
        lead[replicas[0]] += 1
        for r in replicas:
            disk[r] += p.size_bytes or 0
            count[r] += 1
    return Result(
        cluster,
        arguments[0],
        "kafka --generate",
        milliseconds / 1000,
        None,
        moved / 2**40,
        moved / bound,
        *(max(v.values()) / (sum(v.values()) / len(v)) for v in (disk, count, lead)),
    )


def bench(sizes: list[tuple[int, int]], kinds: list[Kind]) -> tuple[list[Result], list[str]]:
    """All results, and all goals that were missed."""
    results: list[Result] = []
    missed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for brokers, partitions in sizes:
            for kind in kinds:
                found, wrong = measure(kind, brokers, partitions, Path(folder))
                results += found
                missed += wrong
    return results, missed


def table(results: list[Result]) -> str:
    """What is compared, side by side."""
    from tabulate import tabulate

    rows = [
        [
            r.cluster,
            r.kind,
            r.planner,
            f"{r.seconds:.2f}",
            r.memory_mib,
            f"{r.tib_moved:.2f}",
            f"{r.of_bound:.3f}",
            f"{r.disk:.3f}",
            f"{r.replicas:.3f}",
            f"{r.leaders:.3f}",
            None if r.disk_least is None else f"{r.disk_least:.3f}",
        ]
        for r in results
    ]
    headers = [
        "brokers x partitions",
        "plan",
        "planner",
        "s",
        "MiB",
        "TiB moved",
        "of the least",
        "disk max/mean",
        "replicas",
        "leaders",
        "least disk max/mean",
    ]
    return tabulate(rows, headers=headers, disable_numparse=True, missingval="-")


def compare(sizes: list[tuple[int, int]] | None = None, kinds: list[Kind] | None = None) -> list[str]:
    """Print the table, and the goals that were missed."""
    results, missed = bench(sizes or [SMALL], kinds or list(KINDS))
    print("thor: whole command, snapshot read and plan written; kafka: calculation alone, without JVM start or output")
    print(table(results))
    print(*missed, sep="\n")
    return missed


def main() -> int:
    """1 where a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.thor_plans", description=__doc__)
    parser.add_argument("--large", action="store_true", help="1,000 brokers with 200,000 partitions, too")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only this plan")
    given = parser.parse_args()
    return 1 if compare([SMALL, LARGE] if given.large else [SMALL], given.kind) else 0


if __name__ == "__main__":
    sys.exit(main())
