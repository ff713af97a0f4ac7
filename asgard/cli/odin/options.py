"""What the commands of `asgard odin` have in common for parsing: their options, and their stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.core import console
from asgard.core.errors import WrongUsage

if TYPE_CHECKING:
    from asgard.odin.lifecycle.options import OdinOptions
    from asgard.odin.spec.model import StackSpec

File = Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="The stack file.")]
Stack = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="The stack's name, if you don't have its file.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a value of the stack file: --set kafka.brokers=5."),
]
AllowDataLoss = Annotated[
    list[str] | None,
    typer.Option("--allow-data-loss", metavar="TOPIC", help="Allow this topic to lose records; repeatable."),
]
EngineOption = Annotated[str, typer.Option("--engine", metavar="ENGINE", help="embedded, or pulumi (the Pulumi CLI).")]
DEFAULT_FILE = Path("asgard.yaml")


def load_stack(file: Path, sets: list[str] | None) -> StackSpec:
    from asgard.odin.spec.read import load

    spec = load(file, sets or ())
    for warning in spec.warnings:
        console.warn(str(warning))
    return spec


def named(file: Path, stack: str | None, *, must_exist: bool = True) -> tuple[str, StackSpec | None]:
    """The stack of a command: by name, or by its file."""
    from asgard.odin.lifecycle import session

    spec = None
    if stack is None:
        spec = load_stack(file, None)
        stack = spec.name
    if must_exist:
        session.exists(stack)
    return stack, spec


def options(allow_data_loss: list[str] | None, confirm: str | None, engine: str) -> OdinOptions:
    from asgard.odin.lifecycle.options import OdinOptions

    if engine not in ("embedded", "pulumi"):
        raise WrongUsage(f"--engine is {engine!r}; allowed are embedded and pulumi")
    return OdinOptions(frozenset(allow_data_loss or ()), confirm, "pulumi" if engine == "pulumi" else "embedded")
