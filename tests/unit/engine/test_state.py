"""The state of record: what is on disk after any interruption is read again, or refused with a sentence."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from asgard.core.errors import Failed, WrongUsage
from asgard.odin.engine.secrets import Vault
from asgard.odin.engine.state import State, StateStore, parse
from asgard.odin.engine.steplog import StepLog
from tests.unit.engine.record import DATA

A = {"urn": "urn:pulumi:dev::story::t:i:T::a", "custom": True, "id": "a", "type": "t:i:T"}
B = {**A, "urn": "urn:pulumi:dev::story::t:i:T::b", "id": "b", "dependencies": [A["urn"]]}


def store(tmp_path: Path) -> StateStore:
    return StateStore(tmp_path / "stack")


def log(to: StateStore, *entries: dict[str, Any]) -> None:
    async def write() -> None:
        steps = StepLog(to, to.load(), Vault(None, lambda: "p"))
        for entry in entries:
            await steps.durable(entry)
        await steps.close()

    asyncio.run(write())


def test_a_new_stack_has_an_empty_state_and_reading_writes_nothing(tmp_path: Path) -> None:
    assert not store(tmp_path).load().live
    assert not (tmp_path / "stack").exists()


def test_a_checkpoint_of_the_cli_is_read(tmp_path: Path) -> None:
    for told in json.loads(DATA.read_text())["story"]:
        state = parse(told["export"], "recorded")
        assert [r["urn"] for r in state] == [r["urn"] for r in told["export"]["deployment"].get("resources", [])]


def test_a_state_written_before_asgard_kept_its_own_data_is_read(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "state.json").write_text(
        json.dumps({"version": 3, "deployment": {"manifest": {}, "resources": [A]}})
    )
    state = store(tmp_path).load()
    assert (list(state.live), state.meta, state.serial) == ([A["urn"]], {}, 0)


@pytest.mark.parametrize("document", [{"version": 4, "deployment": {}}, {"version": 3}, {}])
def test_another_version_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(WrongUsage, match="not a state that Asgard reads"):
        parse(document, "x.json")


def test_secrets_of_another_provider_are_refused() -> None:
    with pytest.raises(WrongUsage, match="cloud"):
        parse({"version": 3, "deployment": {"secrets_providers": {"type": "cloud"}}}, "x.json")


def test_what_is_saved_is_loaded_with_asgard_s_own_data(tmp_path: Path) -> None:
    state = State(live={B["urn"]: B, A["urn"]: A}, meta={"program": "abc", "gates": [1]}, salt="v1:x:y")
    store(tmp_path).save(state)
    again = store(tmp_path).load()
    assert (again.live, again.meta, again.salt, again.serial) == (state.live, state.meta, state.salt, 1)
    assert [r["urn"] for r in again] == [A["urn"], B["urn"]]  # dependencies first
    assert "asgard" not in again.export()
    assert (tmp_path / "stack" / "state.json").stat().st_mode & 0o777 == 0o600


def test_an_export_names_nothing_that_is_gone() -> None:
    record = {**B, "propertyDependencies": {"x": [A["urn"]]}, "deletedWith": A["urn"]}
    exported = State(live={B["urn"]: record}).export()["deployment"]["resources"][0]
    assert A["urn"] not in json.dumps(exported)


def test_the_log_of_a_killed_run_is_replayed(tmp_path: Path) -> None:
    store(tmp_path).save(State(live={A["urn"]: A}))
    log(
        store(tmp_path),
        {"do": "pending", "type": "creating", "resource": B},
        {"do": "put", "resource": {**A, "id": "new"}},
    )
    state = store(tmp_path).load()
    assert state.live[A["urn"]]["id"] == "new"
    assert state.pending == {B["urn"]: ("creating", B)}
    assert state.export()["deployment"]["pending_operations"] == [{"resource": B, "type": "creating"}]


def test_a_log_that_was_folded_in_is_not_applied_again(tmp_path: Path) -> None:
    log(store(tmp_path), {"do": "put", "resource": A})
    kept = (tmp_path / "stack" / "steps.log").read_bytes()
    state = store(tmp_path).load()
    store(tmp_path).save(state)
    (tmp_path / "stack" / "steps.log").write_bytes(kept)  # as if killed between the two
    log_again = store(tmp_path).load()
    log_again.apply({"do": "drop", "urn": A["urn"]})
    store(tmp_path).save(log_again)
    (tmp_path / "stack" / "steps.log").write_bytes(kept)
    assert not store(tmp_path).load().live


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_cut_off_last_line_is_ignored_and_said(tmp_path: Path, cut: int) -> None:
    log(store(tmp_path), {"do": "put", "resource": A}, {"do": "put", "resource": B})
    path = tmp_path / "stack" / "steps.log"
    path.write_bytes(path.read_bytes()[:-cut])
    reading = store(tmp_path)
    assert list(reading.load().live) == [A["urn"]]
    assert "ignored" in reading.warnings[0]


def test_a_line_damaged_in_the_middle_is_refused(tmp_path: Path) -> None:
    log(store(tmp_path), {"do": "put", "resource": A}, {"do": "put", "resource": B})
    path = tmp_path / "stack" / "steps.log"
    head, first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([head, first[:9], second, b""]))
    with pytest.raises(Failed, match=r"steps.log:2 is damaged"):
        store(tmp_path).load()


def test_the_guard_stops_writes_when_the_lease_is_lost(tmp_path: Path) -> None:
    def lost() -> None:
        raise Failed("the lease is lost")

    guarded = StateStore(tmp_path / "stack", guard=lost)
    with pytest.raises(Failed, match="lease"):
        guarded.save(State())
    with pytest.raises(Failed, match="lease"):
        log(guarded, {"do": "put", "resource": A})
    assert not (tmp_path / "stack" / "state.json").exists()


def test_a_creation_is_finished_once_its_resource_is_another_one_in_the_state() -> None:
    old, new = {A["urn"]: A}, {A["urn"]: {**A, "id": "new"}}
    begun = {A["urn"]: ("creating", A)}
    assert State(old).still_unfinished(State(old, pending=begun)) == begun, "its replacement is not there yet"
    assert State(new).still_unfinished(State(old, pending=begun)) == {}
    assert State(old).still_unfinished(State({}, pending=begun)) == {}
    assert State().still_unfinished(State(pending={A["urn"]: ("updating", A)})) == {}


def test_once_the_log_cant_be_written_every_later_intent_is_refused_at_once(tmp_path: Path) -> None:
    def lost() -> None:
        raise Failed("the lease is lost")

    async def write() -> None:
        steps = StepLog(StateStore(tmp_path / "stack", guard=lost), State(), Vault(None, lambda: "p"))
        records = [{**A, "urn": f"{A['urn']}{number}"} for number in range(3)]
        intents = [steps.durable({"do": "pending", "type": "creating", "resource": record}) for record in records]
        found = await asyncio.gather(intents[0], intents[1], return_exceptions=True)
        assert [str(error) for error in found] == ["the lease is lost"] * 2
        with pytest.raises(Failed, match="lease"):
            intents[2].send(None)  # its first step: a second one would wait for a write that never comes
        assert list(steps.state.pending) == [record["urn"] for record in records[:2]]
        with pytest.raises(Failed, match="lease"):
            await steps.close()

    asyncio.run(write())


def test_many_intents_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), real(fd))[1])

    async def write() -> None:
        steps = StepLog(store(tmp_path), State(), Vault(None, lambda: "p"))
        records = [{**A, "urn": f"{A['urn']}{number}"} for number in range(1000)]
        await asyncio.gather(*(steps.durable({"do": "pending", "type": "creating", "resource": r}) for r in records))
        await steps.close()

    asyncio.run(write())
    assert len(store(tmp_path).load().pending) == 1000
    assert len(synced) < 20
