"""Clusters for Thor's benchmarks and tests: seeded, so that a figure can be had again.

`python -m tests.benchmarks.thor_clusters balance --brokers 100 --partitions 10000 --out FILE` writes one as a snapshot.
Sizes are log-normal (sigma 1, median about 0.9 GB), racks are even, replicas are spread over the racks. Loads follow the weights of the
brokers: even, or (skewed) log-normal with sigma 0.35.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path
from typing import Literal

from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition, TopicFacts

Kind = Literal["heal", "drain", "fill", "balance"]
KINDS: tuple[Kind, ...] = ("heal", "drain", "fill", "balance")
CAPACITY_BYTES = 4_000_000_000_000


def generate(
    brokers: int, partitions: int, *, rf: int = 3, racks: int = 5, seed: int = 1, skew: float = 0.0, empty: int = 0
) -> ClusterSnapshot:
    """A healthy cluster; the last `empty` brokers hold nothing."""
    rng = random.Random(seed)
    weights = [rng.lognormvariate(0, skew) for _ in range(brokers)]
    by_rack = [[b for b in range(brokers - empty) if b % racks == rack] for rack in range(racks)]
    cumulative = []
    for members in by_rack:
        total, sums = 0.0, []
        for b in members:
            total += weights[b]
            sums.append(total)
        cumulative.append(sums)
    made = []
    for i in range(partitions):
        chosen = rng.sample(range(racks), rf) if rf <= racks else [n % racks for n in range(rf)]
        replicas: list[int] = []
        for rack in chosen:
            while (b := rng.choices(by_rack[rack], cum_weights=cumulative[rack])[0]) in replicas:
                pass
            replicas.append(b)
        size = int(rng.lognormvariate(20.6, 1.0))
        rate = round(size / 86400, 1)
        made.append(
            Partition(
                f"topic-{i // 20:05d}",
                i % 20,
                tuple(replicas),
                tuple(replicas),
                replicas[0],
                size_bytes=size,
                bytes_in_per_s=rate,
                bytes_out_per_s=round(rate * rng.uniform(0.5, 3), 1),
            )
        )
    used = [0] * brokers
    for p in made:
        for b in p.replicas:
            used[b] += p.size_bytes or 0
    nodes = tuple(
        Broker(b, f"rack-{b % racks}", f"kafka-{b}", 9092, "up", (LogDir("/data", CAPACITY_BYTES, used[b]),))
        for b in range(brokers)
    )
    topics = {p.topic: TopicFacts(min_isr=2) for p in made}
    return ClusterSnapshot("2026-11-24T09:00:00Z", f"generated-{seed}", 0, nodes, tuple(made), topics)


def without(snapshot: ClusterSnapshot, *dead: int) -> ClusterSnapshot:
    """The same cluster after these brokers died: out of every ISR, their partitions led by another."""
    gone = set(dead)
    brokers = tuple(replace(b, state="fenced") if b.id in gone else b for b in snapshot.brokers)
    partitions = []
    for p in snapshot.partitions:
        if gone & set(p.replicas):
            isr = tuple(r for r in p.isr if r not in gone)
            p = replace(p, isr=isr, leader=p.leader if p.leader in isr else (isr[0] if isr else -1))
        partitions.append(p)
    return replace(snapshot, brokers=brokers, partitions=tuple(partitions))


def cluster_for(kind: Kind, brokers: int, partitions: int, seed: int = 1) -> tuple[ClusterSnapshot, list[str]]:
    """The cluster of a benchmark and the arguments of `asgard thor plan` that belong to it."""
    if kind == "heal":
        return without(generate(brokers, partitions, seed=seed), 7), ["heal"]
    if kind == "drain":
        return generate(brokers, partitions, seed=seed), ["drain", "7"]
    if kind == "fill":
        new = list(range(brokers - 5, brokers))
        return generate(brokers, partitions, seed=seed, empty=5), ["fill", *map(str, new)]
    return generate(brokers, partitions, seed=seed, skew=0.35), ["balance"]


def main() -> None:
    """Write one cluster."""
    from asgard.cluster import snapshot_file

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--brokers", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    snapshot, arguments = cluster_for(given.kind, given.brokers, given.partitions, given.seed)
    snapshot_file.write(snapshot, given.out)
    print("asgard thor plan", *arguments, "--snapshot", given.out)


if __name__ == "__main__":
    main()
