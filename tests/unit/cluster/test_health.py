"""One answer to "is this partition healthy", whoever asks. Replicas 1, 2, 3 and min.insync.replicas 2 where nothing else is said."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from asgard.cluster import health
from asgard.cluster.findings import tally
from asgard.cluster.moves.health import health as looked
from asgard.kafka.model import Broker, ClusterSnapshot, Partition, Topic, TopicFacts
from asgard.loki.monkey.health import judge


@dataclass(frozen=True)
class Row:
    """A partition, and what is true of it."""

    name: str
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int = 1
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()
    min_isr: int = 2
    missing: tuple[int, ...] = ()
    awaited: tuple[int, ...] = ()
    under_min: bool = False
    at_min: bool = False
    preferred: bool = True
    electable: bool = False
    recovered: bool = False

    @property
    def partition(self) -> Partition:
        return Partition("t", 0, self.replicas, self.isr, self.leader, (), self.adding, self.removing)

    @property
    def under_replicated(self) -> bool:
        return bool(self.missing) or self.leader < 0


ROWS = (
    Row("all in sync", (1, 2, 3), (1, 2, 3), recovered=True),
    Row("one out of sync", (1, 2, 3), (1, 2), missing=(3,), awaited=(3,), at_min=True),
    Row("two out of sync", (1, 2, 3), (1,), missing=(2, 3), awaited=(2, 3), under_min=True),
    Row("offline", (1, 2, 3), (1,), -1, missing=(2, 3), awaited=(2, 3), under_min=True, preferred=False),
    Row("offline, its only replica last in sync", (1,), (1,), -1, min_isr=1, under_min=True, preferred=False),
    Row("a single replica can have no more", (1,), (1,), at_min=True, recovered=True),
    Row("replicas equal to min.insync.replicas", (1, 2), (1, 2), at_min=True, recovered=True),
    Row("min.insync.replicas above the replicas", (1, 2), (1, 2), min_isr=3, at_min=True, recovered=True),
    Row("led by another, the first in sync", (1, 2, 3), (1, 2, 3), 2, preferred=False, electable=True, recovered=True),
    Row(
        "led by another, the first out of sync", (1, 2, 3), (2, 3), 2, missing=(1,), awaited=(1,), at_min=True,
        preferred=False,
    ),
    Row("a move just begun", (4, 1, 2, 3), (1, 2, 3), 1, (4,), (3,), awaited=(4,), preferred=False),
    Row("a move whose new replica is in sync", (1, 2, 4, 3), (1, 2, 3, 4), 1, (4,), (3,)),
    Row("a move, and the replica it removes is out of sync", (1, 2, 4, 3), (1, 2), 1, (4,), (3,), missing=(3,), awaited=(4,), at_min=True),
    Row("a move, and one that stays is out of sync", (1, 2, 4, 3), (1, 3), 1, (4,), (3,), missing=(2,), awaited=(2, 4), at_min=True),
    Row("a move whose target is fenced", (1, 2, 4, 3), (1, 2, 3), 1, (4,), (3,), awaited=(4,)),
    Row("a move, new one in sync, old one not", (1, 2, 4, 3), (1, 2, 4), 1, (4,), (3,), missing=(3,)),
    Row("a healing that replaces a dead broker", (1, 2, 4, 3), (1, 2), 1, (4,), (3,), missing=(3,), awaited=(4,), at_min=True),
    Row("replication factor 2 to 3", (1, 2, 3), (1, 2), 1, (3,), awaited=(3,), at_min=True),
    Row("replication factor 2 to 3, one of the old out of sync", (1, 2, 3), (1,), 1, (3,), missing=(2,), awaited=(2, 3), under_min=True),
    Row("replication factor 1 to 3", (1, 2, 3), (1,), 1, (2, 3), awaited=(2, 3), at_min=True),
    Row("replication factor 3 to 2", (1, 2, 3), (1, 2, 3), 1, (), (3,)),
    Row("replication factor 3 to 2, the one to go is out of sync", (1, 2, 3), (1, 2), 1, (), (3,), missing=(3,), at_min=True),
    Row("the leader is being removed", (2, 4, 1), (1, 2), 1, (4,), (1,), awaited=(4,), at_min=True, preferred=False, electable=True),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_what_is_said_of_a_partition(row: Row) -> None:
    p = row.partition
    assert health.missing(p) == row.missing
    assert health.under_replicated(p) == row.under_replicated
    assert health.awaited(p) == row.awaited
    assert health.offline(p) == (row.leader < 0)
    assert health.under_min_isr(p, row.min_isr) == row.under_min
    assert health.at_min_isr(p, row.min_isr) == row.at_min
    assert health.led_by_preferred(p) == row.preferred
    assert health.electable(p) == row.electable
    assert health.recovered(p) == row.recovered == health.all_recovered([p])


@pytest.mark.parametrize("row", ROWS, ids=lambda r: r.name)
def test_all_who_ask_get_that_answer(row: Row) -> None:
    p = row.partition
    brokers = tuple(Broker(b) for b in (1, 2, 3, 4))
    counted = tally(ClusterSnapshot("", "c", 1, brokers, (p,), {"t": TopicFacts(row.min_isr)}))
    assert (bool(counted.offline), bool(counted.under_replicated)) == (row.leader < 0, row.under_replicated)
    assert bool(counted.under_min_isr) == row.under_min
    assert set(counted.lacking) == (set(row.missing) if row.leader >= 0 else set())
    topic = Topic("t", "", False, (p,))
    executor = looked(brokers, [topic])
    assert set(executor.lacking.get(("t", 0), ())) == set(row.missing)
    assert bool(executor.offline) == (row.leader < 0)
    # Stricter: a monkey wants a replica to spare too, and no move under way.
    fit = not judge(brokers, [topic], {"t": row.min_isr}).because
    assert fit == (row.recovered and not row.at_min)


def test_a_leader_that_is_not_up_is_not_elected() -> None:
    p = Partition("t", 0, (1, 2), (1, 2), 2)
    assert health.electable(p, {1, 2}) and not health.electable(p, {2})
