"""The `asgard` command: loads a service when it is called, and turns every failure into a sentence and an exit code."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from asgard.core import console
from asgard.core.errors import AsgardError, ExitCode, Interrupted

COMMANDS = {
    "odin": "Provision, change and improve infrastructure as code.",
    "thor": "Heal a cluster that lost brokers, and keep it within its limits.",
    "loki": "Load, faults, drills and a monkey: break it on purpose, and check every record.",
    "heimdall": "Lag, volume, audit, tracing, canary: see what arrives, and what does not.",
    "bifrost": "Self-service: a team asks for a topic, a user or access, and gets it.",
    "kafka": "Kafka on this machine: download it, list its nodes.",
    "context": "The clusters you work with, by name.",
    "journal": "What happened, who holds a lease, what is unfinished.",
    "recover": "Clean up what an interrupted command left behind.",
    "doctor": "What this machine lacks, and how to fix it.",
    "demo": "Create a real Kafka as code, kill brokers under traffic, count every record.",
}
"""Name to one line of help; the module `asgard.cli.<name>` holds `app`."""


def load(name: str) -> Any:
    """The command or group of that name."""
    module = importlib.import_module(f"asgard.cli.{name}")
    loaded = typer.main.get_command(module.app)
    loaded.name = name
    return loaded


class LazyGroup(TyperGroup):
    """Lists its commands without importing them; a command's module is imported when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name], short_help=COMMANDS[cmd_name])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, _, rest = super().resolve_command(ctx, args)
        return name, load(name) if name else None, rest


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        from asgard import __version__

        console.print_out(f"asgard {__version__}")
        raise typer.Exit


@app.callback()
def asgard(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Kafka data infrastructure, end to end: provision, change, prove, heal and watch from one command."""


def _terminated(signum: int, frame: object) -> NoReturn:
    raise Interrupted(
        "stopped by a signal (SIGTERM)", "What was done is recorded; run the same command again to continue."
    )


def run() -> NoReturn:
    """Entry point of the console script."""
    # Start-up creates about 150,000 objects that live until the end: collecting garbage among them, and once more on exit,
    # would take a fifth of a short command's time.
    gc.set_threshold(250_000)
    # Pydantic would look for plugins among all packages that are installed here.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    signal.signal(signal.SIGTERM, _terminated)
    code = main()
    gc.freeze()
    sys.exit(code)


def main(args: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    try:
        result = app(args, prog_name="asgard", standalone_mode=False)
        return int(result) if isinstance(result, int) else ExitCode.OK
    except AsgardError as error:
        _report(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        return _other(error)


def _interrupted() -> int:
    console.say("interrupted; what was done is recorded, run the same command again to continue")
    return ExitCode.INTERRUPTED


def _other(error: Exception) -> int:
    show = getattr(error, "show", None)
    if callable(show):
        # A usage error of the parser: it has its own message and refers to --help.
        show()
        return ExitCode.USAGE
    if type(error).__name__ == "Abort":
        return _interrupted()
    if type(error).__name__ == "Exit":
        return int(getattr(error, "exit_code", 0))
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        _report(AsgardError(f"the operating system refused{where}: {error.strerror}", _os_hint(error)))
    else:
        _report(
            AsgardError(
                f"a defect of Asgard: {type(error).__name__}: {error}",
                "Run it again with --debug and report the traceback.",
            )
        )
    return ExitCode.FAILED


def _os_hint(error: OSError) -> str:
    import errno

    if error.errno == errno.ENOSPC:
        return "The disk is full: make room, then run the same command again; what was done is recorded."
    return "Check the path and its permissions; ASGARD_HOME sets where Asgard writes."


def _report(error: AsgardError) -> None:
    if console.current().debug:
        import traceback

        traceback.print_exc()
    lead = "" if hasattr(error, "problems") else "error: "
    console.say(console.style(lead, "bold", "red", stream=sys.stderr) + str(error))
    wants_document = console.current().output in (console.OutputFormat.JSON, console.OutputFormat.YAML)
    if wants_document and not console.current().emitted:
        document: dict[str, Any] = {"what": error.what, "hint": error.hint, "exit_code": int(error.exit_code)}
        if hasattr(error, "problems"):
            document["problems"] = error.problems
        console.emit({"error": document})
