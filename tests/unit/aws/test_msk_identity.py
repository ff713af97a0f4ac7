"""Amazon chooses the id of an MSK cluster: a stack is registered, and its cluster's lease held, under the one that it answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from asgard.core import contexts
from asgard.core.errors import Unreachable
from asgard.journal import claims
from asgard.kafka import target
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import STACK_TYPE, Result
from asgard.odin.lifecycle import register
from asgard.odin.lifecycle.session import changing, reading
from asgard.odin.provider.allocation import allocate
from asgard.odin.resources.kinds import ALLOCATION
from asgard.odin.spec.model import StackSpec
from asgard.odin.spec.read import load
from tests.harness.memory_cluster import NO_LEFTOVERS, MemoryCluster

MSK = (
    "stack: orders\ntarget: aws-msk\nkafka: {version: 3.9.x, brokers: 3}\naws: {region: eu-central-1}\n"
    "topics:\n  - {name: a, partitions: 1, replication: 3}\n"
)
INVENTED = {"clusterId": "an-id-that-asgard-drew"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    made = MemoryCluster("the-id-that-amazon-chose")
    made.install(monkeypatch, tmp_path / "home")
    return made


def applied(tmp_path: Path, **outputs: str) -> StackSpec:
    """The stack after its first `up`, with these outputs of its allocation beside those that there are now."""
    (tmp_path / "asgard.yaml").write_text(MSK)
    spec = load(tmp_path / "asgard.yaml")
    made = allocate({"name": "orders", "hosts": {}, "controllers": [], "users": []}, {})
    with reading("orders", spec) as session:
        urn = session.ref.child(session.ref.urn, ALLOCATION, "orders")
        public = {name: made[name] for name in ("name", "hosts", "clusterId") if name in made}
        session.store.save(
            State(
                {
                    session.ref.urn: {
                        "urn": session.ref.urn,
                        "type": STACK_TYPE,
                        "outputs": {"bootstrapServers": "b:9098"},
                    },
                    urn: {"urn": urn, "type": ALLOCATION, "outputs": public | outputs},
                }
            )
        )
        register.applied(session, spec, Result(secret_outputs={"clientProperties": {"security.protocol": "SSL"}}))
    return spec


def test_no_id_is_drawn_without_hosts() -> None:
    wanted = {"name": "orders", "hosts": {}, "controllers": [], "users": ["a"]}
    assert "clusterId" not in allocate(wanted, INVENTED) and allocate(wanted, {})["userPasswords"]["a"]


@pytest.mark.parametrize("recorded", [{}, INVENTED], ids=["new", "of an older version"])
def test_context_claims_and_leases_have_the_id_that_the_cluster_answers(
    tmp_path: Path, cluster: MemoryCluster, recorded: dict[str, str]
) -> None:
    spec = applied(tmp_path, **recorded)
    assert contexts.load().by_name["orders"].cluster_id == cluster.cluster_id
    target.pick("orders").connect()
    with changing("orders", spec, doing="a test", leftovers=NO_LEFTOVERS) as session:
        held = [lease.name for lease in session.writes.leases]
        assert held == ["stack/orders/change", f"cluster/{cluster.cluster_id}/change"]
        assert claims.owners(session.journal, cluster.cluster_id) == {("topic", "a"): "orders"}


def test_a_cluster_that_is_gone_has_the_id_in_the_stacks_context(
    tmp_path: Path, cluster: MemoryCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = applied(tmp_path)

    def gone() -> None:
        raise Unreachable("b:9098 does not answer")

    monkeypatch.setattr(cluster, "cluster", gone)
    with changing("orders", spec, doing="a test", leftovers=NO_LEFTOVERS) as session:
        assert session.holds == cluster.cluster_id
