"""What holds for every test: no process is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from asgard.core import paths
from tests.harness import leaked_processes, postgres
from tests.harness.shared import SharedClusters, order, used_by_file

# How long a case takes is the machine's business: a busy one would fail properties that hold.
settings.register_profile("asgard", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("asgard")

# Tests press Ctrl-C. A run in the background may have it ignored, and every process that it starts too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """At the end of the run no process may name a directory of this run among its arguments, as all of Asgard's do."""
    base = tmp_path_factory.getbasetemp()
    # One cache for all homes of this run: Kafka is fetched once a machine.
    os.environ["ASGARD_CACHE"] = str(paths.cache())
    yield
    leaked = leaked_processes(base)
    told = [f"{process.pid}: {' '.join(process.cmdline())[:300]}" for process in leaked]
    for process in leaked:
        process.kill()
    assert not leaked, "processes left behind:\n" + "\n".join(told)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that share a cluster run one after another."""
    order(items)


@pytest.fixture(scope="session")
def running_clusters(request: pytest.FixtureRequest) -> Iterator[SharedClusters]:
    """What is up for more than one file."""
    clusters = SharedClusters(used_by_file(request.session.items))
    yield clusters
    clusters.keep(())


@pytest.fixture(scope="module")
def shared_clusters(request: pytest.FixtureRequest, running_clusters: SharedClusters) -> SharedClusters:
    """The same, without what this file does not use."""
    running_clusters.keep(running_clusters.used[str(request.path)])
    return running_clusters


@pytest.fixture(scope="module", autouse=True)
def nothing_else_is_up(shared_clusters: SharedClusters) -> None:
    """Also for files that use none."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """A PostgreSQL server that tests share; each takes a `database()` of its own."""
    programs, why_not = postgres.find()
    if programs is None:
        pytest.skip(why_not)
    with postgres.running() as server:
        yield server
