"""Write the command reference and the table of exit codes from the code; `--check` fails where a page is out of date."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asgard.cli.main import COMMANDS, load
from asgard.core.errors import ExitCode

DOCS = Path(__file__).parent.parent / "docs"


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command below `name`, as (words after `asgard`, command)."""
    children = getattr(command, "commands", None)
    if not children:
        yield name, command
        return
    for child, sub in children.items():
        yield from commands(f"{name} {child}", sub)


def all_commands() -> Iterator[tuple[str, Any]]:
    """Every command of `asgard`."""
    for name in COMMANDS:
        yield from commands(name, load(name))


def _parameter(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = (parameter.metavar or parameter.name).strip("[]").upper()
    else:
        name = ", ".join(parameter.opts + parameter.secondary_opts)
    text = (parameter.help or "").replace("|", "\\|")
    default = parameter.default
    if default not in (None, False, (), [], "") and not callable(default) and parameter.param_type_name == "option":
        text += f" Default: `{getattr(default, 'value', default)}`."
    if parameter.required:
        text += " Required."
    return f"| `{name}` | {text.strip()} |"


def reference() -> str:
    """The page of all commands."""
    parts = [
        "# Command reference",
        "",
        "Made from the code by `nox -s docs`; edit the code, not this page.",
        "",
        "Every command takes `--output table|plain|markdown|json|yaml`, `--json` for short, `--debug` and `--help`.",
    ]
    for name in COMMANDS:
        parts += ["", f"## asgard {name}", "", COMMANDS[name]]
        for words, command in commands(name, load(name)):
            text, _, example = (command.help or "").partition("\n\n\b\nExample:\n")
            parts += ["", f"### `asgard {words}`", "", text.strip(), "", "```console"]
            parts += [line.strip() for line in example.splitlines()] + ["```"]
            own = [p for p in command.params if p.name not in ("output", "json_", "debug", "help")]
            if own:
                parts += ["", "| argument or option | meaning |", "| --- | --- |", *map(_parameter, own)]
    return "\n".join(parts) + "\n"


def exit_codes() -> str:
    """The page of exit codes."""
    rows = [f"| {int(code)} | {code.meaning} |" for code in ExitCode]
    return (
        "\n".join(
            [
                "# Exit codes",
                "",
                "The same for every command; made from the code.",
                "",
                "| code | meaning |",
                "| --- | --- |",
                *rows,
            ]
        )
        + "\n"
    )


PAGES = {"reference.md": reference, "exit-codes.md": exit_codes}


def main() -> int:
    """Write the pages, or check them."""
    stale = []
    for name, render in PAGES.items():
        path, text = DOCS / name, render()
        if "--check" not in sys.argv:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(name)
    if stale:
        print(f"out of date: {', '.join(stale)} (run `nox -s docs`)", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
