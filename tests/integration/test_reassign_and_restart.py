"""Moves of replicas under a throttle that goes away again, and restarts that nobody notices; on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asgard.cluster import moves, replication_factor, rolling
from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.cluster.moves.record import OLD_FORMAT
from asgard.core.errors import Busy, Failed, Refused
from asgard.journal import leases, operations
from asgard.journal.store.database import open_journal
from asgard.kafka import temporary
from asgard.kafka.admin import AdminClient, connect
from asgard.kafka.data import Record, Writer, read
from asgard.kafka.model import ConfigChange, Move, NewTopic
from asgard.kafka.throttle import RATES, REPLICAS
from asgard.machines.local.nodes import LocalNodes
from tests.harness import AckedProducer, RealCluster
from tests.harness.placing import eventually

pytestmark = pytest.mark.kafka


@pytest.fixture
def control(secured_cluster: RealCluster) -> Iterator[AdminClient]:
    """As the administrator; no move is left running and no throttle on."""
    with connect(secured_cluster.connection) as client:
        yield client
        client.reassign([Move(p.topic, p.partition, ()) for p in client.reassignments()])


def made(control: AdminClient, topic: NewTopic) -> None:
    assert control.create_topics([topic]) == {topic.name: None}
    eventually(lambda: topic.name in control.topics([topic.name]))
    eventually(lambda: all(p.leader >= 0 for p in control.topics([topic.name])[topic.name].partitions))


def filled(cluster: RealCluster, control: AdminClient, topic: NewTopic, megabytes: int) -> None:
    """A topic with so many MB that do not compress."""
    made(control, topic)
    noise = [bytes((i * j * 2654435761 >> 13) & 255 for j in range(10_000)) for i in range(1, 20)]
    with Writer(cluster.connection) as writer:
        for n in range(megabytes * 100):
            writer.send(Record(topic.name, n.to_bytes(4, "big") + noise[n % 19], partition=n % topic.partitions))
    assert writer.tally.acked == megabytes * 100


def rates(control: AdminClient) -> dict[str, str]:
    return {k: v for k, v in control.broker_configs("").items() if k in RATES}


@pytest.fixture
def held(secured_cluster: RealCluster, control: AdminClient, tmp_path: Path) -> Iterator[HeldCluster]:
    """The cluster, held by a command that changes replication factors, with a journal of its own."""
    name = leases.cluster_change(secured_cluster.cluster_id)
    with (
        open_journal(f"sqlite:///{tmp_path / 'journal.db'}") as journal,
        leases.hold(journal, name, priority=leases.Priority.CHANGE, doing="odin up tried") as lease,
    ):
        yield HeldCluster(secured_cluster.cluster_id, "tried", control, journal, lease, "odin")


def changed(held: HeldCluster, topic: str, factor: int, throttle: float | None = None, **how: Any) -> moves.Executed:
    """A topic's replication factor, changed as Odin does it."""
    plan = replication_factor.plan(
        held.cluster_id,
        held.control.topics([topic])[topic].partitions,
        held.control.cluster().brokers,
        {topic: factor},
        {},
    )
    return moves.run(held, plan, Limits(), replan=replication_factor.replan, throttle=throttle, **how)


