"""What is wrong with a cluster, from one snapshot. Pure: no history and no clock, so nothing is missed that happened between looks.

A finding is a sentence for the person on call: what is wrong, how much of it, and what to do first. Findings are
ordered by severity. Partitions that lack a replica because its broker is gone belong to that broker's finding; those
that lack one although its broker is up are reported as under-replicated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from asgard.cluster import health, overload
from asgard.cluster import quorum as voters
from asgard.cluster.limits import Limits
from asgard.cluster.placement import Placement
from asgard.cluster.plan import brokers_named
from asgard.kafka.model import Broker, ClusterSnapshot, Partition

Kind = Literal[
    "partitions-offline",
    "quorum-at-risk",
    "under-min-isr",
    "broker-missing",
    "broker-fenced",
    "log-dir-offline",
    "move-stuck",
    "broker-silent",
    "under-replicated",
    "limit-exceeded",
    "log-dir-over-limit",
    "leader-imbalance",
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]
"""Ordered by severity, the most severe first."""

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """Something wrong. `brokers` are those affected; `partitions` are a few of the `count` affected ones.

    For `partitions-offline`, `brokers` are those to bring back, in that order.
    """

    kind: Kind
    subject: str
    text: str
    brokers: tuple[int, ...] = ()
    partitions: tuple[str, ...] = ()
    count: int = 0


@dataclass
class Tally:
    """What one pass over the partitions of a snapshot counts. Offline partitions are also under-replicated and under
    min ISR."""

    offline: list[Partition] = field(default_factory=list)
    under_min_isr: list[Partition] = field(default_factory=list)
    under_replicated: list[Partition] = field(default_factory=list)
    lacking: dict[int, list[Partition]] = field(default_factory=dict)
    """By broker: partitions with a leader that have an out-of-sync replica there."""
    unled: dict[int, list[Partition]] = field(default_factory=dict)
    """By broker: partitions that it should and could lead, but does not."""
    preferred: Counter[int] = field(default_factory=Counter)
    leads: Counter[int] = field(default_factory=Counter)
    held: Counter[int] = field(default_factory=Counter)
    moving: int = 0


def tally(snapshot: ClusterSnapshot) -> Tally:
    """Count the partitions that are not as they should be, in the terms of `health`."""
    t = Tally()
    min_isr = {name: facts.min_isr or 1 for name, facts in snapshot.topics.items()}
    up = {b.id for b in snapshot.brokers if b.state == "up"}
    for p in snapshot.partitions:
        t.held.update(p.replicas)
        first = health.preferred_leader(p)
        t.preferred[first] += 1
        if p.adding or p.removing:
            t.moving += 1
        if health.under_replicated(p):
            t.under_replicated.append(p)
        if health.under_min_isr(p, min_isr.get(p.topic, 1)):
            t.under_min_isr.append(p)
        if health.offline(p):
            t.offline.append(p)
            continue
        t.leads[p.leader] += 1
        if health.electable(p, up):
            t.unled.setdefault(first, []).append(p)
        for broker in health.missing(p):
            t.lacking.setdefault(broker, []).append(p)
    return t


def findings(
    snapshot: ClusterSnapshot, limits: Limits, counted: Tally | None = None, placement: Placement | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong, the most severe first; empty if all is well.

    `counted` and `placement` are those of this snapshot, if the caller has them already.
    """
    t = counted or tally(snapshot)
    found = [
        *_offline(snapshot, t),
        *_quorum(snapshot),
        *_under_min_isr(t),
        *(f for b in snapshot.brokers for f in _broker(b, snapshot, t)),
        *_stuck(snapshot),
        *_silent(snapshot),
        *_slow(snapshot, t),
        *_over_limits(placement or Placement(snapshot, limits)),
        *_unled(t, limits),
    ]
    weight = {kind: i for i, kind in enumerate(KINDS)}
    return tuple(sorted(found, key=lambda f: (weight[f.kind], -f.count, f.brokers, f.subject)))


