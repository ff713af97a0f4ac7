"""From the board a planner left behind to the plan: changes in batches, loads before and after, what was not met."""

from __future__ import annotations

from asgard.cluster.limits import Limits
from asgard.cluster.placement import Board, Loads
from asgard.cluster.plan import BrokerChange, Change, Kind, Plan, Spread
from asgard.thor.plan.batches import Scheduler, Step
from asgard.thor.plan.place import Failures


def finish(
    board: Board,
    kind: Kind,
    arguments: tuple[str, ...] = (),
    *,
    bound: int | None = None,
    urgent: bool = False,
    limited: bool = True,
) -> Plan:
    """The plan that brings the board about.

    `urgent`: partitions with the fewest replicas in sync go first. `limited`: the limits hold while it runs.
    """
    steps = [_step(board, p, urgent) for p in range(len(board.parts)) if tuple(board.reps[p]) != board.before[p]]
    scheduler = Scheduler(board, limited=limited)
    batches, stuck = scheduler.order(steps)
    # Where only the change of leaders stands in the way, the replicas go without it.
    keeping = [s for s in stuck if s.lead_from in board.reps[s.p]]
    kept = Failures("order of leaders", required=False)
    for step in keeping:
        board.put_first(step.p, step.lead_from)
        why = "no order of the moves keeps every broker within its limits at every moment: the leader stays"
        kept.add(board.name(step.p), why, "`thor plan leaders` once this plan has been run")
    board.unmet += kept.unmet()
    again = [_step(board, s.p, urgent) for s in keeping if tuple(board.reps[s.p]) != board.before[s.p]]
    more, stuck = scheduler.order(again + [s for s in stuck if s not in keeping])
    batches += more
    blocked = Failures(f"order the moves of {kind}")
    for step in stuck:
        blocked.add(
            board.name(step.p),
            "no order of the moves keeps every broker within its limits at every moment",
            "a higher limit, or more room on any broker",
        )
        board.revert(step.p)
    board.unmet += blocked.unmet()
    before, after = board.start, board.loads()
    received, sent = [0] * len(board.brokers), [0] * len(board.brokers)
    changes = []
    for number, batch in enumerate(batches, 1):
        for step in batch:
            part = board.parts[step.p]
            sent[step.source] += step.bytes_moved
            for b in step.gains:
                received[b] += step.size
            changes.append(
                Change(
                    part.topic,
                    part.partition,
                    tuple(board.ids[b] for b in board.before[step.p]),
                    tuple(board.ids[b] for b in board.reps[step.p]),
                    step.bytes_moved,
                    number,
                    _why(board, step),
                )
            )
    brokers = tuple(
        BrokerChange(
            board.ids[b],
            board.brokers[b].rack,
            board.refusal[b],
            board.load(b, before),
            board.load(b, after),
            received[b],
            sent[b],
        )
        for b in range(len(board.brokers))
    )
    return Plan(
        kind,
        arguments,
        board.snapshot.cluster_id,
        board.snapshot.taken_at,
        tuple(changes),
        scheduler.described(batches),
        brokers,
        spread(board, before),
        spread(board, after),
        tuple(board.unmet),
        tuple(board.notes),
        board.limits.rate_bytes_per_s,
        bound,
        limits_as_plain(board.limits),
    )


def spread(board: Board, loads: Loads) -> Spread:
    """How even the brokers that take part are."""
    active = board.active

    def over_mean(values: list[float]) -> float:
        mean = sum(values) / len(values) if values else 0.0
        return round(max(values) / mean, 4) if mean > 0 else 1.0

    return Spread(
        over_mean([loads.disk[b] / board.share[b] if board.share[b] else 0.0 for b in active]),
        over_mean([float(loads.count[b]) for b in active]),
        over_mean([float(loads.leads[b]) for b in active]),
        over_mean([loads.bytes_out[b] for b in active]),
    )


def limits_as_plain(limits: Limits) -> dict[str, object]:
    """The limits that were in force, as they stand in the plan."""
    plain: dict[str, object] = {
        "disk": limits.disk,
        "tolerance": limits.tolerance,
        "min_gain": limits.min_gain,
        "throttle_bytes_per_s": limits.rate_bytes_per_s,
    }
    for key in ("bytes_in_per_s", "bytes_out_per_s", "replicas", "leaders", "moves_per_broker", "batch_bytes"):
        if (value := getattr(limits, key)) is not None:
            plain[key] = value
    if limits.exclude_topics:
        plain["exclude_topics"] = list(limits.exclude_topics)
    if limits.exclude_brokers:
        plain["exclude_brokers"] = sorted(limits.exclude_brokers)
    return plain


def _step(board: Board, p: int, urgent: bool) -> Step:
    part = board.parts[p]
    held = {board.index[r] for r in part.replicas}
    now = board.reps[p]
    lead = board.before[p][0]
    if board.lost(p, lead):
        lead = board.index.get(part.leader, -1)
    facts = board.snapshot.topics.get(part.topic)
    in_sync = sum(1 for r in part.isr if board.up[board.index[r]]) if urgent else 0
    changed = board.lead[p] != lead
    return Step(
        p,
        in_sync - ((facts.min_isr if facts else None) or 1) if urgent else 0,
        board.size[p],
        board.index.get(part.leader, lead if lead >= 0 else now[0]),
        [b for b in now if b not in held],
        [b for b in board.before[p] if b not in now],
        lead if changed else -1,
        board.lead[p] if changed else -1,
    )


def _why(board: Board, step: Step) -> str:
    reasons = list(dict.fromkeys(why for _, _, why in board.log.get(step.p, ())))
    if not reasons and step.lead_to >= 0:
        reasons = [f"broker {board.ids[step.lead_to]} leads fewer partitions than broker {board.ids[step.lead_from]}"]
    return "; ".join(reasons) or "order of the replicas"
