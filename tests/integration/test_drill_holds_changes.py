"""While somebody breaks things in a cluster on purpose, planned changes wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.compose.settle import leftovers
from asgard.core.errors import Busy
from asgard.journal import leases
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import connect
from asgard.odin.lifecycle import apply
from asgard.odin.lifecycle.options import OdinOptions
from asgard.odin.spec.read import load
from tests.harness import RealCluster
from tests.harness.placing import eventually

STACK = """
stack: drilled
target: external
cluster: {{bootstrap_servers: "{servers}"}}
security: {{sasl: none, authorizer: false}}
topics:
  - {{name: drilled, partitions: 1, replication: 1}}
"""


def test_an_up_during_a_drill_is_told_who_holds_the_cluster(
    plain_broker: RealCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASGARD_HOME", str(tmp_path / "home"))
    file = tmp_path / "asgard.yaml"
    file.write_text(STACK.format(servers=plain_broker.bootstrap_servers))
    with connect(plain_broker.connection) as control, open_journal() as journal:
        fault = leases.cluster_fault(control.cluster().cluster_id)
        with leases.hold(journal, fault, priority=leases.Priority.CHANGE, doing="a drill"):
            with pytest.raises(Busy, match="a drill"):
                up(file)
            assert "drilled" not in control.topics()
        assert up(file).result.ok
        eventually(lambda: "drilled" in control.topics())


def up(file: Path) -> apply.ApplyOutcome:
    """Apply the stack file without a question."""
    return apply.up(
        load(file),
        OdinOptions(),
        lambda planned: None,
        leftovers=leftovers(),
    )
