"""`asgard context`: the clusters you work with, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asgard.cli.command import Yes, command, group
from asgard.core import console, contexts
from asgard.core.console import Table
from asgard.core.contexts import Context
from asgard.core.errors import WrongUsage
from asgard.kafka.addresses import check_servers

app = group()

Name = Annotated[str, typer.Argument(metavar="NAME", help="The context's name.")]


@command(
    app, example="asgard context add staging --bootstrap-server kafka.example:9092 --command-config staging.properties"
)
def add(
    name: Name,
    bootstrap_server: Annotated[
        str, typer.Option("--bootstrap-server", metavar="HOST:PORT", help="Bootstrap servers, comma-separated.")
    ],
    command_config: Annotated[
        Path | None,
        typer.Option("--command-config", metavar="FILE", help="A Kafka client properties file; only its path is kept."),
    ] = None,
    protected: Annotated[
        bool, typer.Option("--protected", help="Changes require --confirm with the context's name.")
    ] = False,
    heal: Annotated[bool, typer.Option("--heal", help="Allow healing even though the context is protected.")] = False,
    use: Annotated[bool, typer.Option("--use", help="Make it the current context.")] = False,
    yes: Yes = False,
) -> None:
    """Name a cluster. Replaces an existing context of that name and forgets its recorded cluster id."""
    check_servers(bootstrap_server, "--bootstrap-server")
    if command_config and not command_config.is_file():
        raise WrongUsage(f"{command_config} doesn't exist", "Name a Kafka client properties file.")
    if name in contexts.load().by_name:
        console.ask(f"Replace the context {name}?")
    properties = str(command_config.absolute()) if command_config else None
    context = Context(name, bootstrap_server, properties, protected=protected, heal=heal)
    contexts.put(context, use=use)
    current = " (the current one)" if contexts.load().current == name else ""
    console.emit(context, text=f"context {name} names {bootstrap_server}{current}")


@command(app, name="list", example="asgard context list")
def list_() -> None:
    """List the contexts; a star marks the current one."""
    known = contexts.load()
    listed = [known.by_name[name] for name in sorted(known.by_name)]
    columns = ["", "name", "bootstrap servers", "cluster id", "stack", "protected"]
    rows = [
        ["*" if c.name == known.current else "", c.name, c.bootstrap_servers, c.cluster_id, c.stack, _protection(c)]
        for c in listed
    ]
    console.emit({"current": known.current, "contexts": listed}, Table(columns, rows))


@command(app, example="asgard context show staging")
def show(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The context; the current one if not named.")
    ] = None,
) -> None:
    """Show one context: its servers, its cluster id, its protection."""
    context = contexts.load().pick(name)
    console.emit(context, Table(["field", "value"], [[k, v] for k, v in console.to_plain(context).items()]))


@command(app, example="asgard context use staging")
def use(name: Name) -> None:
    """Make a context the current one: commands use it by default."""
    contexts.use(name)
    console.emit({"current": name}, text=f"the current context is {name}")


@command(app, example="asgard context remove staging --yes")
def remove(name: Name, yes: Yes = False) -> None:
    """Remove a context. The cluster and its data don't change."""
    context = contexts.load().pick(name)
    if context.stack:
        console.ask(f"The stack {context.stack} made this context and names its cluster by it. Forget it?")
    contexts.remove(name)
    console.emit({"removed": name}, text=f"removed context {name}; the cluster was not touched")


def _protection(context: Context) -> str:
    if not context.protected:
        return "no"
    return "yes, healing allowed" if context.heal else "yes"
