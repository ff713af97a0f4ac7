"""The options of `loki chaos run`: how far an experiment may go, and how to run it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.numbers import parse_number
from asgard.core import units

if TYPE_CHECKING:
    from asgard.compose.chaos import ChaosOptions

_LIMITS = "Blast radius (an experiment can't lift it)"


def _limit(name: str, text: str) -> Any:
    return typer.Option(name, metavar="N", min=0, rich_help_panel=_LIMITS, help=text)


@dataclass(frozen=True)
class ChaosFlags:
    """What the caller allows, and how to repeat, end and record the run."""

    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Seed of the random choices; the same seed makes the same choices."),
    ] = None
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help="End the run after this time, as in 10m, and undo everything."),
    ] = None
    record: Annotated[
        Path | None,
        typer.Option(
            "--record", metavar="FILE", help="Write the run record to this file (Chaos Toolkit's journal format)."
        ),
    ] = None
    max_brokers: Annotated[
        int | None, _limit("--max-brokers", "Brokers down at a time; default: one, or those of one rack.")
    ] = None
    min_in_sync: Annotated[int, _limit("--min-in-sync", "Minimum in-sync replicas that every partition must keep.")] = 1
    allow_quorum_loss: Annotated[
        bool,
        typer.Option(
            "--allow-quorum-loss", rich_help_panel=_LIMITS, help="Allow stopping a majority of the controllers."
        ),
    ] = False
    max_processes: Annotated[int, _limit("--max-processes", "Processes other than brokers, per action.")] = 0
    max_machines: Annotated[int, _limit("--max-machines", "Instances and containers, per action.")] = 0
    allow_provider: Annotated[
        bool,
        typer.Option(
            "--allow-provider",
            help="Allow calls of other Python modules, programs and web addresses; no limit applies to them.",
        ),
    ] = False

    def options(self, confirm: str | None) -> ChaosOptions:
        """In the form `compose.chaos` takes; draws a seed if none was given. Raises WrongUsage."""
        from asgard.compose.chaos import ChaosOptions
        from asgard.loki.chaos import BlastRadius

        limits = BlastRadius(
            self.max_brokers, self.min_in_sync, not self.allow_quorum_loss, self.max_processes, self.max_machines
        )
        seed = secrets.randbits(31) if self.seed is None else self.seed
        timeout_s = None if self.timeout is None else parse_number("--timeout", self.timeout, units.parse_duration)
        return ChaosOptions(seed, limits, self.allow_provider, timeout_s, confirm)