def test_a_topic_goes_from_one_replica_to_three_and_back_to_two_without_losing_a_record(
    secured_cluster: RealCluster, control: AdminClient, held: HeldCluster, topic_name: str
) -> None:
    filled(secured_cluster, control, NewTopic(topic_name, 3, 1, {"retention.ms": "-1"}), megabytes=6)
    operators = {"leader.replication.throttled.rate": "777777777"}
    control.alter_configs([ConfigChange("broker", "", operators)])
    eventually(lambda: rates(control) == operators)
    seen: list[tuple[dict[str, str], dict[str, str]]] = []

    def look() -> None:
        if control.reassignments():
            seen.append((rates(control), control.topic_configs([topic_name])[topic_name]))

    try:
        done = changed(held, topic_name, 3, 3_000_000, may_go_on=look)
        assert (done.exit_code, done.moved) == (0, 3), done
        assert seen[0][0] == dict.fromkeys(RATES, "3000000")
        assert all(len(seen[0][1][key].split(",")) == size for key, size in zip(REPLICAS, (3, 6), strict=True))
        assert operations.unfinished(held.journal) == []
        assert rates(control) == operators, "what an operator had set is back"
        assert control.topic_configs([topic_name]) == {topic_name: {"retention.ms": "-1"}}
        after = control.topics([topic_name])[topic_name]
        assert after.replication == 3 and all(len(p.isr) == 3 for p in after.partitions)
        assert changed(held, topic_name, 2).exit_code == 0
        after = control.topics([topic_name])[topic_name]
        assert after.replication == 2 and all(len(p.replicas) == 2 for p in after.partitions)
    finally:
        control.alter_configs([ConfigChange("broker", "", unset=RATES)])
    ends = control.offsets([(topic_name, p) for p in range(3)])
    assert sum(len(batch) for batch in read(secured_cluster.connection, ends)) == 600


def test_what_an_older_version_left_is_waited_for_and_then_put_back(
    secured_cluster: RealCluster, control: AdminClient, held: HeldCluster, topic_name: str
) -> None:
    filled(secured_cluster, control, NewTopic(topic_name, 1, 1), megabytes=8)
    (here,) = control.topics([topic_name])[topic_name].partitions[0].replicas
    target = (here, here % 3 + 1)
    settings = [
        *(["broker", "", key, ["50000"], None] for key in RATES),
        ["topic", topic_name, REPLICAS[0], [f"0:{here}"], None],
        ["topic", topic_name, REPLICAS[1], [f"0:{target[1]}"], None],
    ]
    old = json.loads((Path(__file__).parents[1] / "data" / "reassignment-v1.json").read_text())
    old = {**old, "moves": [[topic_name, 0, list(target)]], "settings": settings}
    temporary.write(control, {s.key: s.ours[-1] for s in temporary.parse(settings)})
    control.reassign([Move(topic_name, 0, target)], allow_replication_factor_change=True)
    operation = operations.begin(held.journal, old["format"], "stack tried", old, held.lease)
    eventually(lambda: control.reassignments() != [])
    assert isinstance(held.lease, leases.Lease)
    with pytest.raises(Busy, match="1 moves of a changed replication factor continue"):
        moves.settle(control, operation, held.lease)
    with pytest.raises(Busy, match="their throttle stays"):
        moves.put_back(control, old, wait_s=0)
    assert rates(control) == dict.fromkeys(RATES, "50000")
    # The next execution takes over what was set, and it goes with its end.
    control.reassign([Move(topic_name, 0, ())])
    eventually(lambda: control.reassignments() == [])
    assert changed(held, topic_name, 2).exit_code == 0
    assert rates(control) == {} and control.topic_configs([topic_name]) == {topic_name: {}}
    assert operations.unfinished(held.journal) == []
    assert moves.put_back(control, old) == "nothing of it was left", "a second time does no harm"


def test_what_somebody_else_has_set_since_is_left_alone(control: AdminClient, topic_name: str) -> None:
    made(control, NewTopic(topic_name, 1, 1))
    settings = [
        ["broker", "", "leader.replication.throttled.rate", "111", None],
        ["broker", "", "follower.replication.throttled.rate", "111", "222"],
        ["topic", topic_name, "leader.replication.throttled.replicas", "0:1", None],
        ["topic", "deleted-meanwhile", "leader.replication.throttled.replicas", "0:1", None],
    ]
    record = {"format": OLD_FORMAT, "moves": [[topic_name, 0, [1]]], "settings": settings}
    theirs = {"leader.replication.throttled.rate": "999", "follower.replication.throttled.rate": "111"}
    control.alter_configs([ConfigChange("broker", "", theirs)])
    try:
        eventually(lambda: rates(control) == theirs)
        said = moves.put_back(control, record)
        assert "leader.replication.throttled.rate was changed by another tool since and stays" in said
        assert rates(control) == {**theirs, "follower.replication.throttled.rate": "222"}
    finally:
        control.alter_configs([ConfigChange("broker", "", unset=RATES)])


