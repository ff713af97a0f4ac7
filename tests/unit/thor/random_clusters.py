"""Random small clusters of every awkward kind, for property tests."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import strategies as st

from asgard.cluster.limits import BrokerLimit, Limits
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition, TopicFacts


@st.composite
def clusters(
    draw: st.DrawFn, *, dead: int = 2, awkward: bool = True, jbod: bool = False
) -> tuple[ClusterSnapshot, Limits]:
    """A cluster and limits: uneven racks, dead brokers, different capacities, RF 1 to 5, skewed sizes.

    `jbod`: most brokers have several log directories. `awkward`: also offline and cordoned log directories, brokers that don't answer, running moves, unmeasured sizes, exclusions.
    """
    brokers = draw(st.integers(1, 9))
    partitions = draw(st.integers(0, 40))
    racks = draw(st.integers(0, 4))
    gone = draw(st.integers(0, min(dead, brokers - 1)))
    rng = random.Random(draw(st.integers(0, 2**32)))
    return made(rng, brokers, partitions, racks, gone, awkward, jbod)


def made(
    rng: random.Random, brokers: int, partitions: int, racks: int, gone: int, awkward: bool, jbod: bool = False
) -> tuple[ClusterSnapshot, Limits]:
    """The cluster of a random generator."""
    ids = rng.sample(range(100), brokers)
    dead = set(rng.sample(ids, gone))
    rack_of = {b: _rack(rng, racks, awkward) for b in ids}
    weight = {b: rng.lognormvariate(0, 1) for b in ids}
    parts = [p for t in range(max(1, partitions // 5)) for p in _topic(rng, f"t{t}", ids, weight, dead, awkward)]
    parts = parts[:partitions]
    with_capacity = rng.random() < 0.8
    nodes = []
    for b in ids:
        used = sum(p.size_bytes or 0 for p in parts if b in p.replicas)
        capacity = int((used + 10) * rng.uniform(0.9, 4)) if with_capacity else None
        if jbod and rng.random() < 0.6:
            dirs = _several(rng, b, parts, with_capacity, awkward)
            nodes.append(Broker(b, rack_of[b], "h", 9092, "up" if b not in dead else "fenced", tuple(dirs)))
            continue
        dirs = [LogDir("/a", capacity, used + (rng.randrange(50) if awkward else 0))]
        if awkward and rng.random() < 0.08:
            dirs.append(LogDir("/b", 1000, 10, offline=rng.random() < 0.5, cordoned=True))
        if awkward and rng.random() < 0.05:
            dirs = [replace(d, cordoned=True) for d in dirs]
        state = rng.choice(("fenced", "missing")) if b in dead else "up"
        nodes.append(Broker(b, rack_of[b], "h", 9092, state, tuple(dirs)))  # type: ignore[arg-type]
    topics = {p.topic: TopicFacts(min_isr=1) for p in parts}
    silent = tuple(b for b in ids if awkward and b not in dead and rng.random() < 0.04)
    snapshot = ClusterSnapshot(
        "2026-11-24T09:00:00Z", "random", ids[0], tuple(nodes), tuple(parts), topics, silent=silent
    )
    return snapshot, _limits(rng, ids, parts, awkward)


def _several(rng: random.Random, b: int, parts: list[Partition], with_capacity: bool, awkward: bool) -> list[LogDir]:
    """Two or three directories, and the replicas of the broker dealt to them; of some it is not known which they are in."""
    paths = ["/a", "/b", "/c"][: rng.randint(2, 3)]
    used = dict.fromkeys(paths, 0)
    for i, p in enumerate(parts):
        if b not in p.replicas:
            continue
        path = rng.choices(paths, range(len(paths), 0, -1))[0]
        used[path] += p.size_bytes or 0
        known = "" if awkward and rng.random() < 0.05 else path
        dirs = p.log_dirs or ("",) * len(p.replicas)
        at = p.replicas.index(b)
        parts[i] = replace(p, log_dirs=(*dirs[:at], known, *dirs[at + 1 :]))
    found = []
    for path in paths:
        size = int((used[path] + 10) * rng.uniform(0.9, 4)) if with_capacity else None
        other = rng.randrange(50) if awkward else 0
        found.append(LogDir(path, size, used[path] + other, cordoned=awkward and rng.random() < 0.05))
    return found


def _rack(rng: random.Random, racks: int, awkward: bool) -> str | None:
    if racks == 0 or (awkward and rng.random() < 0.03):
        return None
    return f"r{min(rng.randrange(racks), rng.randrange(racks))}"


def _topic(
    rng: random.Random, name: str, ids: list[int], weight: dict[int, float], dead: set[int], awkward: bool
) -> list[Partition]:
    rf = min(len(ids), rng.choice((1, 2, 3, 3, 3, 4, 5)))
    made = []
    for n in range(rng.randint(1, 8)):
        replicas: list[int] = []
        while len(replicas) < rf:
            b = rng.choices(ids, [weight[i] for i in ids])[0]
            if b not in replicas:
                replicas.append(b)
        isr = [r for r in replicas if r not in dead]
        if awkward and len(isr) > 1 and rng.random() < 0.1:
            isr.pop()
        size = None if awkward and rng.random() < 0.05 else int(rng.lognormvariate(4, 1.5))
        p = Partition(
            name,
            n,
            tuple(replicas),
            tuple(isr),
            isr[0] if isr else -1,
            size_bytes=size,
            bytes_in_per_s=rng.choice((None, 0.0, 10.0, 50.0)),
            bytes_out_per_s=rng.choice((None, 5.0, 100.0)),
        )
        free = [b for b in ids if b not in replicas and b not in dead]
        if awkward and free and rng.random() < 0.05:
            new = rng.choice(free)
            p = replace(p, replicas=(*replicas, new), adding=(new,), removing=(rng.choice(replicas),))
        made.append(p)
    return made


def _limits(rng: random.Random, ids: list[int], parts: list[Partition], awkward: bool) -> Limits:
    replicas = sum(len(p.replicas) for p in parts)

    def some(value: float, chance: float = 0.25) -> int | None:
        return int(value * rng.uniform(0.8, 2)) + 1 if rng.random() < chance else None

    own = {
        b: BrokerLimit(disk=rng.uniform(0.3, 1.0), replicas=some(replicas / len(ids)))
        for b in ids
        if rng.random() < 0.2
    }
    return Limits(
        disk=rng.choice((0.5, 0.8, 1.0)),
        replicas=some(replicas / len(ids)),
        leaders=some(len(parts) / len(ids)),
        bytes_in_per_s=some(20 * replicas / len(ids)),
        bytes_out_per_s=some(80 * len(parts) / len(ids)),
        tolerance=rng.choice((0.05, 0.1, 0.3)),
        min_gain=rng.choice((0.01, 0.05, 0.5)),
        exclude_topics=("t1",) if awkward and rng.random() < 0.2 else (),
        exclude_brokers=frozenset(rng.sample(ids, 1)) if awkward and rng.random() < 0.15 else frozenset(),
        throttle_bytes_per_s=rng.choice((1.0, 10.0, None)),
        moves_per_broker=rng.choice((None, 1, 3)),
        batch_bytes=rng.choice((None, 500)),
        brokers=own,
    )
