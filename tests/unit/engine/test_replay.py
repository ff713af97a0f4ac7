"""The embedded engine gives the answers that the real Pulumi CLI gave to the same programs (tests/data/pulumi/story.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asgard.odin.engine.run import Engine
from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import StateStore
from asgard.odin.engine.steps import Result
from tests.unit.engine import programs
from tests.unit.engine.example import ExampleProvider
from tests.unit.engine.record import DATA, normal

RECORDED = json.loads(DATA.read_text())


def engine(home: Path) -> Engine:
    return Engine(StackRef("story", "dev"), StateStore(home / "stack"), lambda _, a: ExampleProvider(a), lambda: "pass")


def steps(result: Result) -> list[dict[str, Any]]:
    """In the form of the recording."""
    found = [{"op": s.op, "urn": s.urn, "replace": sorted(s.replace_keys), "diff": s.diff} for s in result.steps]
    return sorted(found, key=lambda step: (step["urn"], step["op"]))


def resources(document: dict[str, Any], home: Path) -> dict[str, Any]:
    """The checkpoint's resources by URN; the order among independent ones is the engines' own business."""
    document = normal(document, str(home))
    assert document["version"] == 3
    return {resource["urn"]: resource for resource in document["deployment"].get("resources", [])}


def test_each_step_and_checkpoint_is_the_cli_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    things = tmp_path / "things.json"
    monkeypatch.setenv("EXAMPLE_PATH", str(things))
    for (name, arguments), told in zip(programs.STORY, RECORDED["story"], strict=True):
        assert told["name"] == name
        on = engine(tmp_path)
        planned = on.preview(programs.build(things, **arguments))
        done = on.up(programs.build(things, **arguments))
        assert done.ok is not told["failed"], f"{name}: {done.errors}"
        assert steps(planned) == told["preview"], f"{name}: preview"
        assert steps(done) == told["up"], f"{name}: up"
        ours = StateStore(tmp_path / "stack").load().export()
        assert resources(ours, tmp_path) == resources(told["export"], tmp_path), f"{name}: checkpoint"
