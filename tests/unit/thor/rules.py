"""The hard rules of a plan, checked from the outside: by a second implementation that shares nothing with the planner."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import combinations

from asgard.cluster.limits import Limits
from asgard.cluster.plan import Plan
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition


def applied(snapshot: ClusterSnapshot, plan: Plan) -> ClusterSnapshot:
    """The cluster after the plan was run to its end and preferred leaders were elected where they serve."""
    changes = {(c.topic, c.partition): c for c in plan.changes}
    up = {b.id for b in snapshot.brokers if b.state == "up"}
    partitions = []
    for p in snapshot.partitions:
        change = changes.get((p.topic, p.partition))
        if change:
            came = set(change.after) - set(p.replicas)
            isr = tuple(r for r in change.after if r in up and (r in p.isr or r in came))
            leader = change.after[0] if change.after[0] in isr else isr[0] if isr else -1
            p = replace(p, replicas=change.after, isr=isr, leader=leader, adding=(), removing=())
        partitions.append(p)
    sizes = _sizes(snapshot)
    grown: Counter[int] = Counter()
    for c in plan.changes:
        for r in set(c.after) - set(c.before):
            grown[r] += sizes[c.topic, c.partition]
        for r in set(c.before) - set(c.after):
            grown[r] -= sizes[c.topic, c.partition]
    brokers = tuple(replace(b, log_dirs=_grown(b.log_dirs, grown[b.id])) for b in snapshot.brokers)
    return replace(snapshot, brokers=brokers, partitions=tuple(partitions))


def _grown(dirs: tuple[LogDir, ...], by: int) -> tuple[LogDir, ...]:
    first = next((i for i, d in enumerate(dirs) if not d.offline), None)
    return tuple(
        replace(d, used_bytes=max(0, d.used_bytes + by)) if i == first and d.used_bytes is not None else d
        for i, d in enumerate(dirs)
    )


def placement(snapshot: ClusterSnapshot) -> dict[tuple[str, int], tuple[int, ...]]:
    """Replica lists by partition."""
    return {(p.topic, p.partition): p.replicas for p in snapshot.partitions}


def may_receive(broker: Broker, limits: Limits, draining: set[int], silent: tuple[int, ...] = ()) -> bool:
    """Whether a replica may be placed there."""
    return (
        broker.state == "up"
        and broker.id not in silent
        and broker.id not in draining
        and broker.id not in limits.exclude_brokers
        and not any(d.offline for d in broker.log_dirs)
        and not (broker.log_dirs and all(d.cordoned for d in broker.log_dirs))
    )


def lost(broker: Broker, p: Partition) -> bool:
    """Whether the replica no longer serves."""
    return broker.state != "up" or (
        any(d.offline for d in broker.log_dirs) and p.leader >= 0 and broker.id not in p.isr
    )


def collisions(replicas: tuple[int, ...], rack: dict[int, object]) -> int:
    """Pairs of replicas that share a rack: the fewer, the better spread."""
    return sum(n * (n - 1) // 2 for n in Counter(rack[r] for r in replicas).values())


def racks(snapshot: ClusterSnapshot) -> dict[int, object]:
    """The rack of each broker; one without is a rack of its own, unless none has any."""
    named = any(b.rack is not None for b in snapshot.brokers)
    return {b.id: (b.rack if b.rack is not None else ("own", b.id) if named else "all") for b in snapshot.brokers}


def broken_rules(snapshot: ClusterSnapshot, plan: Plan, limits: Limits, draining: set[int] = frozenset()) -> list[str]:  # type: ignore[assignment]
    """Every hard rule that the plan breaks; empty is right."""
    broken = []
    brokers = {b.id: b for b in snapshot.brokers}
    rack = racks(snapshot)
    at = {(p.topic, p.partition): p for p in snapshot.partitions}
    allowed = {b.id for b in snapshot.brokers if may_receive(b, limits, draining, snapshot.silent)}
    for c in plan.changes:
        p = at[c.topic, c.partition]
        name = f"{c.name} {c.before} -> {c.after}"
        if c.before != p.target_replicas:
            broken.append(f"{name}: before is not what the snapshot says ({p.target_replicas})")
        if c.before == c.after:
            broken.append(f"{name}: changes nothing")
        if len(set(c.after)) != len(c.after):
            broken.append(f"{name}: two replicas on one broker")
        if len(c.after) != len(c.before) and plan.kind not in ("set-rf", "undo"):
            broken.append(f"{name}: another replication factor")
        came = [r for r in c.after if r not in p.target_replicas]
        if bad := [r for r in came if r not in allowed]:
            broken.append(f"{name}: placed on {bad}, which may get nothing")
        kept = tuple(r for r in c.after if r in p.target_replicas)
        free = sorted(allowed - set(p.target_replicas))
        best = min((collisions(kept + x, rack) for x in combinations(free, len(came))), default=0)
        if plan.kind != "undo" and came and collisions(c.after, rack) > max(collisions(c.before, rack), best):
            broken.append(f"{name}: racks worse than before and than they allow")
        if (
            any(lost(brokers[r], p) and r in c.after for r in c.before)
            and not any(u.required for u in plan.unmet)
            and plan.kind not in ("undo", "set-rf")
        ):
            broken.append(f"{name}: keeps a lost replica and does not say so")
    if plan.kind != "undo":
        broken += _over_limits(snapshot, plan, limits)
        broken += _over_directories(snapshot, plan, limits)
    return broken


def _over_directories(snapshot: ClusterSnapshot, plan: Plan, limits: Limits) -> list[str]:
    """The same by log directory: a new replica on a broker with several is named one, and none gets over its limit."""
    broken = []
    sizes = _sizes(snapshot)
    several = {b.id: b for b in snapshot.brokers if len(b.log_dirs) > 1}
    home = {
        (p.topic, p.partition, r): path
        for p in snapshot.partitions
        for r, path in zip(p.replicas, p.log_dirs, strict=False)
        if path
    }
    held: Counter[tuple[int, str]] = Counter()
    for (topic, partition, r), path in home.items():
        if r in several and r in _partition(snapshot, topic, partition).target_replicas:
            held[r, path] += sizes[topic, partition]
    caps: dict[tuple[int, str], float] = {}
    for b in several.values():
        for d in b.log_dirs:
            if d.capacity_bytes is not None:
                other = max(0, (d.used_bytes or 0) - held[b.id, d.path])
                caps[b.id, d.path] = (limits.of(b.id).disk or 1) * d.capacity_bytes - other
    closed = {(b.id, d.path) for b in several.values() for d in b.log_dirs if d.offline or d.cordoned}
    for batch in plan.batches:
        freed: list[tuple[tuple[int, str], int]] = []
        gained = set()
        for c in (c for c in plan.changes if c.batch == batch.number):
            size = sizes[c.topic, c.partition]
            there = _partition(snapshot, c.topic, c.partition).replicas
            named = dict(zip(c.after, c.log_dirs, strict=False))
            for r in set(c.after) - set(there):
                if r in several:
                    path = named.get(r, "")
                    if not path or (r, path) in closed:
                        broken.append(f"{c.name}: no directory, or one that takes nothing, is named on broker {r}")
                    held[r, path] += size
                    gained.add((r, path))
            for r in set(c.before) - set(c.after):
                if r in several and (c.topic, c.partition, r) in home:
                    freed.append(((r, home[c.topic, c.partition, r]), size))
        for d in (d for d in plan.dir_changes if d.batch == batch.number):
            size = sizes[d.topic, d.partition]
            if home.get((d.topic, d.partition, d.broker)) != d.source or d.source == d.target:
                broken.append(f"{d.name}: it is not in {d.source}")
            if (d.broker, d.target) in closed:
                broken.append(f"{d.name}: {d.target} takes nothing")
            held[d.broker, d.target] += size
            gained.add((d.broker, d.target))
            freed.append(((d.broker, d.source), size))
        for at in gained:
            if held[at] > caps.get(at, float("inf")) * (1 + 1e-9) + 1e-6:
                broken.append(f"batch {batch.number}: {at} over its limit: {held[at]} > {caps[at]}")
        if len({d.broker for d in plan.dir_changes if d.batch == batch.number}) > 1:
            broken.append(f"batch {batch.number}: directories of more than one broker")
        for at, size in freed:
            held[at] -= size
    return broken


def _partition(snapshot: ClusterSnapshot, topic: str, partition: int) -> Partition:
    return next(p for p in snapshot.partitions if (p.topic, p.partition) == (topic, partition))


def _lead(p: Partition, brokers: dict[int, Broker]) -> int:
    first = p.target_replicas[0]
    return p.leader if lost(brokers[first], p) else first


def _over_limits(snapshot: ClusterSnapshot, plan: Plan, limits: Limits) -> list[str]:
    """Run the batches: what a batch brings is there before what it takes away is gone."""
    broken = []
    brokers = {b.id: b for b in snapshot.brokers}
    sizes = _sizes(snapshot)
    at = {(p.topic, p.partition): p for p in snapshot.partitions}
    use: dict[str, Counter[int]] = {k: Counter() for k in ("disk", "replicas", "leaders", "in", "out")}

    def out_of(p: Partition) -> float:
        return (p.bytes_out_per_s or 0) + (p.bytes_in_per_s or 0) * (len(p.target_replicas) - 1)

    for key, p in at.items():
        for r in p.target_replicas:
            use["disk"][r] += sizes[key]
            use["replicas"][r] += 1
            use["in"][r] += p.bytes_in_per_s or 0
        lead = _lead(p, brokers)
        if lead >= 0:
            use["leaders"][lead] += 1
            use["out"][lead] += out_of(p)
    caps: dict[str, dict[int, float]] = {k: {} for k in use}
    for b in snapshot.brokers:
        limit = limits.of(b.id)
        dirs = [d for d in b.log_dirs if not d.offline]
        capacity = limit.capacity_bytes
        other = 0
        if capacity is None and dirs and all(d.capacity_bytes is not None for d in dirs):
            capacity = sum(d.capacity_bytes or 0 for d in dirs)
            other = max(0, sum(d.used_bytes or 0 for d in dirs) - use["disk"][b.id])
        if capacity is not None:
            caps["disk"][b.id] = (limit.disk or 1) * capacity - other
        for what, value in (
            ("replicas", limit.replicas),
            ("leaders", limit.leaders),
            ("in", limit.bytes_in_per_s),
            ("out", limit.bytes_out_per_s),
        ):
            if value is not None:
                caps[what][b.id] = value
    for batch in plan.batches:
        gained: set[tuple[str, int]] = set()
        after = []
        for c in (c for c in plan.changes if c.batch == batch.number):
            p = at[c.topic, c.partition]
            for r in set(c.after) - set(p.replicas):
                use["disk"][r] += sizes[c.topic, c.partition]
                use["replicas"][r] += 1
                use["in"][r] += p.bytes_in_per_s or 0
                gained |= {("disk", r), ("replicas", r), ("in", r)}
            # Of a list that lost its preferred leader, the leader it has goes on.
            old, new = _lead(p, brokers), c.after[0]
            if lost(brokers[new], p):
                new = old
            if old != new:
                use["leaders"][new] += 1
                use["out"][new] += out_of(p)
                gained |= {("leaders", new), ("out", new)}
            after.append((c, p, old, new))
        for what, r in gained:
            if use[what][r] > caps[what].get(r, float("inf")) * (1 + 1e-9) + 1e-6:
                broken.append(
                    f"batch {batch.number}: broker {r} over its limit of {what}: {use[what][r]} > {caps[what][r]}"
                )
        for c, p, old, new in after:
            for r in set(p.target_replicas) - set(c.after):
                use["disk"][r] -= sizes[c.topic, c.partition]
                use["replicas"][r] -= 1
                use["in"][r] -= p.bytes_in_per_s or 0
            if old != new and old >= 0:
                use["leaders"][old] -= 1
                use["out"][old] -= out_of(p)
    return broken


def _sizes(snapshot: ClusterSnapshot) -> dict[tuple[str, int], int]:
    of: dict[str, list[int]] = {}
    for p in snapshot.partitions:
        if p.size_bytes is not None:
            of.setdefault(p.topic, []).append(p.size_bytes)
    every = [s for group in of.values() for s in group]
    mean = sum(every) // len(every) if every else 0
    return {
        (p.topic, p.partition): p.size_bytes
        if p.size_bytes is not None
        else (sum(of[p.topic]) // len(of[p.topic]) if p.topic in of else mean)
        for p in snapshot.partitions
    }
