"""When does a drill call a fault shown, noticed and healed?"""

from __future__ import annotations

from typing import Any

from asgard.compose.drill_faults import ClusterLook, Sights, look
from asgard.core.errors import Unreachable
from asgard.journal.operations import Operation
from asgard.kafka.model import Broker, ClusterInfo, Partition, Topic
from asgard.loki.chaos import Fault

FAULT = Fault("kill_broker", "broker 3", (3,), 100.0, Operation(1, "k", "broker 3", {}, "l", 1, "me", 100.0))


class Cluster:
    """A control plane that tells this."""

    def __init__(self, fenced: set[int], *partitions: tuple[tuple[int, ...], tuple[int, ...], int]) -> None:
        self.brokers = tuple(Broker(b, state="fenced" if b in fenced else "up") for b in (1, 2, 3, 4))
        self.parts = tuple(Partition("t", i, *which) for i, which in enumerate(partitions))

    def cluster(self) -> ClusterInfo:
        return ClusterInfo("c", self.brokers)

    def topics(self, *, moves: bool) -> dict[str, Topic]:
        return {"t": Topic("t", "id", False, self.parts)}


def seen(fenced: set[int], *partitions: tuple[tuple[int, ...], tuple[int, ...], int]) -> ClusterLook:
    found = look(Cluster(fenced, *partitions))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_cluster_is_whole_when_every_replica_is_in_sync() -> None:
    assert seen(set(), ((1, 2, 3), (3, 1, 2), 1)).whole
    assert not seen(set(), ((1, 2, 3), (1, 2), 1)).whole
    assert not seen(set(), ((1, 2, 3), (1, 2, 3), -1)).whole
    assert not seen({3}, ((1, 2, 3), (1, 2, 3), 1)).whole, "a broker that was just fenced is in no list yet"
    assert seen({3}, ((1, 2, 4), (1, 2, 4), 1)).whole, "its replicas went to others"


def test_a_fault_shows_when_its_broker_is_fenced_or_lacks_behind() -> None:
    assert seen({3}, ((1, 2), (1, 2), 1)).shows((3,))
    assert seen(set(), ((1, 2, 3), (1, 2), 1)).shows((2, 3))
    assert not seen({2}, ((1, 2), (1,), 1)).shows((3,)), "another broker's trouble is not it"
    assert not seen(set(), ((1, 2, 3), (1, 2, 3), 1)).shows((3,))


def test_a_look_that_nobody_answers_tells_nothing() -> None:
    class Silent:
        def cluster(self) -> Any:
            raise Unreachable("nobody answers")

    assert look(Silent()) is None  # type: ignore[arg-type]


def test_thor_noticed_a_fault_when_it_first_saw_its_broker_unwell_afterwards() -> None:
    sights = Sights()
    assert (sights.noticed(FAULT), sights.healing(FAULT)) == (None, "")
    sights.seen = [(90.0, frozenset({3})), (105.0, frozenset({1})), (109.3, frozenset({1, 3})), (110.0, frozenset({3}))]
    sights.done = [
        (90.0, (3,), "before"),
        (109.3, (1,), "another"),
        (109.3, (3, 1), "restarting"),
        (120.0, (3,), "later"),
    ]
    assert (sights.noticed(FAULT), sights.healing(FAULT)) == (109.3, "restarting")
