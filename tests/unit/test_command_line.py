"""The edge of the command line: what users and scripts see when things go right and wrong."""

import json
from enum import Enum
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from asgard.cli import main as cli
from asgard.cli.command import Yes, command
from asgard.cli.moments import every_seconds
from asgard.cli.numbers import parse_number
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import Busy, ExitCode, InvalidFile, Problem, Refused, Unreachable, WrongUsage


class Colour(Enum):
    RED = "red"


@pytest.fixture
def try_command(monkeypatch, capsys):
    """Give `asgard try` a body, run it, and return exit code, stdout and stderr."""

    def run(body, *args):
        app = typer.Typer()

        @command(app, example="asgard try")
        def attempt(yes: Yes = False) -> None:
            """Try something."""
            body()

        monkeypatch.setattr(cli, "load", lambda name: typer.main.get_command(app))
        monkeypatch.setitem(cli.COMMANDS, "try", "Try something.")
        code = cli.main(["try", *args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def fail(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("no", "add --yes"), 4),
        (Unreachable("no broker answers at 127.0.0.1:1"), 3),
        (Busy("held"), 75),
        (KeyboardInterrupt(), 130),
    ],
)
def test_an_error_has_its_exit_code_and_no_traceback(try_command, error, code):
    got, out, err = try_command(fail(error))
    assert got == code
    assert out == ""
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3


def test_with_json_the_error_is_a_document_too(try_command):
    code, out, err = try_command(fail(Refused("t holds records", "say so")), "--json")
    assert code == ExitCode.REFUSED
    assert json.loads(out) == {"error": {"what": "t holds records", "hint": "say so", "exit_code": 4}}
    assert "t holds records" in err


def test_all_problems_of_a_file_are_listed_in_its_order(try_command):
    problems = [Problem("a.yaml", 9, 1, "topics[0]", "late"), Problem("a.yaml", 2, 3, "stack", "early")]
    code, _, err = try_command(fail(InvalidFile(problems)))
    assert code == ExitCode.USAGE
    assert err.splitlines() == ["a.yaml:2:3: stack: early", "a.yaml:9:1: topics[0]: late"]


def test_a_full_disk_is_a_sentence(try_command):
    code, _, err = try_command(fail(OSError(28, "No space left on device", "/x/state.json")))
    assert code == ExitCode.FAILED
    assert "/x/state.json: No space left on device" in err
    assert "make room" in err


def test_a_defect_says_that_it_is_one_and_debug_shows_where(try_command):
    code, _, err = try_command(fail(ZeroDivisionError("oops")))
    assert (code, "a defect of Asgard: ZeroDivisionError: oops" in err, "Traceback" in err) == (1, True, False)
    assert "Traceback" in try_command(fail(ZeroDivisionError("oops")), "--debug")[2]


def test_wrong_usage_exits_with_2(try_command):
    code, _, err = try_command(lambda: None, "--nope")
    assert code == ExitCode.USAGE
    assert "--nope" in err


def test_without_a_terminal_a_change_is_refused_unless_yes(try_command, monkeypatch):
    monkeypatch.setattr("sys.stdin", Path("/dev/null").open())  # noqa: SIM115 - it must stay open for the call
    code, _, err = try_command(lambda: console.ask("Go on?"))
    assert code == ExitCode.REFUSED
    assert "--yes" in err
    assert try_command(lambda: console.ask("Go on?"), "--yes")[0] == ExitCode.OK


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("plain", "name      size\n------  ------\na           10\nb            -"),
        ("markdown", "| name   |   size |\n|--------|--------|\n| a      |     10 |\n| b      |      - |"),
        ("yaml", "rows:\n- a"),
    ],
)
def test_output_formats(try_command, output, expected):
    table = Table(["name", "size"], [["a", 10], ["b", None]], right=frozenset({"size"}))
    _, out, _ = try_command(lambda: console.emit({"rows": ["a"]}, table), "--output", output)
    assert out.rstrip("\n") == expected


def test_json_knows_paths_enums_and_sets(try_command):
    _, out, _ = try_command(lambda: console.emit({"p": Path("/x"), "c": Colour.RED, "s": {3, 1}}), "--json")
    assert json.loads(out) == {"p": "/x", "c": "red", "s": [1, 3]}


def test_listing_the_commands_imports_no_service():
    import subprocess
    import sys

    code = (
        "import sys; from asgard.cli.main import main; main(['--help']);"
        "print([m for m in sys.modules if m.split('.')[0] in {'pulumi','kafka','confluent_kafka','sqlalchemy','pydantic','grpc'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_is_wrong_usage():
    assert CliRunner().invoke(cli.app, ["nope"]).exit_code == 2


def test_seeing_that_nothing_is_to_do_needs_no_pulumi():
    import subprocess
    import sys

    code = "import sys; import asgard.odin.lifecycle.apply; print([m for m in sys.modules if m.split('.')[0] in {'pulumi', 'grpc'}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", "--every is 'soon'; allowed is a number with one of ms, s, m, min, h, d, w, as in 7d"),
        ("0s", "--every is '0s'; allowed is a time above 0"),
    ],
)
def test_a_number_that_cannot_be_read_names_its_option(text, message):
    assert parse_number("--every", "1.5m", units.parse_duration, "a time above 0") == 90
    assert parse_number("--every", "0s", units.parse_duration) == 0
    with pytest.raises(WrongUsage) as refused:
        parse_number("--every", text, units.parse_duration, "a time above 0")
    assert refused.value.what == message


def test_an_interval_that_is_too_short_is_refused_not_stretched():
    assert every_seconds("2m", "10s") == 120
    with pytest.raises(WrongUsage) as refused:
        every_seconds("0s", "1s")
    assert refused.value.what == "--every is '0s'; allowed is 1s or more"
