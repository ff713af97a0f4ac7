"""From a planner's final placement to the plan: changes in batches, loads before and after, unmet goals."""

from __future__ import annotations

from dataclasses import asdict

from asgard.cluster.limits import Limits
from asgard.cluster.placement import Loads, Placement
from asgard.cluster.plan import BrokerChange, Change, Kind, Plan, Spread
from asgard.thor.plan.batches import PartitionChange, Scheduler
from asgard.thor.plan.place import Failures


def finish(
    placement: Placement,
    kind: Kind,
    arguments: tuple[str, ...] = (),
    *,
    bound: int | None = None,
    urgent: bool = False,
    limited: bool = True,
) -> Plan:
    """The plan that achieves the placement.

    `urgent`: partitions with the fewest in-sync replicas go first, and those that only change their leader last.
    `limited`: the limits hold while it runs.
    """
    steps = [
        _step(placement, p, urgent)
        for p in range(len(placement.parts))
        if tuple(placement.reps[p]) != placement.before[p]
    ]
    scheduler = Scheduler(placement, limited=limited)
    copies, orders = [s for s in steps if s.gains], [s for s in steps if not s.gains]
    batches, stuck = scheduler.order(copies if urgent else steps)
    if urgent and (stuck or orders):
        # Leaders are spread once no replica is missing any more.
        more, stuck = scheduler.order(stuck + orders)
        batches += more
    # If only the change of leaders is in the way, the replicas move without it.
    keeping = [s for s in stuck if s.lead_from in placement.reps[s.p]]
    kept = Failures("order of leaders", required=False)
    for step in keeping:
        placement.put_first(step.p, step.lead_from)
        why = "no order of the moves keeps every broker within its limits at all times: the leader stays"
        kept.add(placement.name(step.p), why, "`thor plan leaders` after this plan")
    placement.unmet += kept.unmet()
    again = [_step(placement, s.p, urgent) for s in keeping if tuple(placement.reps[s.p]) != placement.before[s.p]]
    more, stuck = scheduler.order(again + [s for s in stuck if s not in keeping])
    batches += more
    blocked = Failures(f"order the moves of {kind}")
    for step in stuck:
        blocked.add(
            placement.name(step.p),
            "no order of the moves keeps every broker within its limits at all times",
            "a higher limit, or more room on any broker",
        )
        placement.revert(step.p)
    placement.unmet += blocked.unmet()
    before, after = placement.start, placement.loads()
    received, sent = [0] * len(placement.brokers), [0] * len(placement.brokers)
    changes = []
    for number, batch in enumerate(batches, 1):
        for step in batch:
            part = placement.parts[step.p]
            sent[step.source] += step.bytes_moved
            for b in step.gains:
                received[b] += step.size
            changes.append(
                Change(
                    part.topic,
                    part.partition,
                    tuple(placement.ids[b] for b in placement.before[step.p]),
                    tuple(placement.ids[b] for b in placement.reps[step.p]),
                    step.bytes_moved,
                    number,
                    _why(placement, step),
                    *_directories(placement, step),
                )
            )
    brokers = tuple(
        BrokerChange(
            placement.ids[b],
            placement.brokers[b].rack,
            placement.refusal[b],
            placement.load(b, before),
            placement.load(b, after),
            received[b],
            sent[b],
        )
        for b in range(len(placement.brokers))
    )
    return Plan(
        kind,
        arguments,
        placement.snapshot.cluster_id,
        placement.snapshot.taken_at,
        tuple(changes),
        scheduler.described(batches),
        brokers,
        spread(placement, before),
        spread(placement, after),
        tuple(placement.unmet),
        tuple(placement.notes),
        placement.limits.rate_bytes_per_s,
        bound,
        limits_as_plain(placement.limits),
        log_dirs=tuple(d for b in placement.dirs.of for d in placement.dirs.loads(b)),
    )


def _directories(placement: Placement, step: PartitionChange) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The directories to name for new replicas, and those of the former replicas."""
    if not placement.dirs.of:
        return (), ()
    new = set(step.gains)
    after = tuple(
        placement.dirs.path(step.p, b) if b in new and placement.split[b] else "" for b in placement.reps[step.p]
    )
    before = tuple(
        placement.dirs.path_before(step.p, b) if placement.split[b] else "" for b in placement.before[step.p]
    )
    return after if any(after) else (), before if any(before) else ()


def spread(placement: Placement, loads: Loads) -> Spread:
    """How even the participating brokers are."""
    active = placement.active

    def over_mean(values: list[float]) -> float:
        mean = sum(values) / len(values) if values else 0.0
        return round(max(values) / mean, 4) if mean > 0 else 1.0

    return Spread(
        over_mean([loads.disk[b] / placement.share[b] if placement.share[b] else 0.0 for b in active]),
        over_mean([float(loads.count[b]) for b in active]),
        over_mean([float(loads.leads[b]) for b in active]),
        over_mean([loads.bytes_out[b] for b in active]),
    )


def limits_as_plain(limits: Limits) -> dict[str, object]:
    """The limits that were in force, as the plan records them."""
    plain: dict[str, object] = {
        "disk": limits.disk,
        "tolerance": limits.tolerance,
        "min_gain": limits.min_gain,
        "throttle_bytes_per_s": limits.rate_bytes_per_s,
    }
    for key in ("bytes_in_per_s", "bytes_out_per_s", "replicas", "leaders", "moves_per_broker", "batch_bytes"):
        if (value := getattr(limits, key)) is not None:
            plain[key] = value
    if limits.log_dirs or any(b.log_dirs for b in limits.brokers.values()):
        plain["log_dirs"] = {
            **{path: asdict(d) for path, d in limits.log_dirs.items()},
            **{f"{b}:{path}": asdict(d) for b, own in limits.brokers.items() for path, d in own.log_dirs.items()},
        }
    if limits.exclude_topics:
        plain["exclude_topics"] = list(limits.exclude_topics)
    if limits.exclude_brokers:
        plain["exclude_brokers"] = sorted(limits.exclude_brokers)
    return plain


def _step(placement: Placement, p: int, urgent: bool) -> PartitionChange:
    part = placement.parts[p]
    held = {placement.index[r] for r in part.replicas} if p in placement.moving else placement.before[p]
    now = placement.reps[p]
    lead = placement.before[p][0]
    if placement.lost(p, lead):
        lead = placement.index.get(part.leader, -1)
    facts = placement.snapshot.topics.get(part.topic)
    in_sync = sum(1 for r in part.isr if placement.up[placement.index[r]]) if urgent else 0
    changed = placement.lead[p] != lead
    return PartitionChange(
        p,
        in_sync - ((facts.min_isr if facts else None) or 1) if urgent else 0,
        placement.size[p],
        placement.index.get(part.leader, lead if lead >= 0 else now[0]),
        [b for b in now if b not in held],
        [b for b in placement.before[p] if b not in now],
        lead if changed else -1,
        placement.lead[p] if changed else -1,
    )


def _why(placement: Placement, step: PartitionChange) -> str:
    moved = placement.log.get(step.p, [])
    reasons = [moved[0][2]] if len(moved) == 1 else list(dict.fromkeys([why for _, _, why in moved]))
    if not reasons and step.lead_to >= 0:
        reasons = [
            f"broker {placement.ids[step.lead_to]} leads fewer partitions than broker {placement.ids[step.lead_from]}"
        ]
    return "; ".join(reasons) or "order of the replicas"
