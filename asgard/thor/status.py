"""A cluster's condition: every broker against its limits, what is wrong, who leads, and changes in progress. Pure.

Sizes are bytes, rates bytes per second; None is not measured. What a broker sends is what its leaders send to their followers,
and to consumers if known (`thor.rates`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asgard.cluster import findings as detect
from asgard.cluster import quorum as voters
from asgard.cluster.activity import Activity
from asgard.cluster.findings import Finding, Tally
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.cluster.placement import Placement
from asgard.cluster.quorum import QuorumHealth
from asgard.kafka.model import Broker, ClusterSnapshot, LogDir, Partition

MOVES_SHOWN = 10


@dataclass(frozen=True)
class BrokerStatus:
    """A broker, its load, and its limits. `disk` is the used fraction of its capacity, `bytes` are its replicas."""

    id: int
    rack: str | None
    state: str
    notes: tuple[str, ...]
    disk: float | None
    capacity_bytes: int | None
    bytes: int
    replicas: int
    leaders: int
    bytes_in_per_s: float | None
    bytes_out_per_s: float | None
    limits: BrokerLimit


@dataclass(frozen=True)
class ClusterCounts:
    """Counts of the whole cluster."""

    topics: int
    partitions: int
    offline: int
    under_min_isr: int
    under_replicated: int
    moving: int
    not_led_by_preferred: int
    rates_measured: int
    reads_measured: int


@dataclass(frozen=True)
class Moving:
    """A partition being moved."""

    partition: str
    adding: tuple[int, ...]
    removing: tuple[int, ...]


@dataclass(frozen=True)
class Status:
    """See the module. `leaders_over_mean`: the most leaders of any broker that is up, over the mean (1.0 is even).

    `shared_volume`: capacity and use belong to one volume that several brokers report, as on one machine.
    """

    cluster_id: str
    taken_at: str
    healthy: bool
    findings: tuple[Finding, ...]
    counts: ClusterCounts
    brokers: tuple[BrokerStatus, ...]
    leaders_over_mean: float
    quorum: QuorumHealth | None
    reassignments: tuple[Moving, ...]
    shared_volume: bool
    around: Activity | None


def judge(snapshot: ClusterSnapshot, limits: Limits, around: Activity | None = None) -> Status:
    """The status. Unhealthy if anything is found, or a temporary setting was left behind."""
    counted = detect.tally(snapshot)
    placement = Placement(snapshot, limits)
    findings = detect.findings(snapshot, limits, counted, placement)
    left = around is not None and any(o.abandoned for o in around.operations)
    traffic = _Traffic(snapshot.partitions)
    brokers = tuple(
        _broker(b, snapshot, placement, counted, traffic) for b in sorted(snapshot.brokers, key=lambda b: b.id)
    )
    leads = [counted.leads[b.id] for b in snapshot.brokers if b.state == "up"]
    mean = sum(leads) / len(leads) if leads else 0.0
    moving = [p for p in snapshot.partitions if p.adding or p.removing] if counted.moving else []
    return Status(
        cluster_id=snapshot.cluster_id,
        taken_at=snapshot.taken_at,
        healthy=not findings and not left,
        findings=findings,
        counts=ClusterCounts(
            topics=len(snapshot.topics) or len({p.topic for p in snapshot.partitions}),
            partitions=len(snapshot.partitions),
            offline=len(counted.offline),
            under_min_isr=len(counted.under_min_isr),
            under_replicated=len(counted.under_replicated),
            moving=counted.moving,
            not_led_by_preferred=sum(map(len, counted.unled.values())),
            rates_measured=traffic.measured,
            reads_measured=traffic.reads_measured,
        ),
        brokers=brokers,
        leaders_over_mean=round(max(leads) / mean, 3) if mean else 1.0,
        quorum=voters.health(snapshot.quorum) if snapshot.quorum else None,
        reassignments=tuple(Moving(f"{p.topic}-{p.partition}", p.adding, p.removing) for p in moving[:MOVES_SHOWN]),
        shared_volume=_share_a_volume(snapshot.brokers),
        around=around,
    )


class _Traffic:
    """Bytes per second into and out of each broker, if measured."""

    def __init__(self, partitions: Iterable[Partition]) -> None:
        self.measured = 0
        self.reads_measured = 0
        self.into: dict[int, float] = {}
        self.out_of: dict[int, float] = {}
        for p in partitions:
            if p.bytes_in_per_s is None:
                continue
            self.measured += 1
            self.reads_measured += p.bytes_out_per_s is not None
            for r in p.replicas:
                self.into[r] = self.into.get(r, 0.0) + p.bytes_in_per_s
            sent = (p.bytes_out_per_s or 0.0) + p.bytes_in_per_s * (len(p.replicas) - 1)
            self.out_of[p.leader] = self.out_of.get(p.leader, 0.0) + sent


def _broker(
    broker: Broker, snapshot: ClusterSnapshot, placement: Placement, counted: Tally, traffic: _Traffic
) -> BrokerStatus:
    i = placement.index[broker.id]
    load = placement.load(i, placement.start)
    notes = [f"offline {d.path}" for d in broker.log_dirs if d.offline]
    if broker.log_dirs and all(d.cordoned for d in broker.log_dirs):
        notes.append("cordoned")
    else:
        notes += [f"cordoned {d.path}" for d in broker.log_dirs if d.cordoned]
    if broker.id in placement.limits.exclude_brokers:
        notes.append("excluded")
    silent = broker.id in snapshot.silent
    return BrokerStatus(
        broker.id,
        broker.rack,
        "silent" if silent else broker.state,
        tuple(notes),
        load.disk if broker.log_dirs else None,
        placement.capacity[i],
        load.bytes,
        counted.held[broker.id],
        counted.leads[broker.id],
        round(traffic.into.get(broker.id, 0.0), 1) if traffic.measured else None,
        round(traffic.out_of.get(broker.id, 0.0), 1) if traffic.measured else None,
        placement.limits.of(broker.id),
    )


def _share_a_volume(brokers: Iterable[Broker]) -> bool:
    """Whether log directories of different brokers on one host look like the same volume: same size and use."""
    seen: dict[tuple[str, int], tuple[int, LogDir]] = {}
    for b in brokers:
        for d in b.log_dirs:
            if d.capacity_bytes is None or d.used_bytes is None:
                continue
            other, like = seen.setdefault((b.host, d.capacity_bytes), (b.id, d))
            if other != b.id and abs((like.used_bytes or 0) - d.used_bytes) < d.capacity_bytes // 1000:
                return True
    return False
