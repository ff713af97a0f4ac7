"""`asgard thor recipe`: what to do when something happens, from a file; by hand or from cron."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli import files
from asgard.cli.command import Confirm, Which, Yes, command, group
from asgard.cli.thor import app
from asgard.cli.thor.common import DryRun, limits_file, limits_of
from asgard.core import console, events
from asgard.core.console import Table
from asgard.core.errors import WrongUsage
from asgard.core.shipped import RECIPES

if TYPE_CHECKING:
    from asgard.thor.recipes.model import Recipe

recipe_app = group("Recipes: runbooks as files, run by hand, by schedule or on an event.")
app.add_typer(recipe_app, name="recipe")

Name = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name, or a file.")]
Folders = Annotated[
    list[Path] | None,
    typer.Option(
        "--recipes",
        metavar="DIR",
        help="A folder with your own recipes; they override those that ship with Asgard. Repeatable.",
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Set a parameter of the recipe, as in --set brokers=3."),
]
LimitsPath = Annotated[
    Path | None,
    typer.Option(
        "--limits", metavar="FILE", help="A file with `limits:` and `policy:`; default: thor.yaml, if there is one."
    ),
]
AllowRun = Annotated[
    bool,
    typer.Option("--allow-run", help="Allow the recipe to run programs on this machine (`run`, `notify: command`)."),
]


@command(recipe_app, name="list", example="asgard thor recipe list")
def list_(recipes: Folders = None) -> None:
    """List the recipes that ship with Asgard, and those of your own folders."""
    from asgard.thor.recipes import read

    known = files.readable(RECIPES, recipes, partial(read.read, examples=True))
    columns = ["recipe", "trigger", "parameters", "what it is for"]
    rows = [[r.name, r.trigger, ", ".join(_parameter(r, p) for p in r.parameters) or None, r.about] for r in known]
    console.emit([_document(r) for r in known], Table(columns, rows))


@command(recipe_app, example="asgard thor recipe show rolling-restart")
def show(recipe: Name, recipes: Folders = None) -> None:
    """Show a recipe: its file, or with --json what was read from it."""
    from asgard.thor.recipes import read

    found = read.read(RECIPES.find(recipe, recipes or ()), examples=True)
    console.emit(_document(found), text=f"{found.text.rstrip()}\n\n# {found.file}")


@command(
    recipe_app, example="asgard thor recipe validate my-recipe.yaml\nasgard thor recipe validate --recipes recipes.d"
)
def validate(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE]…", help="Names or files; all of them by default.")
    ] = None,
    recipes: Folders = None,
) -> None:
    """Check recipes, offline: every mistake with its line, what is wrong and what is allowed."""
    from asgard.thor.recipes import read

    valid = files.all_valid(RECIPES, names, recipes, partial(read.read, examples=True))
    rows = [[r.name, r.trigger, len(r.steps), r.file] for r in valid]
    console.emit([_document(r) for r in valid], Table(["valid", "trigger", "steps", "file"], rows))


@command(
    recipe_app,
    example="asgard thor recipe run rolling-restart --context orders --set brokers=2,3 --yes\n"
    "asgard thor recipe run decommission --set brokers=4 --dry-run",
)
def run(
    recipe: Name,
    recipes: Folders = None,
    sets: Sets = None,
    limits: LimitsPath = None,
    dry_run: DryRun = False,
    on_event: Annotated[
        bool, typer.Option("--on-event", help="Only if a triggering event came since its last run.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over, even if an earlier run was interrupted or failed.")
    ] = False,
    allow_run: AllowRun = False,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Run a recipe: check its conditions, run its steps in order, check the result.

    Exits with 0 if all is done or there was nothing to do, 1 if a step failed or has to wait, 75 if the recipe is already running
    or another command changes the cluster. A killed run continues where it stopped.
    """
    console.current().times = not sys.stderr.isatty()
    from asgard.compose import recipes as composed
    from asgard.thor.heal import policy as policies
    from asgard.thor.recipes import read

    chosen = read.read(RECIPES.find(recipe, recipes or ()), sets or ())
    file = limits_file(limits, "limits and policy")
    policy = policies.read(file) if file else policies.Policy()
    options = composed.RecipeOptions(limits_of(file), policy, confirm, on_event, allow_run, fresh)
    cluster = which.pick()

    def agree() -> None:
        if not console.current().yes:
            for step in chosen.steps:
                console.say(f"  step {step.number}: {step.action}" + (f" ({step.name})" if step.given.name else ""))
        console.ask(f"Run {chosen.name} on {cluster.name}?")

    with events.titled(chosen.name):
        if dry_run:
            report = composed.preview(chosen, cluster, options)
        else:
            report = composed.run(chosen, cluster, options, agree=agree)
        if report.hint:
            events.note(report.hint)
    console.emit(report, text=console.stamped(f"{chosen.name} on {cluster.name}: {report.text}"))
    return int(report.exit_code)


