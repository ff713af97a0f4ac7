"""What the commands of `asgard bifrost` have in common: their options, and the caller's identity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.numbers import parse_number
from asgard.core.errors import AsgardError, Refused, WrongUsage

if TYPE_CHECKING:
    from asgard.bifrost.gate import Bifrost
    from asgard.bifrost.identity import Caller
    from asgard.bifrost.teams import Actor

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Path of bifrost.yaml; default: this directory, then ASGARD_HOME/bifrost."
    ),
]
Team = Annotated[str | None, typer.Option("--team", metavar="TEAM", help="For which team; yours by default.")]
Where = Annotated[
    str | None, typer.Option("--environment", "-e", metavar="NAME", help="On which environment; the first by default.")
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")]
Lasts = Annotated[
    str | None, typer.Option("--for", metavar="TIME", help="How long it lasts, as in 7d; without it, it never ends.")
]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Queue it and return; don't wait until it is carried out.")]


@contextmanager
def session(config: Path | None, *, on_time: bool = True) -> Iterator[tuple[Bifrost, Actor]]:
    """Bifrost and the caller. Anything expired ends now, whichever command is run."""
    from asgard.bifrost import identity
    from asgard.bifrost.gate import opened

    caller = caller_with(config)
    with opened(config) as gate:
        who = identity.actor(gate.directory, caller)
        if on_time:
            from asgard.bifrost import grants

            if grants.anything_over(gate):
                from asgard.compose import bifrost_tick

                bifrost_tick.on_time(gate)
        try:
            yield gate, who
        finally:
            with suppress(AsgardError):  # the next command does it
                _publish_moves(gate)


def caller_with(config: Path | None) -> Caller:
    """The caller of a command that takes --config. Raises Refused if it was given through sudo."""
    from asgard.bifrost import identity

    caller = identity.caller()
    if caller.delegated and config is not None:
        raise Refused("--config is not taken through sudo", "The data team's own bifrost.yaml counts.")
    return caller


def _publish_moves(gate: Bifrost) -> None:
    from asgard.bifrost.store import requests

    with gate.store.read() as connection:
        left = requests.unjournalled(connection)
    if left:
        from asgard.compose import bifrost_queue

        bifrost_queue.publish_rest(gate)


def text_of(file: Path) -> tuple[str, str]:
    """The text of a file given by the caller, and its name in messages; `-` is stdin. Through sudo only stdin is read."""
    import sys

    if str(file) == "-":
        return sys.stdin.read(), "stdin"
    refuse_files_through_sudo("-f -", "Send it through stdin: asgard bifrost request bundle -f - < request.yaml")
    try:
        return file.read_text(encoding="utf-8"), str(file)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{file}: can't be read: {getattr(error, 'strerror', None) or error}") from error


def refuse_files_through_sudo(instead: str, hint: str) -> None:
    """A file named by someone else would be opened with the data team's rights."""
    from asgard.bifrost import identity

    if identity.caller().delegated:
        raise Refused(f"files are not opened through sudo; use {instead}", hint)


def seconds_of(lasts: str | None, option: str = "--for") -> float | None:
    """Seconds of a duration, which must have its unit. Raises WrongUsage."""
    from asgard.core.units import parse_duration

    if lasts is None:
        return None
    allowed = "a duration with its unit, as in 7d"
    found = parse_number(option, lasts, parse_duration, allowed)
    if lasts.strip().isdecimal():
        raise WrongUsage(f"{option} is {lasts!r}; allowed is {allowed}")
    return found
