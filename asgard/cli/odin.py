"""`asgard odin`: stack files in, changes shown, approved and applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import BootstrapServer, CommandConfig, Confirm, Context, Yes, command, group
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import AsgardError, ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.odin.apply import Outcome
    from asgard.odin.engine.steps import Event, Failure
    from asgard.odin.options import Options
    from asgard.odin.reality import Look
    from asgard.odin.spec import StackSpec

app = group()
state_app = group()
app.add_typer(state_app, name="state", help="The state of record, in Pulumi's export form.")

File = Annotated[Path, typer.Option("--file", "-f", metavar="FILE", help="The stack file.")]
Stack = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="A stack by its name, where its file is not at hand.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a value of the stack file: --set kafka.brokers=5."),
]
AllowDataLoss = Annotated[
    list[str] | None,
    typer.Option("--allow-data-loss", metavar="TOPIC", help="This topic may lose records. Once for each topic."),
]
EngineOption = Annotated[str, typer.Option("--engine", metavar="ENGINE", help="embedded, or pulumi: the Pulumi CLI.")]
DEFAULT_FILE = Path("asgard.yaml")


@command(app, example="asgard odin init local-ha --name orders")
def init(
    template: Annotated[str, typer.Argument(metavar="[TEMPLATE]", help="A template's name.")] = "local-dev",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The stack's name; the template's by default.")
    ] = None,
    file: File = DEFAULT_FILE,
    yes: Yes = False,
) -> None:
    """Write a stack file to start from. Templates: local-dev, local-ha, external-topics."""
    from asgard.odin import templates

    chosen = templates.template(template)
    if file.exists():
        console.ask(f"{file} exists. Replace it?")
    file.write_text(chosen.render(name))
    console.emit(
        {"file": file, "template": template},
        text=f"{file}: {chosen.about}\nNext: look at it, then `asgard odin preview` and `asgard odin up`.",
    )


@command(app, example="asgard odin validate -f asgard.yaml")
def validate(file: File = DEFAULT_FILE, sets: Sets = None) -> None:
    """Check a stack file, offline: every mistake with its line, what is wrong and what is allowed."""
    spec = _load(file, sets)
    facts = {
        "topics": len(spec.topics),
        "users": len(spec.users),
        "acls": len(spec.all_acls()),
        "quotas": len(spec.all_quotas()),
    }
    counted = ", ".join(f"{number} {what}" for what, number in facts.items())
    console.emit({"file": file, "stack": spec.name, **facts}, text=f"{file} is valid: stack {spec.name}, {counted}")


@command(app, example="asgard odin schema > asgard.schema.json")
def schema() -> None:
    """Print the JSON Schema of stack files, for editors."""
    from asgard.odin.spec import json_schema

    console.emit(json_schema())


@command(app, example="asgard odin preview --expect-no-changes")
def preview(
    file: File = DEFAULT_FILE,
    sets: Sets = None,
    allow_data_loss: AllowDataLoss = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit with 1 where there is anything to change.")
    ] = False,
    engine: EngineOption = "embedded",
) -> int:
    """Show what `up` would do. Changes nothing."""
    from asgard.odin import apply, display

    outcome = apply.preview(_load(file, sets), _options(allow_data_loss, None, engine))
    _notes(outcome)
    console.emit(display.document(outcome.result, outcome.losses), text=display.text(outcome.result, outcome.losses))
    if not outcome.result.ok:
        return _failed(outcome)
    return ExitCode.FAILED if expect_no_changes and outcome.result.has_changes else ExitCode.OK


@command(app, example="asgard odin up --yes")
def up(
    file: File = DEFAULT_FILE,
    sets: Sets = None,
    allow_data_loss: AllowDataLoss = None,
    confirm: Confirm = None,
    engine: EngineOption = "embedded",
    yes: Yes = False,
) -> int:
    """Make the cluster what the stack file says: show the changes, ask, apply. What an interrupted run left is finished."""
    from asgard.compose.settle import handlers, say_settled
    from asgard.odin import apply, display

    spec = _load(file, sets)
    options = _options(allow_data_loss, confirm, engine)
    with console.progress(f"odin up {spec.name}") as progress:
        outcome = apply.up(
            spec,
            options,
            _approve("Apply these changes?"),
            handlers=handlers(),
            on_settled=say_settled,
            on_event=_progress(progress),
        )
    if outcome.quick:
        _notes(outcome)
    else:
        _warnings(outcome)
    text = display.counts(outcome.result, done=True)
    if outcome.result.ok and not outcome.quick:
        text += f"\nNext: asgard odin outputs --stack {spec.name}"
    console.emit(display.document(outcome.result, outcome.losses), text=text)
    return _failed(outcome)


@command(app, example="asgard odin destroy --confirm orders --yes")
def destroy(file: File = DEFAULT_FILE, stack: Stack = None, confirm: Confirm = None, yes: Yes = False) -> int:
    """Delete everything that the stack made: topics with their records, users, brokers. Wants the stack's name."""
    from asgard.compose.settle import handlers, say_settled
    from asgard.odin import apply, display

    name, _ = _named(file, stack)
    with console.progress(f"odin destroy {name}") as progress:
        outcome = apply.destroy(
            name,
            _options(None, confirm, "embedded"),
            _approve(f"Destroy the stack {name}?"),
            handlers=handlers(),
            on_settled=say_settled,
            on_event=_progress(progress),
        )
    console.emit(display.document(outcome.result, outcome.losses), text=display.counts(outcome.result, done=True))
    return _failed(outcome)


