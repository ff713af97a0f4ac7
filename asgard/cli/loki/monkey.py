"""`asgard loki monkey`: take down a victim now and then, at random and within rules; for cron."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from asgard.cli.command import Confirm, Context, Which, Yes, command, group
from asgard.cli.loki import app
from asgard.cli.moments import Last, Since, since_s, utc
from asgard.core import console
from asgard.core.console import Table

if TYPE_CHECKING:
    from asgard.loki.monkey.choose import Choice, Victim

_NAMED = 20


class _RunsByDefault(TyperGroup):
    """`loki monkey -f FILE` is `loki monkey run -f FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0].startswith("-") and args[0] not in ("--help", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


monkey_app = group("Randomly stop a broker, an instance or a container, within rules.")
app.add_typer(monkey_app, name="monkey", cls=_RunsByDefault)

File = Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="The monkey's file.")]


@command(
    monkey_app,
    example="asgard loki monkey run -f monkey.yaml --dry-run\n"
    "asgard loki monkey -f /etc/asgard/monkey.yaml --context orders --yes",
)
def run(
    file: File = Path("monkey.yaml"),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be stopped and why, and do nothing.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="Repeat the random choice of an earlier run.")
    ] = None,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> None:
    """Stop one of the members that opted in, if the rules and the dice allow it. You can leave out `run`.

    Exits with 0 even if nothing was stopped, and says why; 75 if another command changes, heals or breaks the cluster.
    """
    from asgard.compose import monkey as composed
    from asgard.loki.monkey import act, config, look

    given = config.read(file)
    picked = which.pick()
    ran = composed.run(
        picked,
        given,
        seed=composed.new_seed() if seed is None else seed,
        dry_run=dry_run,
        agree=_agree,
        confirm=confirm,
    )
    choice = ran.choice
    document = {
        "monkey": given.name,
        "cluster": picked.name,
        "seed": ran.seed,
        "dry_run": dry_run,
        "taken": ran.taken,
        **look.document(choice),
    }
    lead = "" if choice.victim is None else "would " if dry_run else "done: "
    way_back = f"; {act.way_back(choice.victim)}" if choice.victim and ran.taken else ""
    tables = [_groups(choice), _members(choice)] if dry_run else []
    console.emit(document, *tables, text=f"{lead}{choice.why}{way_back} (seed {ran.seed})")


@command(monkey_app, example="asgard loki monkey schema > asgard.monkey.schema.json")
def schema() -> None:
    """Print the JSON Schema of a monkey's file, for editors."""
    from asgard.loki.monkey.config import json_schema

    console.emit(json_schema())


@command(monkey_app, example="asgard loki monkey history --since 7d --taken")
def history(
    since: Since = None,
    taken: Annotated[bool, typer.Option("--taken", help="Only runs that stopped something.")] = False,
    last: Last = 20,
    context: Context = None,
) -> None:
    """Show what runs chose and why, oldest first; with --context: in one cluster."""
    from asgard.core import contexts
    from asgard.journal import events
    from asgard.journal.store.database import open_journal
    from asgard.loki.monkey.look import LOOKED

    cluster = contexts.load().pick(context).cluster_id if context else None
    with open_journal() as journal:
        found = events.read(journal, events.EventFilter(kind=LOOKED, since=since_s(since)))
    found = [e for e in found if cluster in (None, e.data["cluster_id"]) and (e.data["victim"] or not taken)]
    found = found if since else found[-last:]
    rows = [[utc(e.at), e.data["cluster"], e.data["monkey"], e.data["why"], e.data["seed"]] for e in found]
    documents = [{"at": utc(e.at), **e.data} for e in found]
    console.emit(documents, Table(["time (UTC)", "cluster", "monkey", "choice", "seed"], rows))


def _agree(choice: Choice, victim: Victim) -> None:
    from asgard.loki.monkey import act

    if not console.current().yes:
        console.say(f"{choice.why}; {act.way_back(victim)}")
    console.ask("Do it?")


def _groups(choice: Choice) -> Table:
    rows = [
        [g.group, g.size, g.healthy, f"{g.chance:.3g}", f"{g.dice:.3g}", "due" if g.due else g.why]
        for g in choice.groups
    ]
    return Table(
        ["group", "members", "healthy", "chance", "dice", "decision"],
        rows,
        right=frozenset({"members", "healthy", "chance", "dice"}),
    )


def _members(choice: Choice) -> Table:
    shown = sorted(choice.considered, key=lambda c: not c.taken)[:_NAMED]
    rows = [[c.group, str(c.member), c.member.state, c.why] for c in shown]
    more = len(choice.considered) - len(shown)
    return Table(["group", f"member ({more} more with --json)" if more else "member", "state", "decision"], rows)
