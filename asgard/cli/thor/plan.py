"""`asgard thor plan` and `explain`: where replicas are to be, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import command, group
from asgard.cli.thor import app
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from collections.abc import Callable

    from asgard.kafka.model import ClusterSnapshot
    from asgard.thor.limits import Limits
    from asgard.thor.plan.explain import Explanation
    from asgard.thor.plan.model import Change, Plan

plan_app = group("Plan where replicas are to be; nothing is changed.")
app.add_typer(plan_app, name="plan")

Snapshot = Annotated[
    Path, typer.Option("--snapshot", metavar="FILE", help="A cluster snapshot, asgard.cluster/v1 (.gz too).")
]
LimitsPath = Annotated[
    Path | None,
    typer.Option(
        "--limits", metavar="FILE", help="A file with `limits:`; else thor.yaml or asgard.yaml, where there is one."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="PLAN", help="Write the plan to this file.")]
Throttle = Annotated[
    str | None,
    typer.Option("--throttle", metavar="RATE", help="Bytes a second and broker, as in 50MB/s; wins over the limits."),
]
Explain = Annotated[
    str | None,
    typer.Option("--explain", metavar="PARTITION", help="Show why this one goes where it goes, as in orders-3."),
]
Html = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Draw before and after into a page that needs no network.")
]
Brokers = Annotated[list[int], typer.Argument(metavar="BROKER…", help="Broker ids.")]


@command(plan_app, example="asgard thor plan heal --snapshot cluster.json.gz --out heal.json")
def heal(
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Give the replicas of dead brokers and of offline log directories to others."""
    from asgard.thor.plan import planner

    return _run(planner.heal, snapshot, limits, throttle, out, explain, html)


