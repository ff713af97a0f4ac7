"""When a node may be restarted, and in which order."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from asgard.cluster import rolling
from asgard.cluster.rolling import behind, obstacles, order
from asgard.core.errors import Failed
from asgard.kafka.model import Broker, ClusterInfo, Node, Partition, Quorum, Topic, Voter

QUORUM = Quorum(1, (Voter(1, 0), Voter(2, 0), Voter(3, 0)))
ALL = {1, 2, 3}


def _topic(*partitions: Partition) -> list[Topic]:
    return [Topic("t", "id", False, partitions)]


def test_the_active_controller_goes_last() -> None:
    assert order([3, 1, 2, 1], controller=1) == [2, 3, 1]
    assert order([3, 2], controller=1) == [2, 3]


def test_nothing_stands_against_a_node_of_a_healthy_cluster() -> None:
    assert obstacles(1, _topic(Partition("t", 0, (1, 2, 3), (1, 2, 3), 1)), QUORUM, ALL) == []


def test_a_replica_that_catches_up_is_waited_for() -> None:
    (found,) = obstacles(1, _topic(Partition("t", 0, (1, 2, 3), (1, 3), 1)), QUORUM, ALL)
    assert found.passes
    assert found.what == "node 2 is not in sync for 1 partition that node 1 holds too (t-0)"


def test_a_node_that_is_down_is_not_waited_for() -> None:
    found = obstacles(1, _topic(Partition("t", 0, (1, 2), (1,), 1)), QUORUM, {1, 3})
    assert [o.passes for o in found] == [False, False]
    assert "node 2 is down" in found[0].what
    assert "1 caught-up controllers without node 1; it needs 2" in found[1].what


def test_the_node_that_is_out_itself_may_be_restarted() -> None:
    assert obstacles(2, _topic(Partition("t", 0, (1, 2, 3), (1, 3), 1)), QUORUM, ALL) == []


def test_partitions_elsewhere_and_a_lone_replica_do_not_matter() -> None:
    topics = _topic(Partition("t", 0, (2, 3), (2,), 2), Partition("t", 1, (1,), (1,), 1))
    assert obstacles(1, topics, QUORUM, ALL) == []


def test_a_controller_stays_while_another_is_far_behind() -> None:
    quorum = Quorum(1, (Voter(1, 0), Voter(2, 0), Voter(3, 50_000)))
    (found,) = obstacles(2, [], quorum, ALL)
    assert found.passes


def test_a_lone_node_may_be_restarted_and_a_plain_broker_is_no_voter() -> None:
    assert obstacles(1, [], Quorum(1, (Voter(1, 0),)), {1}) == []
    assert obstacles(4, [], QUORUM, {1, 4}) == []


def test_a_restarted_node_that_catches_up_is_waited_for() -> None:
    found = behind(2, _topic(Partition("t", 0, (1, 2, 3), (1, 3), 1), Partition("t", 1, (1,), (1,), 1)), ALL)
    assert found is not None and found.passes
    assert found.what == "1 partition waits for it to catch up, t-0 among them"
    assert behind(2, _topic(Partition("t", 0, (1, 2), (1, 2), 1)), ALL) is None


def test_a_leader_that_kafka_is_about_to_elect_is_waited_for() -> None:
    found = behind(2, _topic(Partition("t", 0, (2,), (), -1, elr=(2,))), ALL)
    assert found is not None and found.passes


def test_a_single_replica_that_nobody_elects_is_named_with_the_way_out() -> None:
    found = behind(2, _topic(Partition("t", 0, (2,), (), -1), Partition("t", 1, (2,), (), -1)), ALL)
    assert found is not None and not found.passes
    assert found.what == "t-0 and 1 more have no leader, and no live node may lead"
    assert "asgard thor elect --unclean t-0" in found.hint


def test_a_partition_whose_last_replica_in_sync_is_down_wants_that_node() -> None:
    found = behind(2, _topic(Partition("t", 0, (1, 2), (), -1, elr=(1,))), {2, 3})
    assert found is not None and not found.passes
    assert found.what == "t-0 has no leader, and no live node may lead"
    assert found.hint.startswith("Start node 1: it was in sync last")


def test_a_restart_does_not_wait_to_its_deadline_for_a_leader_that_does_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rolling, "_ELECTED_WITHIN_S", 0.0)
    before = {"t": Topic("t", "id", False, (Partition("t", 0, (2,), (2,), 2),))}
    left = {"t": Topic("t", "id", False, (Partition("t", 0, (2,), (), -1),))}
    topics = iter([before, left])
    control = SimpleNamespace(
        topics=lambda: next(topics, left),
        quorum=lambda: QUORUM,
        cluster=lambda: ClusterInfo("id", tuple(Broker(i, None, "h", 1, "up") for i in sorted(ALL))),
    )
    running = [Node(i, "running", None, ("broker", "controller"), 100 + i) for i in sorted(ALL)]
    nodes = SimpleNamespace(nodes=lambda: running, restart=lambda node: None)
    with pytest.raises(Failed, match=r"node 2 was restarted and is not back after 0 s: t-0 has no leader") as said:
        rolling.restart_one(control, nodes, 2, deadline_s=3600, poll_s=0)
    assert "thor elect --unclean t-0" in str(said.value.hint)