@command(app, example="asgard odin drift --fail-on-drift")
def drift(
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    fail_on_drift: Annotated[
        bool, typer.Option("--fail-on-drift", help="Exit with 1 where something drifted.")
    ] = False,
    check_credentials: Annotated[
        bool, typer.Option("--check-credentials", help="Log in with each stored password too.")
    ] = False,
) -> int:
    """Name what is no longer as Odin made it: gone, changed, stopped, or added to a user of the stack."""
    from asgard.odin import apply

    name, spec = _named(file, stack)
    seen = apply.drift(name, spec)
    refused = apply.credentials_refused(name, spec) if check_credentials else {}
    lines = _drift_lines(seen) + [
        f"user {user}: its stored password is refused: {why}" for user, why in refused.items()
    ]
    document = {"drift": _drift_document(seen), "unseen": seen.unseen, "refused_credentials": refused}
    console.emit(document, text="\n".join(lines) or f"No drift: stack {name} is as it was made.")
    return ExitCode.FAILED if fail_on_drift and lines else ExitCode.OK


@command(app, example="asgard odin refresh --yes")
def refresh(file: File = DEFAULT_FILE, stack: Stack = None, yes: Yes = False) -> None:
    """Take what is there into the state; the cluster stays as it is. `up` then brings back what the stack file says."""
    from asgard.compose.settle import handlers, say_settled
    from asgard.odin import apply

    name, spec = _named(file, stack)
    seen = apply.refresh(name, spec, handlers=handlers(), on_settled=say_settled)
    text = "\n".join(_drift_lines(seen)) or "Nothing differs from the state."
    console.emit({"drift": _drift_document(seen), "unseen": seen.unseen}, text=text)


@command(app, example="asgard odin outputs --stack orders --user orders-api --out orders-api.properties")
def outputs(
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="USER", help="Write the Kafka client properties of this user.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write them (0600).")] = None,
) -> None:
    """Show where the stack's cluster answers, or write a user's client properties to a file."""
    from asgard.odin import outputs as stack_outputs

    name, spec = _named(file, stack)
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
    stack: Annotated[str, typer.Argument(metavar="STACK", help="The name of the stack that is to own what is found.")],
    file: File = DEFAULT_FILE,
    topic: Annotated[
        list[str] | None,
        typer.Option("--topic", metavar="PATTERN", help="Only topics that match (orders.*). Once for each pattern."),
    ] = None,
    context: Context = None,
    bootstrap_server: BootstrapServer = None,
    command_config: CommandConfig = None,
    yes: Yes = False,
) -> int:
    """Read a cluster that Asgard did not make: write its stack file, and a state whose next preview is empty."""
    from asgard.odin import display, takeover

    if file.exists():
        console.ask(f"{file} exists. Replace it?")
    result = takeover.take_over(stack, file, tuple(topic or ()), context, bootstrap_server, command_config)
    text = f"{display.counts(result, done=True)}\n{file}: say who owns what, then `asgard odin preview -f {file}`"
    console.emit({"file": file, **display.document(result)}, text=text)
    return result.exit_code


