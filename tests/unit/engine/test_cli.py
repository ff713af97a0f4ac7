"""Both engines on one stack, where the real Pulumi CLI is on PATH: neither sees a difference after the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from asgard.odin.engine.cli_engine import CliEngine
from asgard.odin.engine.run import Engine
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import StateStore
from asgard.odin.engine.steps import Result
from tests.unit.engine import programs
from tests.unit.engine.example import ExampleProvider
from tests.unit.engine.record import install_plugin

pytestmark = pytest.mark.skipif(shutil.which("pulumi") is None, reason="the Pulumi CLI is not on PATH")


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Engine | CliEngine]:
    """The embedded engine and the CLI on the same stack."""
    (tmp_path / "bin").mkdir()
    install_plugin(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "pulumi"))
    monkeypatch.setenv("EXAMPLE_PATH", str(tmp_path / "things.json"))
    store = StateStore(tmp_path / "stack")
    ref = StackRef("story", "dev")
    return [
        Engine(ref, store, lambda _, adopting: ExampleProvider(adopting), lambda: "pass"),
        CliEngine(ref, store, lambda: "pass"),
    ]


def changes(result: Result) -> list[str]:
    assert result.ok, result.errors
    return sorted(f"{step.op} {step.name}" for step in result.steps if step.op != "same")


def test_each_engine_sees_no_change_after_the_other(tmp_path: Path, engines: list[Engine | CliEngine]) -> None:
    things = tmp_path / "things.json"
    for turn, (name, arguments) in enumerate(programs.STORY):
        program = programs.build(things, **arguments)
        first, second = engines if turn % 2 == 0 else reversed(engines)
        planned = second.preview(program)
        done = first.up(program)
        assert planned.ok is done.ok, name
        if name == "delete-protected":
            assert any("protected" in failure.message for failure in done.errors)
            continue
        assert changes(second.preview(program)) == [], name
        assert changes(second.up(program)) == [], name
        assert changes(first.preview(program)) == [], name
        assert done.outputs == second.up(program).outputs, name
    assert engines[1].destroy().ok
    assert json.loads(things.read_text()) == {}
    assert not StateStore(tmp_path / "stack").load().live


def test_the_cli_takes_an_export_and_previews_no_changes(tmp_path: Path, engines: list[Engine | CliEngine]) -> None:
    embedded, cli = engines
    program = programs.build(tmp_path / "things.json", a={"size": 3}, default=True)
    assert embedded.up(program).ok
    export = StateStore(tmp_path / "stack").load().export()
    work = tmp_path / "work"
    (work / "backend").mkdir(parents=True)
    (work / "Pulumi.yaml").write_text("name: story\nruntime: python\n")
    (work / "export.json").write_text(json.dumps(export))
    env = {**os.environ, "PULUMI_CONFIG_PASSPHRASE": "pass", "PULUMI_BACKEND_URL": f"file://{work / 'backend'}"}
    for command in (["stack", "init", "dev"], ["stack", "import", "--file", "export.json"], ["stack", "export"]):
        done = subprocess.run(
            ["pulumi", *command, "--non-interactive"], cwd=work, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert {r["urn"] for r in json.loads(done.stdout)["deployment"]["resources"]} == set(
        StateStore(tmp_path / "stack").load().live
    )
    assert changes(cli.preview(program)) == []


def test_the_cli_leaves_no_secret_in_the_clear(tmp_path: Path, engines: list[Engine | CliEngine]) -> None:
    _, cli = engines
    assert cli.up(programs.build(tmp_path / "things.json", a={"size": 3})).ok
    kept = (tmp_path / "stack" / "state.json").read_text()
    assert "ciphertext" in kept
    assert not any(word in kept for word in ("s3cret", "hush", "plaintext", '"pass"'))
    assert sorted(path.name for path in (tmp_path / "stack").iterdir()) == ["state.json"]


def test_refresh_by_either_engine_finds_the_same_drift(tmp_path: Path, engines: list[Engine | CliEngine]) -> None:
    embedded, cli = engines
    things = tmp_path / "things.json"
    program = programs.build(things, a={"size": 3})
    assert cli.up(program).ok
    made = json.loads(things.read_text())
    made["alpha@"]["size"] = 4
    things.write_text(json.dumps(made))
    assert changes(cli.refresh(dry_run=True)) == changes(embedded.refresh(dry_run=True)) == ["refresh a"]
    assert cli.refresh().ok
    assert changes(embedded.preview(program)) == ["update a"]


def test_what_a_killed_run_of_the_cli_did_is_not_lost(tmp_path: Path, engines: list[Engine | CliEngine]) -> None:
    embedded, cli = engines
    assert isinstance(cli, CliEngine)
    program = programs.build(tmp_path / "things.json", a={"size": 3})
    store = StateStore(tmp_path / "stack")
    with cli._workspace(program, store.load()) as stack:
        stack.up()
        shutil.copytree(store.backend, tmp_path / "left")
    shutil.copytree(tmp_path / "left", store.backend)
    assert changes(cli.preview(program)) == []
    assert changes(embedded.preview(program)) == []
    assert changes(embedded.up(program)) == []
    assert not store.backend.exists()
    assert len(store.load().live) == 5


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from asgard.odin.engine.cli_engine import CliEngine
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import StateStore
from tests.unit.engine import programs

def interrupt(event):
    if event.kind == "start" and event.step.name == "a":
        os.kill(os.getpid(), signal.SIGTERM)

home = Path(sys.argv[1])
engine = CliEngine(StackRef("story", "dev"), StateStore(home / "stack"), lambda: "pass", interrupt)
done = engine.up(programs.build(home / "things.json", a={"size": 3}))
sys.exit(done.exit_code)
"""


def test_a_signal_reaches_the_cli_and_what_it_did_is_in_the_state(
    tmp_path: Path, engines: list[Engine | CliEngine]
) -> None:
    embedded, cli = engines
    root = str(Path(__file__).parents[3])
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert not cli.store.backend.exists()
    assert {urn.rpartition("::")[2] for urn in cli.store.load().live} >= {"main", "story-dev"}
    program = programs.build(tmp_path / "things.json", a={"size": 3})
    assert embedded.up(program).ok
    assert changes(cli.preview(program)) == []