@command(recipe_app, example="asgard thor recipe crontab --context orders | crontab -")
def crontab(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECIPE]…", help="Names or files; default: all that have a schedule or an event."),
    ] = None,
    recipes: Folders = None,
    sets: Sets = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", metavar="CRON", help="Cron schedule, as in '0 3 * * sun'.")
    ] = None,
    limits: LimitsPath = None,
    allow_run: AllowRun = False,
    which: Which = Which(),
) -> None:
    """Print crontab lines: full paths, the cluster, the answers to questions, and a log file per recipe."""
    from asgard.compose import recipes as composed
    from asgard.core import cron, paths
    from asgard.thor.recipes import crontab as tab
    from asgard.thor.recipes import read

    if (schedule or sets) and len(names or ()) != 1:
        raise WrongUsage("--schedule and --set go with one recipe", "Name it: asgard thor recipe crontab NAME …")
    try:
        when = cron.check(schedule) if schedule else None
    except ValueError as error:
        raise WrongUsage(f"--schedule {error}") from error
    chosen = files.chosen(RECIPES, names, recipes)
    logs = paths.private_dir(paths.home()) / "logs"
    paths.private_dir(logs)
    variables = {"ASGARD_HOME": str(paths.home())} | {v: os.environ[v] for v in tab.CARRIED if os.environ.get(v)}
    here = tab.Installation(_asgard(), variables, logs)
    given = [word for setting in sets or () for word in ("--set", setting)]
    file = limits_file(limits, "limits and policy")
    given += ["--limits", str(file.absolute())] if file else []
    given += ["--allow-run"] if allow_run else []
    cluster = _cluster(which)
    lines: list[tab.Line] = []
    for path in chosen:
        recipe = read.read(path, sets or (), examples=not names)
        if not names and (recipe.needed or recipe.trigger == "by hand"):
            continue
        composed.allow(recipe, allow_run)
        made = tab.lines(
            recipe,
            here,
            cluster=cluster,
            options=given,
            shipped=path == RECIPES.files().get(path.stem),
            schedule=when,
        )
        if not made:
            raise WrongUsage(f"the recipe {recipe.name} has neither schedule nor event", "Give it one: --schedule '0 3 * * sun'.")  # fmt: skip
        lines += made
    console.emit(
        [
            {"recipe": line.recipe, "schedule": line.schedule, "command": line.command, "log": line.log}
            for line in lines
        ],
        text="\n".join(map(str, lines)),
    )


def _cluster(which: Which) -> list[str]:
    """The options that name the cluster, and confirm changes to it if its context is protected."""
    from asgard.core import contexts

    chosen = which.pick()
    if chosen.context is None:
        config = ["--command-config", str(Path(which.command_config).absolute())] if which.command_config else []
        return ["--bootstrap-server", chosen.connection.bootstrap_servers, *config]
    protected = any(c.protected and c.cluster_id == chosen.context.cluster_id for c in contexts.load().by_name.values())
    return ["--context", chosen.name, *(["--confirm", chosen.name] if protected or chosen.context.protected else [])]


def _asgard() -> Path:
    """The running command, by its full path."""
    beside = Path(sys.executable).with_name("asgard")
    return beside if beside.is_file() else Path(sys.argv[0]).absolute()


def _parameter(recipe: Recipe, name: str) -> str:
    default = recipe.parameters[name].default
    return name if default is None else f"{name}={default}"


def _document(recipe: Recipe) -> dict[str, object]:
    return {
        "recipe": recipe.name,
        "about": recipe.about,
        "file": recipe.file,
        "schedule": recipe.schedule,
        "event": recipe.event,
        "parameters": recipe.parameters,
        "when": [condition.text for condition in recipe.when],
        "steps": [{"number": s.number, "action": s.action, "name": s.name} for s in recipe.steps],
        "on_failure": [{"number": s.number, "action": s.action, "name": s.name} for s in recipe.on_failure],
    }
