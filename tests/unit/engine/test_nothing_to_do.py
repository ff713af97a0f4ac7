"""`up` says that there is nothing to do only after a run that ended well: whatever else changed the state, it looks again."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.odin.engine.cli_engine import CliEngine
from asgard.odin.engine.state import StateStore
from asgard.odin.engine.steps import Result
from asgard.odin.lifecycle import apply
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.lifecycle.session import directory
from asgard.odin.spec.model import StackSpec
from tests.harness.memory_cluster import NO_LEFTOVERS, MemoryCluster, external_stack

A, B = "name: a, retention: 7d", "name: b, retention: 7d"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    made = MemoryCluster()
    made.install(monkeypatch, tmp_path / "home")
    return made


def up(spec: StackSpec) -> apply.ApplyOutcome:
    return apply.up(spec, OdinOptions(), lambda planned: None, leftovers=NO_LEFTOVERS)


def test_a_second_run_and_a_refresh_without_drift_leave_nothing_to_do(tmp_path: Path, cluster: MemoryCluster) -> None:
    spec = external_stack(tmp_path / "asgard.yaml", A, B)
    assert not up(spec).quick
    assert up(spec).quick
    assert not apply.refresh("orders", spec, NO_LEFTOVERS).drifts
    assert up(spec).quick


def test_what_a_refresh_took_over_is_put_right(tmp_path: Path, cluster: MemoryCluster) -> None:
    spec = external_stack(tmp_path / "asgard.yaml", A, B)
    up(spec)
    cluster.delete_topics(["b"])
    cluster.config["a"]["retention.ms"] = "1"
    assert len(apply.refresh("orders", spec, NO_LEFTOVERS).drifts) == 2
    assert up(spec).result.counts == {"update": 1, "create": 1}
    assert cluster.config == {"a": {"retention.ms": "604800000"}, "b": {"retention.ms": "604800000"}}
    assert up(spec).quick


def test_after_a_run_that_failed_the_stack_file_before_it_is_applied_again(
    tmp_path: Path, cluster: MemoryCluster
) -> None:
    before = external_stack(tmp_path / "asgard.yaml", A)
    up(before)
    cluster.refuses = {"c"}
    assert not up(external_stack(tmp_path / "asgard.yaml", "name: a, retention: 30d", B, "name: c")).result.ok
    assert set(cluster.known) == {"a", "b"}
    assert up(before).result.counts == {"update": 1, "delete": 1}
    assert cluster.config == {"a": {"retention.ms": "604800000"}}


def test_what_a_destroy_that_failed_has_deleted_is_created_again(tmp_path: Path, cluster: MemoryCluster) -> None:
    spec = external_stack(tmp_path / "asgard.yaml", A, B)
    up(spec)
    cluster.refuses = {"a"}
    options = OdinOptions(confirm="orders")
    assert not apply.destroy("orders", options, lambda planned: None, leftovers=NO_LEFTOVERS).result.ok
    assert set(cluster.known) == {"a"}
    assert up(spec).result.counts == {"create": 1, "same": 1}


def test_a_refresh_of_a_cloud_forgets_what_was_applied_before_the_cli_changes_the_state(
    tmp_path: Path, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = external_stack(tmp_path / "asgard.yaml", A)
    up(spec)
    store = StateStore(directory("orders"))
    state = store.load()
    volume = "urn:pulumi:orders::asgard::aws:ebs/volume:Volume::orders-1"
    state.live[volume] = {"urn": volume, "type": "aws:ebs/volume:Volume", "custom": True, "id": "vol-1"}
    store.save(state)
    known: list[bool] = []

    def refresh(engine: CliEngine, *, dry_run: bool) -> Result:
        known.append("fingerprint" in store.load().meta)
        return Result()

    monkeypatch.setattr(CliEngine, "refresh", refresh)
    apply.drift("orders", spec, NO_LEFTOVERS)
    apply.refresh("orders", spec, NO_LEFTOVERS)
    assert known == [True, False]
