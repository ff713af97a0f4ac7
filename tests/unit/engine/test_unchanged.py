"""Which resources a large stack may leave out of its program: only those that are certainly as declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asgard.odin.engine.stack import StackRef
from asgard.odin.engine.state import State
from asgard.odin.lifecycle.drift import Drift
from asgard.odin.lifecycle.unchanged import marks, untouched
from asgard.odin.resources.kinds import BROKER, TOPIC
from asgard.odin.spec.model import StackSpec
from asgard.odin.spec.read import load

REF = StackRef("asgard", "big")


def spec(tmp_path: Path, a: str = "partitions: 1", heap: str = "") -> StackSpec:
    file = tmp_path / "asgard.yaml"
    file.write_text(
        f"stack: big\ntarget: local\nkafka: {{brokers: 1{heap}}}\ntopics:\n"
        f"  - {{name: a, {a}}}\n  - {{name: b, partitions: 1}}\n"
        "users:\n  - {name: u, produce: [a]}\n"
    )
    return load(file)


def urn(name: str, type: str = TOPIC) -> str:
    return REF.child(REF.urn, type, name)


def recorded(wanted: StackSpec) -> State:
    """A state in which everything of the spec is recorded, with its marks."""
    from asgard.odin.program import declared

    state = State()
    for token, name, values, _ in declared(wanted, {}):
        record: dict[str, Any] = {
            "urn": urn(name, token),
            "type": token,
            "id": name,
            "inputs": values,
            "outputs": values,
        }
        state.live[record["urn"]] = record
    state.meta["marks"] = marks(wanted, None, REF, state)
    return state


def left_out(wanted: StackSpec, state: State, *drifts: Drift) -> set[str]:
    return {name for type, name in untouched(wanted, None, REF, state, drifts) if type == TOPIC}


def test_what_is_unchanged_is_left_out_and_users_never(tmp_path: Path) -> None:
    state = recorded(spec(tmp_path))
    assert left_out(spec(tmp_path), state) == {"a", "b"}
    assert {type for type, _ in untouched(spec(tmp_path), None, REF, state, ())} == {TOPIC, "asgard:kafka:Acl"}


@pytest.mark.parametrize("change", ["partitions: 2", "partitions: 1, protect: true", "partitions: 1, retention: 1d"])
def test_what_is_declared_differently_is_registered(tmp_path: Path, change: str) -> None:
    assert left_out(spec(tmp_path, change), recorded(spec(tmp_path))) == {"b"}


def test_a_change_of_the_cluster_registers_everything(tmp_path: Path) -> None:
    assert left_out(spec(tmp_path, heap=", heap: 512MiB"), recorded(spec(tmp_path))) == set()


def test_a_record_that_was_changed_by_whatever_hand_is_registered(tmp_path: Path) -> None:
    state = recorded(spec(tmp_path))
    state.live[urn("a")] = {**state.live[urn("a")], "outputs": {"name": "a", "partitions": 9}}
    assert left_out(spec(tmp_path), state) == {"b"}
    state.live[urn("b")] = {**state.live[urn("b")], "pendingReplacement": True}
    assert left_out(spec(tmp_path), state) == set()


def test_what_has_drifted_is_registered_and_after_a_node_everything(tmp_path: Path) -> None:
    state = recorded(spec(tmp_path))
    assert left_out(spec(tmp_path), state, Drift("changed", TOPIC, "a", urn("a"))) == {"b"}
    assert left_out(spec(tmp_path), state, Drift("stopped", BROKER, "big-1", "x")) == set()


def test_an_unfinished_run_registers_everything(tmp_path: Path) -> None:
    state = recorded(spec(tmp_path))
    state.pending[urn("a")] = ("updating", state.live[urn("a")])
    assert left_out(spec(tmp_path), state) == set()


def test_a_state_without_marks_registers_everything(tmp_path: Path) -> None:
    state = recorded(spec(tmp_path))
    state.meta.clear()
    assert left_out(spec(tmp_path), state) == set()
