"""A cluster that never became ready is destroyed without another wait for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from asgard.odin.engine.state import State, StateStore
from asgard.odin.lifecycle import register
from asgard.odin.lifecycle.session import Session, directory
from asgard.odin.resources.kinds import CLUSTER, READY


def record(kind: str, **outputs: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:s::asgard::{kind}::s", "type": kind, "custom": True, "inputs": {}, "outputs": outputs}


def test_a_wait_that_failed_is_not_begun_again_to_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path))
    plan, ready = record(CLUSTER, clusterId="c"), record(READY)
    store = StateStore(directory("s"))
    store.save(State(live={plan["urn"]: plan}, pending={ready["urn"]: ("creating", ready)}))
    session = Session("s", store, cast(Any, None))
    register.say_never_ready(session, store.load())
    assert not store.load().pending
    assert (directory("s") / "nodes" / "going").exists(), "its nodes are not asked what they hold"
