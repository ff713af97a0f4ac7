"""`asgard loki chaos`: experiments that break a cluster on purpose, check whether it copes, and put everything back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli import files
from asgard.cli.command import Confirm, Which, Yes, command, group
from asgard.cli.loki import app, chaos_words
from asgard.cli.loki.chaos_options import ChaosFlags
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode
from asgard.core.shipped import EXPERIMENTS

if TYPE_CHECKING:
    from asgard.loki.chaos.experiment import Experiment

chaos_app = group("Break things on purpose, see if the cluster copes, and undo it all.")
app.add_typer(chaos_app, name="chaos")

Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help="An experiment by its name, or a file (YAML or JSON).")]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--experiments",
        metavar="DIR",
        help="A folder with your own experiments; they override those that ship with Asgard. Repeatable.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a value of its configuration, as in --set broker=2."),
]


@command(chaos_app, name="list", example="asgard loki chaos list\nasgard loki chaos list --functions")
def list_(
    experiments: Folders = None,
    functions: Annotated[
        bool, typer.Option("--functions", help="List what experiments can call: actions and probes.")
    ] = False,
) -> None:
    """List the experiments that ship with Asgard, and those of your own folders."""
    from asgard.loki.chaos import read

    if functions:
        document, table = chaos_words.functions()
        console.emit(document, table)
        return
    known = files.readable(EXPERIMENTS, experiments, read.read)
    rows = [[e.name, e.title, ", ".join(e.configuration) or None] for e in known]
    console.emit([_document(e) for e in known], Table(["experiment", "what it asks", "configuration"], rows))


@command(chaos_app, example="asgard loki chaos show broker-dies")
def show(experiment: Name, experiments: Folders = None) -> None:
    """Show an experiment: its file, or with --json what was read from it."""
    from asgard.loki.chaos import read

    path = EXPERIMENTS.find(experiment, experiments or ())
    found = read.read(path)
    console.emit(found.document, text=f"{path.read_text().rstrip()}\n\n# {path}")


@command(
    chaos_app,
    example="asgard loki chaos validate my-experiment.yaml\nasgard loki chaos validate --experiments experiments.d",
)
def validate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[EXPERIMENT]…", help="Names or files; all of them by default.")
    ] = None,
    experiments: Folders = None,
) -> None:
    """Check experiments, offline: every mistake with its line, what is wrong and what is allowed."""
    from asgard.loki.chaos import read

    valid = files.all_valid(EXPERIMENTS, names, experiments, read.read)
    rows = [[e.name, len(e.method), "yes" if e.foreign() else "no", e.file] for e in valid]
    console.emit([_document(e) for e in valid], Table(["valid", "steps", "needs --allow-provider", "file"], rows))


@command(chaos_app, example="asgard loki chaos schema > asgard.experiment.schema.json")
def schema() -> None:
    """Print the JSON Schema of experiment files, for editors."""
    from asgard.loki.chaos.read import json_schema

    console.emit(json_schema())


@command(
    chaos_app,
    example="asgard loki chaos run broker-dies --context orders --yes\n"
    "asgard loki chaos run rack-lost --context orders --seed 7 --record rack-lost.json --yes",
)
def run(
    experiment: Name,
    experiments: Folders = None,
    sets: Sets = None,
    flags: ChaosFlags = ChaosFlags(),
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Run an experiment: check the steady state, inject the faults, check again. However it ends, everything is undone.

    Exits with 0 if the steady state held, 1 if it did not, a rollback failed, or an abort condition ended the run, 4 if the blast radius
    would be too large, 75 if another command changes or heals the cluster. If a run is killed, the next command that
    changes things cleans up after it.
    """
    from asgard.compose import chaos
    from asgard.loki.chaos import read

    chosen = read.read(EXPERIMENTS.find(experiment, experiments or ()), sets or ())
    cluster = which.pick()
    options = flags.options(confirm)
    chaos.allow(chosen, flags.allow_provider)
    for line in chaos_words.preview(chosen):
        console.say(line)
    console.ask(f"Run this on {cluster.name}?")
    if chosen.foreign():
        console.warn("some of it is not Loki's: no blast radius applies, and it is not undone")
    outcome = chaos.run(chosen, cluster, options)
    path = _keep(outcome.record, flags.record)
    asgard = outcome.record["asgard"]
    verdict = "held: the steady state is as it was" if outcome.reason is None else f"not held: {outcome.reason}"
    console.emit(outcome.record, chaos_words.steps(outcome.record), text=verdict)
    console.say(f"seed {asgard['seed']}, record: {path}")
    return int(outcome.exit_code)


@command(chaos_app, example="asgard loki chaos recover --yes")
def recover(confirm: Confirm = None, yes: Yes = False) -> int:
    """Undo the faults of runs that were killed. Every command that changes a cluster does it too.

    Exits with 1 if a fault could not be undone; it stays recorded for the next try.
    """
    from asgard.compose import chaos, settle
    from asgard.journal.store.database import open_journal

    with open_journal() as journal:
        left = chaos.broken(journal)
        if not left:
            console.emit([], text="No faults left behind.")
            return ExitCode.OK
        for operation in left:
            console.say(f"left broken: {operation.undo.get('text', operation.subject)}, by {operation.actor}")
        console.ask(f"Undo {'it' if len(left) == 1 else f'these {len(left)}'}?")
        settled = chaos.recover(journal, confirm)
    for one in settled:
        settle.say_settled(one)
    rows = [[s.operation.undo.get("text", s.operation.subject), "yes" if s.done else "no", s.outcome] for s in settled]
    document = [{"subject": s.operation.subject, "settled": s.done, "outcome": s.outcome} for s in settled]
    console.emit(document, Table(["broken", "put back", "outcome"], rows))
    return ExitCode.OK if all(s.done for s in settled) else ExitCode.FAILED


def _keep(record: dict[str, Any], path: Path | None) -> Path:
    """Write the run record: to the user's path, else beside the journal."""
    import json

    from asgard.core import paths

    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    if path is not None:
        paths.write_for_user(path, text)
        return path
    folder = paths.private_dir(paths.home() / "chaos")
    kept = folder / f"{record['asgard']['run']}.json"
    paths.write_atomic(kept, text)
    return kept


def _document(experiment: Experiment) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "title": experiment.title,
        "description": experiment.description,
        "tags": list(experiment.tags),
        "file": experiment.file,
        "configuration": dict(experiment.configuration),
        "steps": [a.name for a in experiment.method],
        "needs_allow_provider": bool(experiment.foreign()),
    }
