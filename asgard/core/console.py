"""A command's output: one document on stdout, text for people on stderr.

A command emits its result once, as plain data with a table beside it; the chosen output format decides which is shown.
Everything else (progress, warnings, questions) goes to stderr, so that `--json` is always one document.
"""

from __future__ import annotations

import contextvars
import dataclasses
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any

from asgard.core import events, widths
from asgard.core.errors import Refused


class OutputFormat(StrEnum):
    """How a result is shown. `table` is for terminals; `plain` and `markdown` for CI logs; `json` and `yaml` for programs."""

    TABLE = "table"
    PLAIN = "plain"
    MARKDOWN = "markdown"
    JSON = "json"
    YAML = "yaml"


@dataclass
class ConsoleSettings:
    """The common options of this call. `times`: lines for people begin with the time, as in a log. `line_open`: a
    progress line is on the terminal, and the next one replaces it."""

    output: OutputFormat = OutputFormat.TABLE
    yes: bool = False
    debug: bool = False
    emitted: bool = False
    times: bool = False
    line_open: bool = False


_settings: contextvars.ContextVar[ConsoleSettings | None] = contextvars.ContextVar("asgard_settings", default=None)


def current() -> ConsoleSettings:
    """The settings of this call; those of a thread without a call of its own are the defaults."""
    found = _settings.get()
    if found is None:
        found = ConsoleSettings()
        _settings.set(found)
    return found


def begin(settings: ConsoleSettings) -> None:
    """Use these settings for a new call; they apply to its context (thread, task), not to the process."""
    _settings.set(settings)


@dataclass(frozen=True)
class Table:
    """Rows for people: cells are shown with `str`, None as `-`. Long names are shortened in the middle so that the
    table fits."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    right: frozenset[str] = field(default_factory=frozenset)


def to_plain(value: Any) -> Any:
    """Converts data classes, enums, paths, sets and tuples to JSON types; sets are sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, set | frozenset):
        return [to_plain(v) for v in sorted(value)]
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return value


def emit(document: Any, *tables: Table, text: str | None = None) -> None:
    """Show a command's result. People see `tables`, then `text`; programs see `document`."""
    current().emitted = True
    match current().output:
        case OutputFormat.JSON:
            print_out(json.dumps(to_plain(document), indent=2, ensure_ascii=False))
        case OutputFormat.YAML:
            import yaml

            print_out(yaml.safe_dump(to_plain(document), sort_keys=False, allow_unicode=True).rstrip())
        case _:
            parts = [render(table) for table in tables]
            parts += [text] if text is not None else []
            print_out("\n\n".join(parts) if parts else json.dumps(to_plain(document), indent=2, ensure_ascii=False))


def emit_rows(document: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Show a list of documents: these columns of each for people, all of them for programs."""
    emit(document, Table(columns, [[entry[column] for column in columns] for entry in document]))


def emit_line(document: Any, text: str) -> None:
    """One item of a stream (`--follow`): a JSON line for programs, `text` for people."""
    current().emitted = True
    as_json = current().output in (OutputFormat.JSON, OutputFormat.YAML)
    print_out(json.dumps(to_plain(document), ensure_ascii=False) if as_json else text)


def emit_frame(document: Any, text: str) -> None:
    """A view that refreshes: drawn over the previous one on a terminal, one after the other elsewhere."""
    if current().output is not OutputFormat.TABLE or not sys.stdout.isatty():
        emit_line(document, text)
        return
    lines, height = text.splitlines(), shutil.get_terminal_size().lines - 1
    if len(lines) > height:
        lines = [*lines[: height - 1], f"… {len(lines) - height + 1} more lines"]
    current().emitted = True
    _write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")


def print_out(text: str) -> None:
    """Write a line to stdout now. What its encoding lacks is written as JSON escapes (`\\ud83d`), so a document stays one."""
    clear_line()
    _write(text + "\n")


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        sys.stdout.write("".join(_escaped(c, sys.stdout.encoding) for c in text))
    sys.stdout.flush()


def _escaped(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(character)[1:-1]
    return character


def render(table: Table) -> str:
    """A table as text, in the current format."""
    rows = [["-" if cell is None else str(cell) for cell in row] for row in table.rows]
    if current().output is OutputFormat.TABLE and sys.stdout.isatty():
        return _rich(table, rows)
    from tabulate import tabulate

    rows = [[widths.shortened(cell, widths.ELSEWHERE) for cell in row] for row in rows]
    style = "github" if current().output is OutputFormat.MARKDOWN else "simple"
    align = ["right" if c in table.right else "left" for c in table.columns]
    body = tabulate(
        rows, headers=list(table.columns), tablefmt=style, disable_numparse=True, colalign=align if rows else None
    )
    return f"{table.title}\n\n{body}" if table.title else body


def _rich(table: Table, rows: list[list[str]]) -> str:
    import rich.box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(force_terminal=True, no_color="NO_COLOR" in os.environ)
    most = widths.widest_column(table.columns, rows, console.width - _EDGES, between=_BETWEEN)
    drawn = RichTable(title=table.title or None, title_justify="left", box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        drawn.add_column(column, justify="right" if column in table.right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text.from_ansi(widths.shortened(cell, most)) for cell in row))
    with console.capture() as capture:
        console.print(drawn)
    return capture.get().rstrip("\n")


_BETWEEN, _EDGES = 3, 2
"""Characters between two columns on a terminal, and at both ends of a line together."""
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def style(text: str, *styles: str, stream: Any = None) -> str:
    """Coloured on a terminal with colour support, plain elsewhere."""
    stream = stream or sys.stdout
    if "NO_COLOR" in os.environ or not stream.isatty():
        return text
    return f"\033[{';'.join(_STYLES[s] for s in styles)}m{text}\033[0m"


def stamped(text: str) -> str:
    """The lines as in a log: each with the time if this call's lines have it."""
    if not current().times:
        return text
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return "\n".join(f"{now} {line}" for line in text.split("\n"))


def say(text: str) -> None:
    """A line for people, on stderr."""
    clear_line()
    sys.stderr.write(stamped(text) + "\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Something the user should know although the work continues."""
    say(style(f"warning: {text}", "yellow", stream=sys.stderr))


def ask(question: str) -> None:
    """Continue only after a yes: from `--yes`, or typed at a terminal. Raises Refused otherwise."""
    if current().yes:
        return
    if not sys.stdin.isatty():
        raise Refused(
            "this changes things and there is no terminal to ask on", "Add --yes to continue without a question."
        )
    clear_line()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("nothing was changed")


def clear_line() -> None:
    """Remove a progress line from the terminal."""
    if current().line_open:
        sys.stderr.write("\r\033[K")
        sys.stderr.flush()
        current().line_open = False


class Renderer:
    """Shows an operation's events on stderr: a line for each, progress as a line that rewrites itself (a terminal) or
    repeats every few seconds (a log). Pass its `show` to `core.events.listening`.
    """

    def __init__(self, *, every_s: float = 5.0) -> None:
        self._every_s = every_s
        self._last = time.monotonic()

    def show(self, event: events.Event) -> None:
        """Show one event."""
        match event:
            case events.Progress():
                self._progress(event)
            case events.Warned():
                warn(event.text)
            case events.Step():
                say(f"{event.text} …")
            case _:
                say(event.text)

    def _progress(self, event: events.Progress) -> None:
        line = f"{event.what}: {event.text}" if event.what else event.text
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{line}")
            sys.stderr.flush()
            current().line_open = True
        elif time.monotonic() - self._last >= self._every_s:
            self._last = time.monotonic()
            say(line)
