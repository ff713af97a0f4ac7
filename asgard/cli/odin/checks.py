"""`asgard odin check` and `asgard odin engine`: guardrails and cost of a stack on AWS, and the Pulumi CLI that creates it."""

from __future__ import annotations

from typing import Annotated

import typer

from asgard.cli.command import command, group
from asgard.cli.odin import app
from asgard.cli.odin.options import DEFAULT_FILE, File, Sets, load_stack
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode

engine_app = group()
app.add_typer(engine_app, name="engine", help="The Pulumi CLI, for targets that Asgard's own engine can't create.")


@command(app, example="asgard odin check\nasgard odin check -f orders.yaml --json")
def check(file: File = DEFAULT_FILE, sets: Sets = None) -> int:
    """Check every resource that a stack on AWS declares: guardrails and monthly cost. Needs no account and no network.

    Exits with 1 if a guardrail is broken; `up` refuses such a stack. Warns when the certificates of its nodes are due.
    """
    from asgard.odin.lifecycle import certificates, guardrails
    from asgard.odin.resources.local import now
    from asgard.odin.targets.aws import cost

    spec = load_stack(file, sets)
    found = guardrails.review(spec)
    held = certificates.of_stack(spec.name)
    if held is not None:
        (console.warn if held.due(now()) else console.say)(held.sentence(now()))
    broken = {breach.rule for breach in found.breaches}
    rows: list[list[object]] = []
    for rule, about in found.rules.items():
        if rule in found.waived:
            rows.append([rule, "waived", found.waived[rule]])
        else:
            rows.append([rule, "broken" if rule in broken else "kept", about])
    tables = [Table(["guardrail", "state", "what it demands, or why it is waived"], rows)]
    if found.breaches:
        tables.append(
            Table(["guardrail", "resource", "what is wrong"], [[b.rule, b.resource, b.what] for b in found.breaches])
        )
    lines = [[line.what, line.count, None if line.dollars is None else f"{line.dollars:,.2f}"] for line in found.cost]
    tables.append(
        Table(["part", "count", "USD a month"], [*lines, ["estimate, us-east-1 list prices", None, f"{cost.total(found.cost):,.2f}"]],
              right=frozenset({"count", "USD a month"}))
    )  # fmt: skip
    document = {
        "resources": found.resources,
        "guardrails": found.rules,
        "waived": found.waived,
        "breaches": found.breaches,
        "certificates": None if held is None else {"renew_from": held.renew_from, "expires": held.expires},
        "cost": {"usd_a_month": round(cost.total(found.cost), 2), "prices_of": cost.AS_OF, "parts": found.cost},
    }
    console.emit(document, *tables)
    return int(ExitCode.FAILED if found.breaches else ExitCode.OK)


@command(engine_app, example="asgard odin engine status --json")
def status() -> int:
    """Show which Pulumi CLI would be used, and if its version fits the SDK. Exits with 3 if there is none."""
    from asgard.odin.engine import installed

    found = installed.find()
    if found is None:
        console.emit({"path": None}, text="no Pulumi CLI: `asgard odin engine install` gets one")
        return int(ExitCode.UNREACHABLE)
    text = f"{found.path}: version {found.version or 'unknown'}, the SDK is {found.sdk}"
    console.emit(found, text=text if found.fits else f"{text}; it needs {found.least} or newer")
    return int(ExitCode.OK if found.fits else ExitCode.UNREACHABLE)


@command(engine_app, example="asgard odin engine install")
def install(
    version: Annotated[
        str | None, typer.Option("--version", metavar="VERSION", help="Version of the CLI; default: the SDK's.")
    ] = None,
) -> None:
    """Fetch the Pulumi CLI with the SDK's installer, into Asgard's cache."""
    from asgard.odin.engine import installed

    found = installed.install(version)
    console.emit(found, text=f"{found.path}: version {found.version}")