@command(plan_app, example="asgard thor plan drain 3 --snapshot cluster.json.gz --out drain.json")
def drain(
    brokers: Brokers,
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Empty brokers, so that they can be taken away."""
    from asgard.thor.plan import planner

    return _run(lambda s, given: planner.drain(s, brokers, given), snapshot, limits, throttle, out, explain, html)


@command(plan_app, example="asgard thor plan fill 7 8 --snapshot cluster.json.gz --out plan.json")
def fill(
    brokers: Brokers,
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Give new brokers, or such as came back, their part of the load."""
    from asgard.thor.plan import planner

    return _run(lambda s, given: planner.fill(s, brokers, given), snapshot, limits, throttle, out, explain, html)


@command(plan_app, example="asgard thor plan balance --snapshot cluster.json.gz --out plan.json")
def balance(
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Bring disk, replicas and leaders of all brokers within the tolerance."""
    from asgard.thor.plan import planner

    return _run(planner.balance, snapshot, limits, throttle, out, explain, html)


@command(plan_app, example="asgard thor plan leaders --snapshot cluster.json.gz --out plan.json")
def leaders(
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Spread preferred leaders; nothing is copied."""
    from asgard.thor.plan import planner

    return _run(planner.leaders, snapshot, limits, throttle, out, explain, html)


@command(
    plan_app, name="rack-repair", example="asgard thor plan rack-repair --snapshot cluster.json.gz --out plan.json"
)
def rack_repair(
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Spread the replicas of each partition over the racks."""
    from asgard.thor.plan import planner

    return _run(planner.rack_repair, snapshot, limits, throttle, out, explain, html)


@command(plan_app, name="set-rf", example="asgard thor plan set-rf orders=3 --snapshot cluster.json.gz --out plan.json")
def set_rf(
    topics: Annotated[list[str], typer.Argument(metavar="TOPIC=N…", help="As in orders=3.")],
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Give topics another number of replicas."""
    from asgard.thor.plan import planner

    wanted = dict(map(_factor, topics))
    return _run(lambda s, given: planner.set_rf(s, wanted, given), snapshot, limits, throttle, out, explain, html)


@command(plan_app, example="asgard thor plan undo balance.json --snapshot cluster.json.gz --out plan.json")
def undo(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan that `thor plan … --out` wrote.")],
    snapshot: Snapshot,
    limits: LimitsPath = None,
    out: Out = None,
    throttle: Throttle = None,
    explain: Explain = None,
    html: Html = None,
) -> int:
    """Go back to the replicas that a plan found."""
    from asgard.thor import plan_file
    from asgard.thor.plan import planner

    made = plan_file.read(plan)
    return _run(lambda s, given: planner.undo(s, made, given), snapshot, limits, throttle, out, explain, html)


@command(app, name="explain", example="asgard thor explain heal.json orders-3 --snapshot cluster.json.gz")
def explain_plan(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan that `thor plan … --out` wrote.")],
    partition: Annotated[str, typer.Argument(metavar="PARTITION", help="As in orders-3.")],
    snapshot: Annotated[
        Path | None,
        typer.Option("--snapshot", metavar="FILE", help="The snapshot it was made from, to see every broker."),
    ] = None,
    limits: LimitsPath = None,
) -> None:
    """Show why a plan moves a partition as it does."""
    from asgard.thor import plan_file, snapshot_file
    from asgard.thor.plan import explain

    made = plan_file.read(plan)
    if snapshot is not None:
        _emit_explanation(explain.explain(made, snapshot_file.read(snapshot), _limits(limits, None), partition))
        return
    change = explain.change_of(made, partition)
    if change is None:
        raise WrongUsage(f"{plan} does not change {partition}", "With --snapshot FILE it is explained all the same.")
    _emit_explanation(explain.Explanation(partition, change, ()))


def _run(
    make: Callable[[ClusterSnapshot, Limits], Plan],
    snapshot_path: Path,
    limits_path: Path | None,
    throttle: str | None,
    out: Path | None,
    explain_partition: str | None,
    html: Path | None,
) -> int:
    from asgard.thor import plan_file, snapshot_file
    from asgard.thor.plan import explain

    limits = _limits(limits_path, throttle)
    with snapshot_file.without_collector():
        snapshot = snapshot_file.read(snapshot_path)
        plan = make(snapshot, limits)
        if out is not None:
            plan_file.write(plan, out)
            console.say(f"the plan is in {out}")
        if html is not None:
            from asgard.thor import chart

            chart.write(plan, html)
            console.say(f"before and after are drawn in {html}")
        if explain_partition is not None:
            _emit_explanation(explain.explain(plan, snapshot, limits, explain_partition))
        else:
            as_document = console.settings.output in (console.OutputFormat.JSON, console.OutputFormat.YAML)
            console.emit(plan_file.document(plan) if as_document else None, *_tables(plan), text=_text(plan))
    return int(ExitCode.FAILED if plan.failed else ExitCode.OK)


def _factor(text: str) -> tuple[str, int]:
    topic, equals, factor = text.rpartition("=")
    if not equals or not topic or not factor.isdecimal():
        raise WrongUsage(f"{text!r} is no topic with a replication factor", "Write it as TOPIC=N, as in orders=3.")
    return topic, int(factor)


def _limits(path: Path | None, throttle: str | None) -> Limits:
    from dataclasses import replace

    from asgard.thor import limits

    if path is None:
        path = next((p for p in (Path("thor.yaml"), Path("asgard.yaml")) if p.is_file()), None)
        if path is not None:
            console.say(f"limits from {path}")
    given = limits.read(path) if path else limits.Limits()
    if throttle is None:
        return given
    try:
        rate = units.parse_rate(throttle)
        if rate <= 0:
            raise ValueError(f"is {throttle!r}; allowed is a rate above 0, as in 50MB/s")
    except ValueError as error:
        raise WrongUsage(f"--throttle {error}") from error
    return replace(given, throttle_bytes_per_s=rate)


def _text(plan: Plan) -> str:
    head = f"{plan.kind} {' '.join(plan.arguments)}".strip()
    if not plan.changes:
        lines = [f"{head}: nothing to do" if not plan.unmet else f"{head}: nothing can be done"]
    else:
        bound = plan.lower_bound_bytes
        least = f" ({plan.bytes_moved / bound:.2f} of the least possible)" if bound else ""
        batches = "1 batch" if len(plan.batches) == 1 else f"{len(plan.batches)} batches"
        lines = [
            f"{head}: {len(plan.changes)} partitions, {units.format_size(plan.bytes_moved)} to copy{least},"
            f" {batches}, about {units.format_duration(plan.seconds)} at {units.format_size(plan.throttle_bytes_per_s)}/s a broker"
        ]
        before, after = plan.spread_before, plan.spread_after
        lines.append(
            "largest over mean, before -> after: "
            f"disk {before.disk:.2f} -> {after.disk:.2f}, replicas {before.replicas:.2f} -> {after.replicas:.2f}, "
            f"leaders {before.leaders:.2f} -> {after.leaders:.2f}"
        )
    for unmet in plan.unmet:
        lines += [f"not met: {unmet}", f"  what would help: {unmet.would_help}"]
    lines += [f"note: {note}" for note in plan.notes]
    return "\n".join(lines)


def _tables(plan: Plan) -> list[Table]:
    changed = [b for b in plan.brokers if b.before != b.after or b.note]
    changed.sort(key=lambda b: (-(b.bytes_in + b.bytes_out), b.id))
    if not plan.changes:
        return []
    rows: list[list[Any]] = []
    for b in changed[:40]:
        rows.append(
            [
                b.id,
                b.rack,
                _then(units.format_size(b.before.bytes), units.format_size(b.after.bytes)),
                _then(_percent(b.before.disk), _percent(b.after.disk)),
                _then(b.before.replicas, b.after.replicas),
                _then(b.before.leaders, b.after.leaders),
                units.format_size(b.bytes_in),
                b.note or None,
            ]
        )
    more = f" (the {len(rows)} of {len(changed)} with most to copy)" if len(changed) > len(rows) else ""
    columns = ["broker", "rack", "bytes", "disk", "replicas", "leaders", "receives", "note"]
    right = frozenset(columns[2:7])
    return [Table(columns, rows, f"brokers before -> after{more}", right)]


def _then(before: object, after: object) -> str:
    return f"{before}" if before == after else f"{before} -> {after}"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{fraction:.1%}"


def _emit_explanation(explanation: Explanation) -> None:
    change = explanation.change
    text = _change_text(change) if change else f"{explanation.partition}: the plan leaves it alone"
    columns = ["broker", "rack", "fill", "replicas", "leaders", "this replica", "verdict"]
    rows = [
        [c.broker, c.rack, f"{c.fill:.2f}", c.replicas, c.leaders, c.role or None, c.verdict]
        for c in explanation.candidates
    ]
    title = "brokers before the plan (fill: bytes over fair share)"
    tables = [Table(columns, rows, title, frozenset(columns[2:5]))] if rows else []
    console.emit(explanation, *tables, text=text)


def _change_text(change: Change) -> str:
    moved = units.format_size(change.bytes_moved) if change.bytes_moved else "nothing"
    return f"{change.name}: {list(change.before)} -> {list(change.after)}, {moved} to copy, in batch {change.batch}\nwhy: {change.why}"
