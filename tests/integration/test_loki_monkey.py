"""The monkey on a real cluster: it kills one broker that has opted in, and holds still while the cluster could not bear more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from asgard.cli import main as cli
from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.journal import events, leases, operations
from asgard.journal.store.database import open_journal
from asgard.kafka.admin import connect
from asgard.kafka.model import NewTopic
from asgard.kafka.ports import ControlPlane
from asgard.machines.local.nodes import LocalNodes
from tests.harness import RealCluster
from tests.harness.placing import eventually

pytestmark = pytest.mark.kafka
PATIENCE_S = 180.0
"""Six looks in a row take a while on a busy machine; reached only when something hangs."""


@pytest.fixture
def control(secured_cluster: RealCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """The cluster as the context `orders`, whose brokers are those of a stack on this machine."""
    monkeypatch.setenv("ASGARD_HOME", str(secured_cluster.home))
    properties, stack = str(secured_cluster.client_properties), secured_cluster.directory.name
    contexts.put(Context("orders", secured_cluster.bootstrap_servers, properties, stack=stack))
    with closing(connect(secured_cluster.connection, deadline_s=10)) as connected:
        yield connected
    secured_cluster.all_up()
    contexts.remove("orders")


@pytest.mark.long
def test_one_broker_that_has_opted_in_is_killed_and_no_second_one_while_under_replicated(
    secured_cluster: RealCluster,
    control: ControlPlane,
    topic_name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with open_journal() as journal:  # which other tests of this cluster write to as well
        before = max((event.id for event in events.read(journal, events.EventFilter())), default=0)
    others = sorted(control.topics())  # of other tests: some have no replica to spare
    file = tmp_path / "monkey.yaml"
    file.write_text(
        f"hours: ['00:00-24:00']\nexclude_topics: {json.dumps(others)}\ngroups:\n"
        "  - {name: brokers, kind: broker, opt_in: {node: [2, 3]}, probability: 100%, min_healthy: 1}\n"
    )
    replicated = {"min.insync.replicas": "2"}
    assert control.create_topics([NewTopic(topic_name, 6, 3, replicated)]) == {topic_name: None}
    nodes = LocalNodes(secured_cluster.directory)

    def monkey(*options: str) -> tuple[int, dict[str, Any]]:
        code = cli.main(["loki", "monkey", "-f", str(file), "--context", "orders", "--json", *options])
        return code, json.loads(capsys.readouterr().out)

    def running() -> set[int]:
        return {node.id for node in nodes.nodes() if node.state == "running"}

    def in_sync() -> int:
        return min((len(p.isr) for t in control.topics([topic_name]).values() for p in t.partitions), default=0)

    def until_every_broker_knows(takes_one: bool) -> None:
        """Each look asks another broker, and each hears of a topic in its own time."""
        eventually(
            lambda: all(bool(monkey("--seed", "5", "--dry-run")[1]["victim"]) == takes_one for _ in range(6)),
            PATIENCE_S,
        )

    eventually(lambda: in_sync() == 3)
    until_every_broker_knows(takes_one=True)

    code, shown = monkey("--seed", "5", "--dry-run")
    assert (code, shown["taken"], running()) == (0, False, {1, 2, 3})
    victim = int(shown["victim"]["id"])
    assert victim in (2, 3)
    why = {c["id"]: c["why"] for c in shown["considered"]}
    assert why == {"1": "has not opted in", str(victim): "chosen", str(5 - victim): "the dice chose another one"}

    code, refused = monkey("--seed", "5")
    assert (code, running()) == (4, {1, 2, 3}), "there is no terminal to ask on"
    assert "there is no terminal to ask on" in refused["error"]["what"]

    strict = f"{topic_name}-strict"
    control.create_topics([NewTopic(strict, 1, 3, {"min.insync.replicas": "3"})])
    until_every_broker_knows(takes_one=False)
    code, bare = monkey("--seed", "5", "--yes")
    assert (code, bare["taken"], running()) == (0, False, {1, 2, 3})
    assert bare["why"].endswith(f"at min ISR, so with no replica to spare: 1 partition ({strict}-0)")
    control.delete_topics([strict])
    until_every_broker_knows(takes_one=True)

    with open_journal() as journal:
        change = leases.cluster_change(secured_cluster.cluster_id)
        with leases.hold(journal, change, priority=leases.Priority.CHANGE, doing="odin up orders"):
            code, busy = monkey("--seed", "5", "--yes")
        assert (code, running()) == (75, {1, 2, 3})
        assert "is held by odin up orders" in busy["error"]["what"]

        looks: list[dict[str, Any]] = []

        def took_one() -> bool:
            """A broker that has not heard yet that the strict topic is gone lets it take nobody."""
            code, found = monkey("--seed", "5", "--yes")
            looks.append(found)
            assert code == 0, found
            return bool(found["taken"])

        eventually(took_one, PATIENCE_S, "a broker killed")
        taken = looks[-1]
        assert (taken["taken"], taken["victim"]["id"]) == (True, str(victim)), "the same seed, the same victim"
        assert running() == {1, 2, 3} - {victim}
        assert operations.unfinished(journal) == [], "whoever heals brings it back, not the next command"

        eventually(lambda: in_sync() == 2, PATIENCE_S)
        until_every_broker_knows(takes_one=False)
        code, second = monkey("--seed", "5", "--yes")
        assert (code, second["taken"], running()) == (0, False, {1, 2, 3} - {victim})
        assert "the cluster could not take it: under-replicated: " in second["why"]

        looked = [e.data for e in events.read(journal, events.EventFilter(kind="loki.monkey.looked", after_id=before))]
        broken = events.read(journal, events.EventFilter(kind="loki.fault.injected", after_id=before))
    assert [(d["victim"] or {}).get("id") for d in looked] == [*[None] * len(looks), str(victim), None]
    assert looked[-2]["considered"] == taken["considered"], "why it was this one, and not another"
    assert [(e.data["action"], e.data["brokers"]) for e in broken] == [("kill_broker", [victim])]
    cli.main(["loki", "monkey", "history", "--taken"])
    assert f"kill broker {victim} (r{victim - 1})" in capsys.readouterr().out
    control.delete_topics([topic_name])
