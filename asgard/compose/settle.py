"""What settles each kind of operation that a dead run left behind, whichever service left it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.core import console

if TYPE_CHECKING:
    from asgard.journal.operations import Handler, Settled


def handlers() -> dict[str, Handler]:
    """Handlers by kind of operation."""
    return {}


def say_settled(settled: Settled) -> None:
    """Tell the user what was put back, or why it could not be."""
    lead = "settled" if settled.done else "still open"
    console.say(f"{lead}: {settled.operation.kind} {settled.operation.subject}: {settled.outcome}")
