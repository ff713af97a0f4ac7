"""A plan as a page: what moves, what it costs, and every broker before and after. One file that needs no network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from asgard.cluster.plan import BrokerChange, BrokerLoad, Plan
from asgard.core import units
from asgard.core.pages.parts import (
    Cell,
    Chart,
    Column,
    Evidence,
    Facts,
    Figure,
    Figures,
    Part,
    Prose,
    Section,
    Series,
    Table,
    Unit,
    Verdict,
)
from asgard.core.pages.render import render
from asgard.core.paths import write_for_user

_CHANGES = 500
"""At most this many moves are listed; the plan file has all of them."""


def write(plan: Plan, path: Path) -> None:
    """Write the page. Raises WrongUsage if its folder is missing or not writable."""
    write_for_user(path, page(plan).encode())


def page(plan: Plan) -> str:
    """The page as text."""
    title = f"{plan.kind} {' '.join(plan.arguments)}".strip()
    parts: list[Part] = [_verdict(plan), Figures(_figures(plan))]
    if plan.unmet:
        told = [f"{unmet}. Would help: {unmet.would_help}." for unmet in plan.unmet]
        parts.append(Prose("Not met", told, "bad" if plan.failed else "warn"))
    if plan.notes:
        parts.append(Prose("Notes", plan.notes))
    parts.append(
        Section(
            "Brokers before and after", [*(_chart(plan, *what) for what in _WHAT if _told(plan, what[2]))], columns=True
        )
    )
    parts.append(Section("In figures", [_brokers(plan), _changes(plan)]))
    parts.append(Facts("Facts", _facts(plan)))
    parts.append(
        Evidence(
            [
                "Computed from a snapshot of the cluster; sizes are those that brokers reported then. Nothing was changed."
            ]
        )
    )
    return render(f"Plan: {title}", parts, eyebrow=f"Plan {title} · cluster {plan.cluster_id} as of {plan.taken_at}")


_WHAT: tuple[tuple[str, Unit, Callable[[BrokerLoad], float]], ...] = (
    ("Disk", "bytes", lambda load: load.bytes),
    ("Replicas", "count", lambda load: load.replicas),
    ("Preferred leaders", "count", lambda load: load.leaders),
    ("Read from leaders", "bytes_per_s", lambda load: load.bytes_out_per_s),
)


def _told(plan: Plan, value: Callable[[BrokerLoad], float]) -> bool:
    return any(value(broker.before) or value(broker.after) for broker in plan.brokers)


def _chart(plan: Plan, title: str, unit: Unit, value: Callable[[BrokerLoad], float]) -> Chart:
    before, after = (
        [value(load) for load in loads] for loads in ([b.before for b in plan.brokers], [b.after for b in plan.brokers])
    )
    return Chart(
        title,
        [_name(broker) for broker in plan.brokers],
        [Series("before", before), Series("after", after)],
        unit,
        kind="bar",
        x_is="category",
        subtitle="by broker",
    )


def _name(broker: BrokerChange) -> str:
    return f"{broker.id} ({broker.note})" if broker.note else str(broker.id)


def _verdict(plan: Plan) -> Verdict:
    if not plan.moved:
        headline = "There is nothing to move."
    else:
        what = "partition" if plan.changes else "replica"
        count = f"{plan.moved:,} {what}{'s' if plan.moved > 1 else ''}"
        copies = f"copies {units.format_size(plan.bytes_moved)}" if plan.bytes_moved else "copies nothing"
        headline = f"Changes {count}, {copies}, and takes about {units.format_duration(plan.seconds)}."
    if plan.failed:
        return Verdict("Goals not met", headline, "bad", ["Some goals can't be met; see below."])
    return Verdict("Plan", headline, "warn" if plan.unmet else "info")


def _figures(plan: Plan) -> list[Figure]:
    before, after = plan.spread_before, plan.spread_after
    bound = f"at least {units.format_size(plan.lower_bound_bytes)} for this goal" if plan.lower_bound_bytes else ""
    found = [
        Figure(
            "Partitions changed" if plan.changes else "Replicas moved",
            f"{plan.moved:,}",
            f"in {len(plan.batches)} batches",
        ),
        Figure("To copy", units.format_size(plan.bytes_moved), bound),
        Figure(
            "Time, about",
            units.format_duration(plan.seconds),
            f"at {units.format_size(plan.throttle_bytes_per_s)}/s a broker",
        ),
    ]
    for name, was, now in (
        ("Disk", before.disk, after.disk),
        ("Replicas", before.replicas, after.replicas),
        ("Leaders", before.leaders, after.leaders),
    ):
        found.append(Figure(f"{name}, largest over mean", f"{now:.2f}", f"{was:.2f} before"))
    return found


def _brokers(plan: Plan) -> Table:
    def size(value: float) -> Cell:
        return Cell(units.format_size(value), value)

    columns = [
        Column("broker", number=True, sorted="ascending"),
        Column("rack"),
        *(
            Column(f"{what} {when}", number=True)
            for what in ("disk", "replicas", "leaders")
            for when in ("before", "after")
        ),
        Column("to receive", number=True),
        Column("to give away", number=True),
        Column("note"),
    ]
    rows: list[list[str | Cell]] = [
        [
            str(b.id),
            b.rack or "-",
            size(b.before.bytes),
            size(b.after.bytes),
            f"{b.before.replicas:,}",
            f"{b.after.replicas:,}",
            f"{b.before.leaders:,}",
            f"{b.after.leaders:,}",
            size(b.bytes_in),
            size(b.bytes_out),
            b.note,
        ]
        for b in plan.brokers
    ]
    return Table("Brokers", columns, rows)


def _changes(plan: Plan) -> Table:
    columns = [Column("partition"), Column("batch", number=True), Column("before"), Column("after"), Column("to copy", number=True), Column("why")]  # fmt: skip
    rows: list[list[str | Cell]] = [
        [
            change.name,
            str(change.batch),
            ", ".join(map(str, change.before)),
            ", ".join(map(str, change.after)),
            Cell(units.format_size(change.bytes_moved), change.bytes_moved),
            change.why,
        ]
        for change in plan.changes[:_CHANGES]
    ]
    more = (
        f"The first {_CHANGES:,} of {len(plan.changes):,}; the plan file has all of them."
        if len(plan.changes) > _CHANGES
        else ""
    )
    return Table("Changes", columns, rows, more, empty="No partition changes.")


def _facts(plan: Plan) -> list[tuple[str, str]]:
    return [
        ("cluster id", plan.cluster_id),
        ("snapshot taken", plan.taken_at),
        ("batches", ", ".join(f"{b.number}: {units.format_size(b.bytes_moved)}" for b in plan.batches[:20])),
    ]
