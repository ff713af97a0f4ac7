"""When a node may be restarted, and in which order."""

from __future__ import annotations

from asgard.kafka.model import Partition, Quorum, Topic, Voter
from asgard.kafka.rolling import obstacles, order

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
