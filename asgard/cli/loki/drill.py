"""`asgard loki drill`: break a cluster on purpose while it is in use, and report what its users noticed and whether anything was lost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Confirm, Which, Yes, command
from asgard.cli.loki import app
from asgard.cli.numbers import parse_number
from asgard.core import console, events, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.loki.drill.result import Drill, Series
    from asgard.loki.drill.scenarios import DrillPlan


@command(
    app,
    example="asgard loki drill broker-dies --context orders --out drill\n"
    "asgard loki drill everything --runs 5 --seed 1 --yes --json",
)
def drill(
    scenario: Annotated[
        str,
        typer.Argument(
            metavar="SCENARIO",
            help="broker-dies, broker-hangs, controller-dies, rack-lost, rolling-restart, everything; acks1-unclean really loses records.",
        ),
    ] = "broker-dies",
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the random faults; the same seed repeats them.")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=1000, help="Number of drills; each one's seed is one higher.")] = 1,
    rate: Annotated[str, typer.Option(metavar="RATE", help="Records a second to write during the drill.")] = "500/s",
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="FILE", help="Heal with the policy of this thor.yaml; default: at once, without limits."
        ),
    ] = None,
    allow_data_loss: Annotated[
        bool,
        typer.Option(
            "--allow-data-loss", help="Run acks1-unclean even if other topics of the cluster could lose records."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write report.html, result.json and junit.xml to this folder."),
    ] = None,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Break a cluster on purpose under traffic, let Thor heal it, and check every record afterwards.

    The report says what was broken, what users noticed, how fast it healed, and if any acknowledged record was lost. It
    writes only to a scratch topic and undoes everything. Exits with 1 if a promise was not kept.
    """
    from asgard.compose import drill as drills
    from asgard.core import contexts, paths
    from asgard.loki.drill import report
    from asgard.loki.drill.preview import preview
    from asgard.loki.drill.verdict import added_up

    if not which.bootstrap_server and not contexts.load().by_name:
        raise WrongUsage(
            "no cluster to break",
            "`asgard odin init local-ha` and `asgard odin up` create one; then run this "
            "again. `asgard demo` shows a drill on its own cluster.",
        )
    picked = which.pick()
    order = drills.DrillOrder(
        scenario,
        drills.any_seed() if seed is None else seed,
        runs,
        parse_number("--rate", rate, units.parse_rate, "a rate above 0, as in 500/s"),
        policy,
        confirm=confirm,
        allow_data_loss=allow_data_loss,
    )
    approved = drills.plan(picked, order)
    for line in preview(approved, picked.name, runs):
        console.say(line)
    console.ask(f"Break {picked.name} like this?")

    def agree(drawn: DrillPlan) -> None:
        console.say("the cluster has changed, so the same seed now gives:")
        for line in preview(drawn, picked.name, runs):
            console.say(line)
        console.ask(f"Break {picked.name} like this instead?")

    done: list[Drill] = []
    try:
        for run in drills.run(picked, order, approved=approved, agree=agree):
            done.append(run)
            if runs > 1:
                events.note(f"seed {run.seed}: {run.verdict}")
    finally:
        # If one drill is interrupted, keep the results of the others.
        if done:
            series = added_up(done, picked.name, drills.command(picked, order))
            page = report.write(series, out or paths.home() / "loki" / f"drill-{order.scenario}-{order.seed}")
    _show(series)
    console.say(f"again: {series.command}")
    console.say(f"report: {page}")
    return ExitCode.OK if series.passed else ExitCode.FAILED


def _show(series: Series) -> None:
    from asgard.loki.drill import tables

    shown = [tables.faults(series), tables.records(series)]
    shown += [tables.often(series)] if len(series.runs) > 1 else [tables.promises(series.runs[0])]
    told = [Table(t.columns, t.rows, right=frozenset(t.columns[t.right :])) for t in shown]
    word = "Passed." if series.passed else "Not passed."
    story = series.runs[0].story if len(series.runs) == 1 else []
    console.emit(series, *told, text="\n".join((f"{word} {series.verdict}", *story)))
