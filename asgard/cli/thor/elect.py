"""`asgard thor elect`: restore preferred leaders; unclean elections if data may be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Confirm, Which, Yes, command
from asgard.cli.thor import app
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.cluster.leaders import Danger


@command(
    app,
    example="asgard thor elect --yes\nasgard thor elect orders-3\nasgard thor elect --unclean orders-3 --allow-data-loss",
)
def elect(
    partitions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC-PARTITION…",
            help="Partitions, as in orders-3; default: all that their preferred leader does not lead.",
        ),
    ] = None,
    unclean: Annotated[
        bool, typer.Option("--unclean", help="Allow an out-of-sync replica to lead partitions without a leader.")
    ] = False,
    allow_data_loss: Annotated[
        bool,
        typer.Option("--allow-data-loss", help="With --unclean: accept losing records that only stopped brokers have."),
    ] = False,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Elect preferred leaders; with --unclean, elect an out-of-sync replica where a partition has no leader.

    Thor never elects an out-of-sync replica on its own. Without --allow-data-loss it says what would be lost, and which broker to bring
    back first. Exits with 1 if an election was refused.
    """
    from asgard.compose import elect as electing

    names = partitions or []
    if unclean and not names:
        raise WrongUsage("--unclean requires partitions", "Name them, as in: asgard thor elect --unclean orders-3")
    if allow_data_loss and not unclean:
        raise WrongUsage("--allow-data-loss goes with --unclean")
    picked = which.pick()
    if unclean:
        done = electing.unclean(picked, names, allow_data_loss=allow_data_loss, agree=_agree, confirm=confirm)
    else:
        console.ask(f"Let preferred leaders lead {', '.join(names) or 'wherever they do not'} in {picked.name}?")
        done = electing.preferred(picked, names, confirm=confirm)
    rows = [[name, why] for name, why in done.refused.items()]
    tables = [Table(["partition", "why it was refused"], rows)] if rows else []
    what = "an unclean leader" if unclean else "the preferred leader"
    count = len(done.led)
    text = f"{count} partition{'' if count == 1 else 's'} led by {what}" if count or rows else "nothing to elect"
    console.emit(done, *tables, text=text)
    return int(ExitCode.FAILED if done.refused else ExitCode.OK)


def _agree(dangers: list[Danger]) -> None:
    for danger in dangers:
        console.warn(str(danger))
    console.ask("Lose them?")
