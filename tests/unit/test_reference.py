"""Every command has help, an example that starts with it, and a place in the reference."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import reference

COMMANDS = dict(reference.all_commands())


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_documented(words):
    command = COMMANDS[words]
    text, _, example = (command.help or "").partition("\n\n\b\nExample:\n")
    assert len(text) > 20, "help says what the command does"
    assert any(line.strip().startswith(f"$ asgard {words}") for line in example.splitlines()), (
        "the example shows the command itself"
    )
    for parameter in command.params:
        assert parameter.param_type_name == "argument" or parameter.help, f"{parameter.name} lacks help"
    assert f"### `asgard {words}`" in (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
