"""How a command of Asgard is declared: with an example in its help and the common options after its verb."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from asgard.core import console, events
from asgard.core.console import OutputFormat

if TYPE_CHECKING:
    from asgard.kafka.target import Target

Context = Annotated[
    str | None,
    typer.Option("--context", envvar="ASGARD_CONTEXT", metavar="NAME", help="The context of the cluster to work with."),
]
BootstrapServer = Annotated[
    str | None,
    typer.Option("--bootstrap-server", metavar="HOST:PORT", help="A cluster that has no context."),
]
CommandConfig = Annotated[
    str | None,
    typer.Option("--command-config", metavar="FILE", help="A Kafka client properties file, with --bootstrap-server."),
]
Confirm = Annotated[
    str | None,
    typer.Option(
        "--confirm", metavar="NAME", help="Confirm with the name of the stack to destroy, or of the protected context."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]


@dataclasses.dataclass(frozen=True)
class Which:
    """The cluster to use: three options of every command that works with one."""

    context: Context = None
    bootstrap_server: BootstrapServer = None
    command_config: CommandConfig = None

    def pick(self) -> Target:
        """The cluster. Raises what `kafka.target.pick` raises."""
        from asgard.kafka import target

        return target.pick(self.context, self.bootstrap_server, self.command_config)


_COMMON = {
    "output": (OutputFormat, OutputFormat.TABLE, ("--output", "-o"), "Output format."),
    "json_": (bool, False, ("--json",), "The same as --output json."),
    "debug": (bool, False, ("--debug",), "Show a traceback on failure."),
}


def group(about: str | None = None) -> typer.Typer:
    """A Typer application for one service: shows its help when called with nothing."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False, help=about)


def single() -> typer.Typer:
    """A Typer application for a service that is one command."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)


def command(
    app: typer.Typer, *, example: str, name: str | None = None, **kwargs: Any
) -> Callable[[Callable[..., Any]], Any]:
    """Register a function as a command. `example` is a working line, shown in its help and run by the tests.

    A parameter called `yes` answers every question of this call; `--output`, `--json` and `--debug` are added.
    A parameter whose type is a dataclass becomes one option per field: options that several commands share.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(function, eval_str=True)
        shared: dict[str, Any] = {
            p.name: p.annotation for p in signature.parameters.values() if dataclasses.is_dataclass(p.annotation)
        }

        @functools.wraps(function)
        def call(**given: Any) -> Any:
            output = OutputFormat.JSON if given.pop("json_") else given.pop("output", OutputFormat.TABLE)
            given.pop("output", None)
            console.begin(console.ConsoleSettings(output=output, yes=bool(given.get("yes")), debug=given.pop("debug")))
            with events.listening(console.Renderer().show):
                try:
                    for name, kind in shared.items():
                        given[name] = kind(**{f.name: given.pop(f.name) for f in dataclasses.fields(kind)})
                    return function(**given)
                finally:
                    console.clear_line()

        parameters = [p for parameter in signature.parameters.values() for p in _options_of(parameter)]
        for common, (kind, default, flags, help_text) in _COMMON.items():
            annotation = Annotated[kind, typer.Option(*flags, help=help_text)]  # type: ignore[valid-type]
            parameters.append(
                inspect.Parameter(common, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        lines = "\n".join(f"    $ {line}" for line in example.splitlines())
        app.command(name, help=f"{inspect.getdoc(function)}\n\n\b\nExample:\n{lines}", **kwargs)(call)
        return function

    return decorate


def _options_of(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """A parameter of a command, or the options that a dataclass defines."""
    if not dataclasses.is_dataclass(parameter.annotation):
        return [parameter]
    kinds = get_type_hints(parameter.annotation, include_extras=True)
    return [
        inspect.Parameter(f.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=f.default, annotation=kinds[f.name])
        for f in dataclasses.fields(parameter.annotation)
    ]
