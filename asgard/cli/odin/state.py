"""The commands about a stack's resources and state: outputs, import, and its state of record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asgard.cli.command import Which, Yes, command, group
from asgard.cli.odin import app
from asgard.cli.odin.options import DEFAULT_FILE, File, Stack, named
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import WrongUsage

state_app = group()
app.add_typer(state_app, name="state", help="The state of record, in Pulumi's export format.")


@command(app, example="asgard odin outputs --stack orders --user orders-api --out orders-api.properties")
def outputs(
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Write the Kafka client properties of this user.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write them to this file (mode 0600).")
    ] = None,
) -> None:
    """Show the stack's bootstrap servers, or write a user's client properties to a file."""
    from asgard.odin.lifecycle import outputs as stack_outputs

    name, spec = named(file, stack)
    if (user is None) != (out is None):
        raise WrongUsage("--user and --out go together: passwords are written to files, never shown")
    if user is not None and out is not None:
        stack_outputs.write_client_properties(name, spec, user, out)
        console.emit({"user": user, "file": out}, text=f"{out}: the client properties of {user} (only you can read it)")
        return
    values = stack_outputs.outputs(name)
    console.emit(values, Table(["output", "value"], list(values.items())))


@command(app, name="import", example="asgard odin import orders --bootstrap-server 127.0.0.1:9092 -f orders.yaml")
def import_(
    stack: Annotated[str, typer.Argument(metavar="STACK", help="Name of the stack that will own what is found.")],
    file: File = DEFAULT_FILE,
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="PATTERN", help="Only topics that match this pattern (orders.*); repeatable."),
    ] = None,
    which: Which = Which(),
    yes: Yes = False,
) -> int:
    """Read a cluster that Asgard did not make: write its stack file, and a state whose next preview is empty."""
    from asgard.compose.settle import leftovers
    from asgard.odin.lifecycle import adopt, display

    if file.exists():
        console.ask(f"{file} exists. Replace it?")
    spec = adopt.write_stack_file(
        stack, file, tuple(topic or ()), which.context, which.bootstrap_server, which.command_config
    )
    result = adopt.adopt(spec, leftovers())
    text = f"{display.counts(result, done=True)}\n{file}: say who owns what, then `asgard odin preview -f {file}`"
    console.emit({"file": file, **display.document(result)}, text=text)
    return result.exit_code


@command(state_app, example="asgard odin state export --stack orders --out orders.json", name="export")
def state_export(
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it to this file; default: stdout.")
    ] = None,
) -> None:
    """Export the state in the format of `pulumi stack import`. Secrets stay encrypted."""
    import json

    from asgard.core.paths import write_atomic
    from asgard.odin.lifecycle import outputs as stack_outputs

    document = stack_outputs.export_state(named(file, stack)[0])
    if out is None:
        console.emit(document)
        return
    write_atomic(out, json.dumps(document, indent=2) + "\n")
    console.emit({"file": out}, text=f"{out}: the state; its secrets open with the stack's passphrase")


@command(state_app, example="asgard odin state import --stack orders orders.json --yes", name="import")
def state_import(
    source: Annotated[Path, typer.Argument(metavar="EXPORT", help="A file that `state export` or Pulumi wrote.")],
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    yes: Yes = False,
) -> None:
    """Replace the state of record. The cluster does not change; the next preview shows what differs."""
    from asgard.compose.settle import leftovers
    from asgard.odin.lifecycle import outputs as stack_outputs

    name, _ = named(file, stack, must_exist=False)
    console.ask(f"Replace the state of stack {name}?")
    count = stack_outputs.import_state(name, source, leftovers())
    console.emit({"stack": name, "resources": count}, text=f"stack {name} has {count} resources now")


@command(state_app, example="asgard odin state list --stack orders", name="list")
def state_list(file: File = DEFAULT_FILE, stack: Stack = None) -> None:
    """List the resources in the state."""
    from asgard.odin.lifecycle import outputs as stack_outputs

    rows = stack_outputs.resources(named(file, stack)[0])
    console.emit_rows(rows, ["type", "name", "id", "protected"])