@command(state_app, example="asgard odin state export --stack orders --out orders.json", name="export")
def state_export(
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to; stdout by default.")] = None,
) -> None:
    """Write the state as `pulumi stack import` reads it. Secrets stay encrypted."""
    import json

    from asgard.core.paths import write_atomic
    from asgard.odin import outputs as stack_outputs

    document = stack_outputs.export_state(_named(file, stack)[0])
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
    """Replace the state of record. The cluster is not touched; the next preview shows what differs."""
    from asgard.odin import outputs as stack_outputs

    name, _ = _named(file, stack, must_exist=False)
    console.ask(f"Replace the state of stack {name}?")
    count = stack_outputs.import_state(name, source)
    console.emit({"stack": name, "resources": count}, text=f"stack {name} has {count} resources now")


@command(state_app, example="asgard odin state list --stack orders", name="list")
def state_list(file: File = DEFAULT_FILE, stack: Stack = None) -> None:
    """List the resources that the state holds."""
    from asgard.odin import outputs as stack_outputs

    rows = stack_outputs.resources(_named(file, stack)[0])
    console.emit(rows, Table(["type", "name", "id", "protected"], [list(row.values()) for row in rows]))


def _load(file: Path, sets: list[str] | None) -> StackSpec:
    from asgard.odin.spec import load

    spec = load(file, sets or ())
    for warning in spec.warnings:
        console.warn(str(warning))
    return spec


def _named(file: Path, stack: str | None, *, must_exist: bool = True) -> tuple[str, StackSpec | None]:
    """The stack that a command is about: by name, or by its file."""
    from asgard.odin import session

    spec = None
    if stack is None:
        spec = _load(file, None)
        stack = spec.name
    if must_exist:
        session.exists(stack)
    return stack, spec


def _options(allow_data_loss: list[str] | None, confirm: str | None, engine: str) -> Options:
    from asgard.odin.options import Options

    if engine not in ("embedded", "pulumi"):
        raise WrongUsage(f"--engine is {engine!r}; allowed are embedded and pulumi")
    return Options(frozenset(allow_data_loss or ()), confirm, "pulumi" if engine == "pulumi" else "embedded")


def _approve(question: str) -> Any:
    def approve(outcome: Outcome) -> None:
        from asgard.odin import display

        _notes(outcome)
        if outcome.result.ok or display.changes(outcome.result):
            console.say(display.text(outcome.result, outcome.losses))
        if not outcome.result.ok:
            raise _impossible(outcome)
        if outcome.result.has_changes:
            console.ask(question)

    return approve


def _impossible(outcome: Outcome) -> AsgardError:
    """The error of a plan that can't be carried out; it keeps the exit code of its reason."""
    first, *more = outcome.result.errors
    also = f" (and {len(more)} more like it)" if more else ""
    hint = f"{first.hint} " if first.hint else ""
    error = AsgardError(f"{_sentence(first)}{also}", f"{hint}Nothing was changed.")
    error.exit_code = outcome.result.exit_code
    return error


def _warnings(outcome: Outcome) -> None:
    for warning in outcome.result.warnings:
        console.warn(warning)


def _notes(outcome: Outcome) -> None:
    _warnings(outcome)
    if outcome.seen is not None:
        for line in _drift_lines(outcome.seen):
            console.say(f"drift: {line}")


def _progress(update: Any) -> Any:
    done = 0

    def on_event(event: Event) -> None:
        nonlocal done
        if event.kind == "log":
            console.say(event.message)
        elif event.step is not None and event.step.op != "same":
            done += event.kind == "done"
            update(f"{done} done, {event.step.op} {event.step.name}")

    return on_event


def _failed(outcome: Outcome) -> int:
    for failure in outcome.result.errors:
        hint = f"\n{failure.hint}" if failure.hint else ""
        console.say(console.style("error: ", "bold", "red") + f"{_sentence(failure)}{hint}")
    if outcome.result.skipped:
        console.say(f"{len(outcome.result.skipped)} resources that need them were left alone")
    if outcome.result.interrupted:
        console.say("interrupted: what was done is recorded; run the same command again to go on")
    return outcome.result.exit_code


def _sentence(failure: Failure) -> str:
    named = not failure.name or failure.message.startswith(f"{failure.name}:")
    return failure.message if named else f"{failure.name}: {failure.message}"


def _drift_lines(seen: Look) -> list[str]:
    unseen = [f"the cluster does not answer, so only its nodes were looked at: {seen.unseen}"] if seen.unseen else []
    return [str(drift) for drift in seen.drifts] + unseen


def _drift_document(seen: Look) -> list[dict[str, Any]]:
    return [
        {
            "what": drift.what,
            "type": drift.type,
            "name": drift.name,
            "differences": {path: {"was": old, "is": new} for path, (old, new) in drift.differences.items()},
        }
        for drift in seen.drifts
    ]
