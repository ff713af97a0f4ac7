"""`asgard thor plan` and `explain`: where replicas should be, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import Confirm, Which, Yes, command
from asgard.cli.thor import app
from asgard.cli.thor.common import LimitsPath, SnapshotPath, Throttle, Window, limits_of, say_silent, snapshot_of
from asgard.cli.thor.move import carry_out
from asgard.cli.thor.summary import summary
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage
from asgard.thor.plan.kinds import PlanKind, planner_of

if TYPE_CHECKING:
    from asgard.cluster.plan import BrokerChange, Change, DirChange, Plan
    from asgard.thor.plan.explain import Explanation

What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WHAT", help="Broker ids for drain, fill and disks, TOPIC=N for set-rf, a plan's file for undo."
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="PLAN", help="Write the plan to this file.")]
Explain = Annotated[
    str | None,
    typer.Option("--explain", metavar="PARTITION", help="Explain where this partition goes, as in orders-3."),
]
Apply = Annotated[bool, typer.Option("--apply", help="Show the plan, ask, then carry it out.")]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a self-contained HTML page with charts of before and after."),
]

_EXAMPLES = """asgard thor plan heal
asgard thor plan drain 3 --out drain.json
asgard thor plan drain 3 --apply --throttle 20MB/s
asgard thor plan fill 7 8 --window 10s
asgard thor plan balance --limits thor.yaml --html balance.html
asgard thor plan leaders --bootstrap-server kafka-1:9092
asgard thor plan set-rf orders=3 payments=3
asgard thor plan rack-repair --explain orders-3
asgard thor plan disks 3 --apply --throttle 20MB/s
asgard thor plan drain 3:/data/kafka-1
asgard thor plan undo drain.json --snapshot cluster.json.gz"""


@command(app, name="plan", example=_EXAMPLES)
def plan_(
    kind: Annotated[PlanKind, typer.Argument(metavar="KIND", help="What the plan is for.")],
    what: What = None,
    which: Which = Which(),
    snapshot: SnapshotPath = None,
    window: Window = None,
    limits: LimitsPath = None,
    throttle: Throttle = None,
    out: Out = None,
    explain: Explain = None,
    html: Html = None,
    apply: Apply = False,
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Plan where replicas go; nothing changes without --apply.

    \b
    KIND is one of:
      heal             move the replicas of dead brokers and offline log directories to others
      drain BROKER…    empty brokers, so that you can remove them
      fill BROKER…     give new or returned brokers their share of the load
      balance          even out disk, replicas and leaders of all brokers, within the tolerance
      leaders          spread preferred leaders; copies nothing
      set-rf TOPIC=N…  change the replication factor of topics
      rack-repair      spread the replicas of each partition over the racks
      disks [BROKER…]  even the log directories of brokers; drain BROKER:DIRECTORY empties one
      undo PLAN        go back to the placement before a plan

    Exits with 1 if part of the request can't be done; it says what, why, and what would help.
    """
    from asgard.cluster import snapshot_file

    if apply and (snapshot or explain):
        raise WrongUsage("--apply changes a cluster; --snapshot and --explain are read-only", "Leave one of them out.")
    make = planner_of(kind, what or ())
    given = limits_of(limits, None if apply and throttle in ("auto", "none") else throttle)
    with snapshot_file.without_collector():
        found = snapshot_of(snapshot, which, window)
        say_silent(found)
        plan = make(found, given)
        # A broker without replicas is drained, too: it is cordoned.
        to_do = bool(plan.moved) or plan.kind == "drain"
        if out is not None:
            from asgard.thor.plan import file as plan_file

            plan_file.write(plan, out)
            console.say(f"plan written to {out}")
        if html is not None:
            from asgard.thor.plan import chart

            chart.write(plan, html)
            console.say(f"charts written to {html}")
        if explain is not None:
            from asgard.thor.plan import explain as explaining

            _emit_explanation(explaining.explain(plan, found, given, explain))
        elif not apply or not to_do:
            emit_plan(plan)
    if apply and to_do:
        picked = which.pick()
        return carry_out(picked, plan, given, throttle, confirm, shown=summary(plan))
    return int(ExitCode.FAILED if plan.failed else ExitCode.OK)


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
    """Explain why a plan moves a partition."""
    from asgard.cluster import snapshot_file
    from asgard.thor.plan import explain
    from asgard.thor.plan import file as plan_file

    made = plan_file.read(plan)
    if snapshot is not None:
        _emit_explanation(explain.explain(made, snapshot_file.read(snapshot), limits_of(limits), partition))
        return
    told = explain.from_plan(made, partition)
    if told.change is None and not told.dir_changes:
        raise WrongUsage(f"{plan} does not change {partition}", "With --snapshot FILE you get an explanation anyway.")
    _emit_explanation(told)


def emit_plan(plan: Plan) -> None:
    """Show a plan: its summary and tables for people, its document for programs."""
    from asgard.thor.plan import file as plan_file

    as_document = console.current().output in (console.OutputFormat.JSON, console.OutputFormat.YAML)
    console.emit(plan_file.document(plan) if as_document else None, *tables(plan), text=summary(plan))


def tables(plan: Plan) -> list[Table]:
    """Brokers changed by the plan, before and after."""
    changed = [b for b in plan.brokers if b.before != b.after or b.note]
    changed.sort(key=lambda b: (-(b.bytes_in + b.bytes_out), b.id))
    if not plan.moved:
        return []
    return [*_brokers_table(plan, changed), *_directories_table(plan)]


def _directories_table(plan: Plan) -> list[Table]:
    """Log directories changed by the plan, before and after."""
    changed = [d for d in plan.log_dirs if (d.bytes_before, d.replicas_before) != (d.bytes_after, d.replicas_after)]
    rows: list[list[Any]] = [
        [
            d.broker,
            d.path,
            _then(units.format_size(d.bytes_before), units.format_size(d.bytes_after)),
            _then(_percent(d.disk_before), _percent(d.disk_after)),
            _then(d.replicas_before, d.replicas_after),
        ]
        for d in changed[:40]
    ]
    columns = ["broker", "log directory", "bytes", "disk", "replicas"]
    more = f" ({len(rows)} of {len(changed)})" if len(changed) > len(rows) else ""
    return [Table(columns, rows, f"log directories before -> after{more}", frozenset(columns[2:]))] if rows else []


def _brokers_table(plan: Plan, changed: list[BrokerChange]) -> list[Table]:
    if not changed:
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
    columns = ["broker", "rack", "fill", "replicas", "leaders", "this replica", "verdict"]
    rows = [
        [c.broker, c.rack, f"{c.fill:.2f}", c.replicas, c.leaders, c.role or None, c.verdict]
        for c in explanation.candidates
    ]
    title = "brokers before the plan (fill: bytes over fair share)"
    tables = [Table(columns, rows, title, frozenset(columns[2:5]))] if rows else []
    console.emit(explanation, *tables, text=_told(explanation))


def _told(explanation: Explanation) -> str:
    made: list[tuple[Change | DirChange, str]] = [(d, f"{d.source} -> {d.target}") for d in explanation.dir_changes]
    if (c := explanation.change) is not None:
        made.insert(0, (c, f"{list(c.before)} -> {list(c.after)}"))
    lines = [f"{c.name}: {ends}, {_to_copy(c)}, in batch {c.batch}\nwhy: {c.why}" for c, ends in made]
    return "\n".join(lines) or f"{explanation.partition}: the plan leaves it alone"


def _to_copy(change: Change | DirChange) -> str:
    return f"{units.format_size(change.bytes_moved) if change.bytes_moved else 'nothing'} to copy"