def test_a_move_that_kafka_refuses_leaves_no_throttle(control: AdminClient, held: HeldCluster, topic_name: str) -> None:
    made(control, NewTopic(topic_name, 2, 1))
    partitions = control.topics([topic_name])[topic_name].partitions
    plan = replication_factor.plan(held.cluster_id, partitions, control.cluster().brokers, {topic_name: 2}, {})
    there, other = plan.changes
    wrong = replace(plan, changes=(replace(there, after=(*there.before, 77)), other))
    never = lambda plan, left, snapshot, limits: wrong  # noqa: E731
    done = moves.run(held, wrong, Limits(), replan=never, throttle=1_000_000)
    assert list(done.refused) == [f"{topic_name}-0"] and "77" in done.refused[f"{topic_name}-0"]
    assert done.moved == 1
    assert operations.unfinished(held.journal) == []
    assert rates(control) == {} and control.topic_configs([topic_name]) == {topic_name: {}}


def test_all_nodes_restart_one_by_one_while_a_producer_writes(
    secured_cluster: RealCluster, control: AdminClient, topic_name: str
) -> None:
    # Kafka leaves a single replica whose node was killed before without a leader when that node stops again (KIP-966).
    control.delete_topics([name for name, topic in control.topics().items() if not topic.internal])
    eventually(lambda: all(topic.internal for topic in control.topics().values()))
    made(control, NewTopic(topic_name, 3, 3, {"min.insync.replicas": "2"}))
    restarted: list[int] = []
    with AckedProducer(secured_cluster.connection, timeout_s=120) as producer:
        try:
            with producer.sending(topic_name):
                first = control.quorum().leader
                pids = {n.id: n.pid for n in LocalNodes(secured_cluster.directory).nodes()}
                nodes = LocalNodes(secured_cluster.directory)
                for node in rolling.order([1, 2, 3], control.quorum().leader):
                    assert rolling.restart_one(control, nodes, node) > 0
                    restarted.append(node)
        finally:
            secured_cluster.all_up()
    assert len(restarted) == 3 and restarted[-1] == first
    now = {n.id: n.pid for n in LocalNodes(secured_cluster.directory).nodes()}
    assert all(now[node] != pids[node] for node in pids)
    eventually(lambda: all(len(p.isr) == 3 for p in control.topics([topic_name])[topic_name].partitions))
    assert producer.failed == [] and len(producer.acked) > 50
    assert producer.lost(secured_cluster.connection) == []


def test_no_node_is_restarted_while_another_is_down_and_one_that_stays_away_is_named(
    secured_cluster: RealCluster, control: AdminClient, topic_name: str
) -> None:
    made(control, NewTopic(topic_name, 1, 3))
    nodes = LocalNodes(secured_cluster.directory)
    down = next(n for n in (1, 2, 3) if n != control.quorum().leader)
    other = next(n for n in (1, 2, 3) if n != down)
    secured_cluster.kill(down)
    try:
        eventually(lambda: down not in control.topics([topic_name])[topic_name].partitions[0].isr)
        pid = nodes.nodes()[other - 1].pid
        with pytest.raises(Refused, match=f"node {down} is not in sync .*is down"):
            rolling.restart_one(control, nodes, other)
        assert nodes.nodes()[other - 1].pid == pid
        with pytest.raises(Failed, match=f"node {down} was restarted and is not back after 1 s: its broker is fenced"):
            rolling.restart_one(control, nodes, down, deadline_s=1, restart=lambda node: None)
        rolling.restart_one(control, nodes, down, restart=nodes.start)
    finally:
        secured_cluster.all_up()
    eventually(lambda: down in control.topics([topic_name])[topic_name].partitions[0].isr)
