"""The commands for a stack's cluster: init, validate, schema, preview, up, destroy, drift, refresh."""

from __future__ import annotations

from typing import Annotated

import typer

from asgard.cli.command import Confirm, Yes, command
from asgard.cli.odin import app, show
from asgard.cli.odin.options import (
    DEFAULT_FILE,
    AllowDataLoss,
    EngineOption,
    File,
    Sets,
    Stack,
    load_stack,
    named,
    options,
)
from asgard.core import console
from asgard.core.errors import ExitCode


@command(app, example="asgard odin init local-ha --name orders")
def init(
    template: Annotated[str, typer.Argument(metavar="[TEMPLATE]", help="A template's name.")] = "local-dev",
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The stack's name; the template's by default.")
    ] = None,
    file: File = DEFAULT_FILE,
    yes: Yes = False,
) -> None:
    """Write a stack file to start from. Templates: local-dev, local-ha, external-topics, aws-ec2, aws-msk."""
    from asgard.odin.spec import templates

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
    from asgard.compose.settle import report_known

    spec = load_stack(file, sets)
    facts = {
        "topics": len(spec.topics),
        "users": len(spec.users),
        "acls": len(spec.all_acls()),
        "quotas": len(spec.all_quotas()),
    }
    counted = ", ".join(f"{number} {what}" for what, number in facts.items())
    console.emit({"file": file, "stack": spec.name, **facts}, text=f"{file} is valid: stack {spec.name}, {counted}")
    report_known(spec.name, spec.external.context if spec.external else None)


@command(app, example="asgard odin schema > asgard.schema.json")
def schema() -> None:
    """Print the JSON Schema of stack files, for editors."""
    from asgard.odin.spec.read import json_schema

    console.emit(json_schema())


@command(app, example="asgard odin preview --expect-no-changes")
def preview(
    file: File = DEFAULT_FILE,
    sets: Sets = None,
    allow_data_loss: AllowDataLoss = None,
    expect_no_changes: Annotated[
        bool, typer.Option("--expect-no-changes", help="Exit with 1 if there is anything to change.")
    ] = False,
    engine: EngineOption = "embedded",
) -> int:
    """Show what `up` would do. Changes nothing."""
    from asgard.compose.settle import leftovers
    from asgard.odin.lifecycle import apply, display

    outcome = apply.preview(load_stack(file, sets), options(allow_data_loss, None, engine), leftovers())
    show.notes(outcome)
    document = display.document(outcome.result, outcome.losses) | {"new_machines": sorted(outcome.replaced)}
    console.emit(document, text=show.plan(outcome))
    if not outcome.result.ok:
        return show.failed(outcome)
    return ExitCode.FAILED if expect_no_changes and outcome.changes else ExitCode.OK


@command(app, example="asgard odin up --yes")
def up(
    file: File = DEFAULT_FILE,
    sets: Sets = None,
    allow_data_loss: AllowDataLoss = None,
    confirm: Confirm = None,
    skip_gate: Annotated[
        bool, typer.Option("--skip-gate", help="Skip the load of the file's `gate:`; the journal records that.")
    ] = False,
    engine: EngineOption = "embedded",
    yes: Yes = False,
) -> int:
    """Make the cluster match the stack file: show the changes, ask, apply. Finishes what an interrupted run left.

    If the stack file has a `gate:`, that load runs afterwards when the cluster or its topics changed, and again on each `up` until it passes.
    """
    from asgard.compose import up as composed
    from asgard.odin.lifecycle import display
    from asgard.odin.lifecycle.gate import figures_of

    spec = load_stack(file, sets)
    outcome = composed.up(
        spec,
        options(allow_data_loss, confirm, engine),
        show.approve("Apply these changes?"),
        skip_gate=skip_gate,
    )
    if outcome.quick:
        show.notes(outcome)
    else:
        show.warnings(outcome)
    text = display.counts(outcome.result, done=True)
    if outcome.replaced:
        text += f", {len(outcome.replaced)} machines replaced"
    if outcome.result.ok and not outcome.quick:
        text += f"\nNext: asgard odin outputs --stack {spec.name}"
    document = display.document(outcome.result, outcome.losses) | {"new_machines": sorted(outcome.replaced)}
    if outcome.gate is not None:
        document["gate"] = figures_of(outcome.gate)
        text += "\n" + show.gate(outcome.gate)
    console.emit(document, text=text)
    return show.failed(outcome)


@command(app, example="asgard odin destroy --confirm orders")
def destroy(
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    confirm: Confirm = None,
    engine: EngineOption = "embedded",
    yes: Yes = False,
) -> int:
    """Delete everything that the stack created: topics with their records, users, brokers. Requires the stack's name."""
    from asgard.compose.settle import leftovers
    from asgard.odin.lifecycle import apply, display

    name, _ = named(file, stack)
    outcome = apply.destroy(
        name,
        options(None, confirm, engine),
        show.approve(f"Destroy the stack {name}?", agreed=confirm == name),
        leftovers=leftovers(),
    )
    console.emit(display.document(outcome.result, outcome.losses), text=display.counts(outcome.result, done=True))
    return show.failed(outcome)


@command(app, example="asgard odin drift --fail-on-drift")
def drift(
    file: File = DEFAULT_FILE,
    stack: Stack = None,
    fail_on_drift: Annotated[bool, typer.Option("--fail-on-drift", help="Exit with 1 if anything drifted.")] = False,
    check_credentials: Annotated[
        bool, typer.Option("--check-credentials", help="Also log in with each stored password.")
    ] = False,
) -> int:
    """List what differs from what Odin created: gone, changed, stopped, or added to a user of the stack."""
    from asgard.compose.settle import leftovers
    from asgard.odin.lifecycle import apply

    name, spec = named(file, stack)
    seen = apply.drift(name, spec, leftovers())
    refused = apply.credentials_refused(name, spec) if check_credentials else {}
    lines = show.drift_lines(seen) + [
        f"user {user}: its stored password is refused: {why}" for user, why in refused.items()
    ]
    document = {"drift": show.drift_document(seen), "unseen": seen.unseen, "refused_credentials": refused}
    console.emit(document, text="\n".join(lines) or f"No drift: stack {name} matches its state.")
    return ExitCode.FAILED if fail_on_drift and lines else ExitCode.OK


@command(app, example="asgard odin refresh --yes")
def refresh(file: File = DEFAULT_FILE, stack: Stack = None, yes: Yes = False) -> None:
    """Update the state from the cluster, which does not change. The next `up` restores what the stack file says."""
    from asgard.compose.settle import leftovers
    from asgard.odin.lifecycle import apply

    name, spec = named(file, stack)
    seen = apply.refresh(name, spec, leftovers())
    text = "\n".join(show.drift_lines(seen)) or "Nothing differs from the state."
    console.emit({"drift": show.drift_document(seen), "unseen": seen.unseen}, text=text)