def _offline(snapshot: ClusterSnapshot, t: Tally) -> Iterable[Finding]:
    """Grouped by the broker to bring back first: the last one in sync has every acknowledged record (KIP-966)."""
    safe = {_key(p): tuple(dict.fromkeys((*p.isr, *p.elr))) for p in t.offline}
    votes = Counter(b for brokers in safe.values() for b in brokers)
    groups: dict[int | None, list[Partition]] = {}
    for p in t.offline:
        first = min(safe[_key(p)], key=lambda b: (-votes[b], b), default=None)
        groups.setdefault(first, []).append(p)
    state = {b.id: b for b in snapshot.brokers}
    for first, partitions in groups.items():
        lead = f"{_partitions(partitions)} offline: nothing can be read or written there."
        if first is None:
            brokers = tuple(sorted({r for p in partitions for r in p.replicas}))
            what = f"No replica is known to hold all records: bring back {brokers_named(brokers)}, all of them if you can, before you consider an unclean leader."
            yield _finding("partitions-offline", "without a safe replica", f"{lead} {what}", brokers, partitions)
            continue
        # Equally good replicas come next.
        others = Counter(b for p in partitions for b in safe[_key(p)] if b != first)
        brokers = (first, *(b for b, _ in others.most_common()))
        yield _finding(
            "partitions-offline", f"broker {first}", f"{lead} {_first_aid(first, state)}", brokers, partitions
        )


def _first_aid(first: int, state: dict[int, Broker]) -> str:
    broker = state.get(first)
    dirs = [d.path for d in broker.log_dirs if d.offline] if broker else []
    if broker is not None and broker.state == "up" and dirs:
        return f"Repair the log directory {dirs[0]} of broker {first} first: it was in sync last."
    if broker is not None and broker.state == "up":
        return f"Broker {first} is up and was in sync last: Kafka should elect a leader at any moment."
    return f"Bring back broker {first} first: it was in sync last, so it has every acknowledged record."


def _quorum(snapshot: ClusterSnapshot) -> Iterable[Finding]:
    quorum = snapshot.quorum
    if quorum is None:
        return
    found = voters.health(quorum)
    if found.problem:
        yield Finding("quorum-at-risk", "metadata quorum", found.problem, found.down)


def _under_min_isr(t: Tally) -> Iterable[Finding]:
    """Those with a leader; offline ones are reported separately."""
    led = [p for p in t.under_min_isr if not health.offline(p)]
    if not led:
        return
    away = Counter(r for p in led for r in health.missing(p))
    brokers = tuple(b for b, _ in away.most_common())
    text = (
        f"{_partitions(led)} under min.insync.replicas: writes with acks=all are refused."
        f" Out of sync: {brokers_named(brokers)}."
    )
    yield _finding("under-min-isr", "min.insync.replicas", text, brokers, led)


def _broker(b: Broker, snapshot: ClusterSnapshot, t: Tally) -> Iterable[Finding]:
    away = t.lacking.get(b.id, [])
    name = f"broker {b.id}" + (f" ({b.rack})" if b.rack else "")
    alone = sum(1 for p in away if len(p.isr) == 1)
    lost = f"{_replicas(t.held[b.id])} there"
    if alone:
        lost += f"; {alone} {'partition has' if alone == 1 else 'partitions have'} a single replica in sync left"
    if b.state == "fenced":
        text = f"{name} is fenced: the controller gets no heartbeats from it. {lost}."
        yield _finding("broker-fenced", f"broker {b.id}", text, (b.id,), away)
    elif b.state == "missing":
        text = f"{name} is not registered, but is in replica lists. {lost}."
        yield _finding("broker-missing", f"broker {b.id}", text, (b.id,), away)
    else:
        offline = [d.path for d in b.log_dirs if d.offline]
        if offline:
            text = f"{name} has lost the log directory {', '.join(offline)}: {_partitions(away)} out of sync there."
            yield _finding("log-dir-offline", f"broker {b.id}", text, (b.id,), away)


