"""Clusters that integration tests share. Each test uses topics and users of its own, and brings every node back."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from asgard.core import paths
from tests.harness import RealCluster, leaked_processes


@pytest.fixture(scope="session")
def session_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory that all clusters of this run stand below. A process that is left there at the end fails the run."""
    home = tmp_path_factory.mktemp("asgard")
    # One cache for all homes of this run: Kafka is fetched once a machine.
    os.environ["ASGARD_CACHE"] = str(paths.cache())
    yield home
    leaked = leaked_processes(home)
    for process in leaked:
        process.kill()
    assert not leaked, f"processes left behind: {[' '.join(p.cmdline())[:300] for p in leaked]}"


@pytest.fixture(scope="session")
def secured_cluster(session_home: Path) -> Iterator[RealCluster]:
    """Three brokers (all of them controllers) in three racks, SCRAM and authorizer. Bring killed nodes back: `all_up()`."""
    with RealCluster(session_home / "secured", brokers=3, racks=3) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def plain_broker(session_home: Path) -> Iterator[RealCluster]:
    """One broker without security."""
    with RealCluster(session_home / "plain", brokers=1, security="none") as cluster:
        yield cluster


@pytest.fixture
def topic_name() -> str:
    """A topic name that no other test uses."""
    return f"t-{secrets.token_hex(4)}"
