"""A cluster's status for people: a table of brokers, then lines, problems last, where the eye is on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.core import console, units
from asgard.core.console import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asgard.cluster.activity import Activity
    from asgard.thor.status import BrokerStatus, Status

ROWS_SHOWN = 40


def tables(status: Status) -> list[Table]:
    """The brokers; if there are many, the unhealthy and the fullest ones."""
    well = {"up": 1}
    ordered = sorted(status.brokers, key=lambda b: (well.get(b.state, 0), -(b.disk or 0.0), b.id))
    shown = sorted(ordered[:ROWS_SHOWN], key=lambda b: b.id)
    columns = ["broker", "rack", "state", "disk", "data", "replicas", "leaders", "in", "out", "notes"]
    more = (
        f" ({len(shown)} of {len(status.brokers)}: those not well, and the fullest)"
        if len(shown) < len(ordered)
        else ""
    )
    return [Table(columns, [_row(b) for b in shown], f"brokers{more}", frozenset(columns[3:9]))]


def _row(b: BrokerStatus) -> list[object]:
    limits = b.limits
    disk = None if b.disk is None else f"{b.disk:.1%} of {limits.disk or 1.0:.0%}"
    return [
        b.id,
        b.rack,
        b.state,
        disk,
        units.format_size(b.bytes),
        _of(str(b.replicas), limits.replicas),
        _of(str(b.leaders), limits.leaders),
        _rate(b.bytes_in_per_s, limits.bytes_in_per_s),
        _rate(b.bytes_out_per_s, limits.bytes_out_per_s),
        ", ".join(b.notes) or None,
    ]


def _of(value: str, limit: int | None) -> str:
    return value if limit is None else f"{value} of {limit}"


def _rate(value: float | None, limit: float | None) -> str | None:
    if value is None:
        return None
    text = f"{units.format_size(value)}/s"
    return text if limit is None else f"{text} of {units.format_size(limit)}/s"


def text(status: Status) -> str:
    """Everything else, a line each."""
    return "\n".join([*_facts(status), "", *_verdict(status)])


def _facts(status: Status) -> Iterator[str]:
    c = status.counts
    yield f"cluster {status.cluster_id} at {status.taken_at}"
    yield (
        f"{c.topics} topics, {c.partitions} partitions: {c.offline} offline, {c.under_min_isr} under min.insync.replicas,"
        f" {c.under_replicated} under-replicated, {c.moving} moving"
    )
    yield (
        f"leaders: {c.not_led_by_preferred} partitions not led by the preferred one; most of a broker over the mean"
        f" {status.leaders_over_mean:.2f}"
    )
    yield _quorum(status)
    if c.rates_measured:
        yield (
            f"rates: measured for {c.rates_measured} partitions; what consumers read is estimated from committed offsets,"
            f" for {c.reads_measured} of them"
        )
    if status.shared_volume:
        yield "disk: several brokers share one volume; each of them shows all that is on it"
    for m in status.reassignments:
        yield f"moving: {m.partition}, adding {list(m.adding)}, removing {list(m.removing)}"
    if c.moving > len(status.reassignments):
        yield f"moving: … and {c.moving - len(status.reassignments)} more"
    if status.around is not None:
        yield from _around(status.around)


def _quorum(status: Status) -> str:
    q = status.quorum
    if q is None:
        return "quorum: not known"
    if q.leader < 0:
        return "quorum: no leader"
    spare = "none" if q.spare <= 0 else str(q.spare)
    return (
        f"quorum: controller {q.leader} leads, {q.voters - len(q.down)} of {q.voters} there; {spare} more may be lost"
    )


def _around(around: Activity) -> Iterator[str]:
    t = around.throttles
    for key, value in t.cluster.items():
        yield f"throttle: {key}={_rate_text(value)} for all brokers"
    for broker, rates in t.brokers.items():
        for key, value in rates.items():
            yield f"throttle: {key}={_rate_text(value)} of broker {broker}"
    if t.topics:
        shown = ", ".join(t.topics[:5]) + (f" and {len(t.topics) - 5} more" if len(t.topics) > 5 else "")
        yield f"throttle: replicas are marked in {len(t.topics)} {'topic' if len(t.topics) == 1 else 'topics'} ({shown})"
    if not t:
        yield "throttles: none"
    from asgard.journal.operations import KEPT

    for o in around.operations:
        if not o.abandoned:
            lead = "kept" if o.kind.startswith(KEPT) else "running"
            yield f"{lead}: {o.subject} ({o.kind}), by {o.actor} since {o.began}"
    for lease in around.leases:
        kind = lease.name.rpartition("/")[2]
        yield f"lease: {kind} is held by {lease.doing} ({lease.actor}, {lease.process}) since {lease.since}"


def _rate_text(value: str) -> str:
    return f"{units.format_size(int(value))}/s" if value.isdecimal() else value


def _verdict(status: Status) -> Iterator[str]:
    if status.healthy:
        yield console.style("healthy: nothing is wrong", "green")
        return
    for finding in status.findings:
        yield f"{console.style(finding.kind, 'bold', 'red')}: {finding.text}"
    for o in status.around.operations if status.around else ():
        if o.abandoned:
            yield (
                f"{console.style('left behind', 'bold', 'red')}: {o.subject} ({o.kind}), by {o.actor} since"
                f" {o.began}: `asgard recover` puts it back, and so does the next command that changes the cluster."
            )
