"""An ASGARD_HOME for each module, and the external cluster that the modules share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.command import Home, remove_nodes
from tests.harness import RealCluster
from tests.harness.shared import SharedClusters


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home of this module's own; what its stacks leave running is stopped."""
    made = Home(tmp_path_factory.mktemp("e2e") / "home")
    yield made
    remove_nodes(made)


@pytest.fixture(scope="module")
def external_cluster(shared_clusters: SharedClusters, tmp_path_factory: pytest.TempPathFactory) -> RealCluster:
    """One secured broker that no stack made. Tests use topics of their own."""
    return shared_clusters.get("external_cluster", lambda: RealCluster(tmp_path_factory.mktemp("external"), brokers=1))
