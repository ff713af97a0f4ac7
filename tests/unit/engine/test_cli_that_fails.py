"""A Pulumi CLI on PATH that can't be used ends in a sentence and exit 3, never in a defect of Asgard."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core.errors import Unreachable
from asgard.odin.engine.cli_engine import CliEngine
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import StateStore
from tests.unit.engine import programs

BUILDS = {
    "a build of one's own": ("#!/bin/sh\necho dev-0a1b2c\n", "version of the Pulumi CLI can't be used"),
    "no version at all": ("#!/bin/sh\nexit 0\n", "version of the Pulumi CLI can't be used"),
    "too old": ("#!/bin/sh\necho v2.0.0\n", "version of the Pulumi CLI can't be used"),
    "not a program": ("\x7fELF\n", "the Pulumi CLI failed: OSError"),
}


@pytest.mark.parametrize("name", BUILDS)
def test_a_cli_that_cant_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, words = BUILDS[name]
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "pulumi"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    engine = CliEngine(StackRef("story", "dev"), StateStore(tmp_path / "stack"), lambda: "pass")
    with pytest.raises(Unreachable, match=words) as raised:
        engine.preview(programs.build(tmp_path / "things.json", a={"size": 3}))
    assert raised.value.exit_code == 3 and raised.value.hint