def _stuck(snapshot: ClusterSnapshot) -> Iterable[Finding]:
    """Moves to a broker that is gone, by that broker."""
    up = {b.id for b in snapshot.brokers if b.state == "up"}
    by_broker: dict[int, list[Partition]] = {}
    for p in snapshot.partitions:
        for broker in health.stuck_on(p, up) if p.adding else ():
            by_broker.setdefault(broker, []).append(p)
    for broker, partitions in sorted(by_broker.items()):
        text = (
            f"{_partitions(partitions)} being moved to broker {broker}, which is gone: the move can't finish."
            " `asgard thor heal` ends it, or bring the broker back."
        )
        yield _finding("move-stuck", f"broker {broker}", text, (broker,), partitions)


def _silent(snapshot: ClusterSnapshot) -> Iterable[Finding]:
    for b in snapshot.silent:
        text = f"broker {b} is registered as up but did not answer in time: it hangs, or this machine can't reach it."
        yield Finding("broker-silent", f"broker {b}", text, (b,))


def _slow(snapshot: ClusterSnapshot, t: Tally) -> Iterable[Finding]:
    healthy = {b.id for b in snapshot.brokers if b.state == "up" and not any(d.offline for d in b.log_dirs)}
    for b in sorted(t.lacking.keys() & healthy):
        away = t.lacking[b]
        text = (
            f"broker {b} is up, yet {_partitions(away)} out of sync there: it is catching up after a start,"
            " or its disk or network is slow."
        )
        yield _finding("under-replicated", f"broker {b}", text, (b,), away)


def _over_limits(placement: Placement) -> Iterable[Finding]:
    for over in overload.over_limits(placement):
        if over.log_dir:
            yield Finding("log-dir-over-limit", f"broker {over.broker} {over.log_dir}", str(over), (over.broker,))
            continue
        yield Finding("limit-exceeded", f"broker {over.broker} {over.what}", str(over), (over.broker,))


def _unled(t: Tally, limits: Limits) -> Iterable[Finding]:
    """By Kafka's own rule (leader.imbalance.per.broker.percentage), with the tolerance in place of its 10 %."""
    over = [b for b, partitions in t.unled.items() if len(partitions) > limits.tolerance * t.preferred[b]]
    if not over:
        return
    over.sort(key=lambda b: (-len(t.unled[b]), b))
    partitions = [p for b in over for p in t.unled[b]]
    text = (
        f"{_partitions(partitions)} not led by the preferred leader, although it is up and in sync"
        f" ({brokers_named(over)}): an election of preferred leaders fixes that."
    )
    yield _finding("leader-imbalance", "preferred leaders", text, tuple(over), partitions)


def _finding(kind: Kind, subject: str, text: str, brokers: Sequence[int], partitions: Collection[Partition]) -> Finding:
    return Finding(kind, subject, text, tuple(brokers), tuple(_names(partitions)), len(partitions))


def _key(p: Partition) -> tuple[str, int]:
    return (p.topic, p.partition)


def _names(partitions: Collection[Partition]) -> list[str]:
    from heapq import nsmallest

    return [f"{p.topic}-{p.partition}" for p in nsmallest(EXAMPLES, partitions, key=_key)]


def _partitions(partitions: Collection[Partition]) -> str:
    """`3 partitions (a-0, a-1, b-0) are`."""
    names = _names(partitions)[:3]
    more = ", …" if len(partitions) > len(names) else ""
    listed = f" ({', '.join(names)}{more})" if names else ""
    return f"{len(partitions)} {'partition' if len(partitions) == 1 else 'partitions'}{listed} {'is' if len(partitions) == 1 else 'are'}"


def _replicas(count: int) -> str:
    return "no replica is" if count == 0 else "1 replica is" if count == 1 else f"{count} replicas are"
