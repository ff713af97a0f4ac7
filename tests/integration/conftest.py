"""Clusters that integration tests share. Each test uses topics and users of its own, and brings every node back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import RealCluster, leaked_processes
from tests.harness.shared import SharedClusters


@pytest.fixture(scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that all clusters of this run stand below."""
    return tmp_path_factory.mktemp("asgard")


@pytest.fixture(scope="module")
def secured_cluster(shared_clusters: SharedClusters, session_home: Path) -> RealCluster:
    """Three brokers (all of them controllers) in three racks, SCRAM and authorizer. Bring killed nodes back: `all_up()`."""
    return shared_clusters.get("secured_cluster", lambda: RealCluster(session_home / "secured", brokers=3, racks=3))


@pytest.fixture(scope="module")
def four_brokers(shared_clusters: SharedClusters, session_home: Path) -> RealCluster:
    """Four brokers in three racks (4 shares that of 1), the first three are controllers too. Bring killed nodes back: `all_up()`."""
    few = {"offsets.topic.num.partitions": "3"}
    return shared_clusters.get(
        "four_brokers", lambda: RealCluster(session_home / "four", brokers=4, racks=3, config=few)
    )


@pytest.fixture(scope="module")
def plain_broker(shared_clusters: SharedClusters, session_home: Path) -> RealCluster:
    """One broker without security."""
    return shared_clusters.get("plain_broker", lambda: RealCluster(session_home / "plain", brokers=1, security="none"))


@pytest.fixture
def topic_name() -> str:
    """A topic name that no other test uses."""
    return f"t-{secrets.token_hex(4)}"


@pytest.fixture
def own_home(session_home: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An ASGARD_HOME for one test module; nothing may run in it afterwards."""
    home = session_home / request.module.__name__.rpartition(".")[2]
    monkeypatch.setenv("ASGARD_HOME", str(home))
    yield home
    left = leaked_processes(home)
    for process in left:
        process.kill()
    assert not left
