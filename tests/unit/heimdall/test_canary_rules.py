"""Where the canary's partitions go, which group a broker coordinates, and what a round says of a broker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.heimdall.alerts import sight
from asgard.heimdall.canary import record
from asgard.heimdall.canary.judge import BrokerTally, CanaryState, News, Probe, Try, count, healthy
from asgard.heimdall.canary.placing import coordinator_partition, groups, place
from asgard.journal.store.database import open_journal
from asgard.kafka.model import Broker, Move, Partition


def brokers(*up: int, fenced: tuple[int, ...] = ()) -> list[Broker]:
    return [Broker(b) for b in up] + [Broker(b, state="fenced") for b in fenced]


def partition(
    number: int, replicas: tuple[int, ...], leader: int | None = None, isr: tuple[int, ...] | None = None, **more
) -> Partition:
    return Partition("c", number, replicas, isr or replicas, replicas[0] if leader is None else leader, **more)


@pytest.mark.parametrize(
    ("partitions", "there", "of", "add", "moves", "elections"),
    [
        pytest.param([], brokers(1, 2, 3), {}, 3, (), (), id="a new topic"),
        pytest.param(
            [partition(0, (1, 2)), partition(1, (2, 1))], brokers(1, 2), {1: 0, 2: 1}, 0, (), (), id="all at home"
        ),
        pytest.param(
            [partition(0, (1, 2)), partition(1, (1, 2))],
            brokers(1, 2),
            {1: 0, 2: 1},
            0,
            (Move("c", 1, (2, 1)),),
            (),
            id="one that two have is moved",
        ),
        pytest.param(
            [partition(0, (1, 2)), partition(1, (2, 1))], brokers(1, 2, 3), {1: 0, 2: 1}, 1, (), (), id="a new broker"
        ),
        pytest.param(
            [partition(0, (1, 2), leader=2), partition(1, (2, 1))],
            brokers(1, 2),
            {1: 0, 2: 1},
            0,
            (),
            (("c", 0),),
            id="leadership comes back",
        ),
        pytest.param(
            [partition(0, (1, 2), leader=2, isr=(2,)), partition(1, (2, 1))],
            brokers(1, 2),
            {1: 0, 2: 1},
            0,
            (),
            (),
            id="not while it is out of sync",
        ),
        pytest.param(
            [partition(0, (1, 2), leader=2), partition(1, (2, 1))],
            brokers(2, fenced=(1,)),
            {1: 0, 2: 1},
            0,
            (),
            (),
            id="a dead broker keeps its own",
        ),
        pytest.param(
            [partition(0, (9, 2), leader=2), partition(1, (2, 1))],
            brokers(1, 2),
            {1: 0, 2: 1},
            0,
            (Move("c", 0, (1, 2)),),
            (),
            id="that of a broker that is gone for good is given away",
        ),
        pytest.param(
            [partition(0, (3, 1, 2), adding=(3,)), partition(1, (2, 1))],
            brokers(1, 2, 3),
            {3: 0, 2: 1},
            1,
            (),
            (),
            id="what moves is left alone",
        ),
    ],
)
def test_each_broker_has_a_partition_of_its_own(partitions, there, of, add, moves, elections):
    found = place(partitions, there, 2)
    assert (dict(found.of), found.add, found.moves, found.elections) == (of, add, moves, elections)
    assert found.done is not bool(add or moves or elections)


@given(st.sets(st.integers(1, 9), min_size=1), st.lists(st.integers(1, 12), max_size=9), st.integers(1, 3))
def test_carrying_a_placement_out_settles_it(up, homes, replication):
    there = brokers(*sorted(up))
    partitions = [partition(i, (home,)) for i, home in enumerate(homes)]
    for _ in range(3):
        found = place(partitions, there, replication)
        if found.done:
            break
        moved = {m.partition: m.replicas for m in found.moves}
        partitions = [partition(p.partition, moved.get(p.partition, p.replicas)) for p in partitions]
        partitions += [partition(len(partitions) + i, (min(up),)) for i in range(found.add)]
    found = place(partitions, there, replication)
    assert found.done and {b: partitions[n].leader for b, n in found.of.items() if b in up} == {b: b for b in up}


@pytest.mark.parametrize(
    ("group", "code"),  # String.hashCode of Java, without its sign
    [
        ("", 0),
        ("a", 97),
        ("asgard-canary-0", 653119850),
        ("asgard-canary-17", 1228121044),
        ("polygenelubricants", 0),
        ("Grüße", 69215351),
    ],
)
def test_the_coordinator_of_a_group_is_found_as_kafka_finds_it(group, code):
    assert coordinator_partition(group, 50) == code % 50


def test_every_broker_that_leads_offsets_coordinates_a_group():
    leaders = {number: number % 3 + 1 for number in range(50)}
    found = groups(leaders, [1, 2, 3, 4])
    assert set(found) == {1, 2, 3}
    assert all(leaders[coordinator_partition(group, 50)] == broker for broker, group in found.items())
    assert groups({}, [1]) == {}


WELL, BAD = Try(0.01), Try(error="timed out")


@pytest.mark.parametrize(
    ("probe", "state", "words"),
    [
        (Probe(1, True, WELL, WELL, WELL), CanaryState.OK, "clients are served"),
        (Probe(1, True, WELL, WELL, None), CanaryState.OK, "clients are served"),
        (Probe(1, True, BAD, BAD, BAD, "up", True, False), CanaryState.HUNG, "can't produce or consume or commit"),
        (Probe(1, False, BAD, BAD, None, "fenced", True, False), CanaryState.HUNG, "the cluster says it is fenced"),
        (Probe(1, True, BAD, BAD, WELL, "up", False, False), CanaryState.DOWN, "refuses connections"),
        (Probe(1, True, BAD, WELL, WELL, "up", True, True), CanaryState.FAILING, "can't produce; it answers"),
        (Probe(1, False, BAD, BAD, None, "up", True, True), CanaryState.AWAY, "another broker leads its partition"),
        (Probe(1, True, BAD, BAD, BAD), CanaryState.SILENT, "can't produce"),
    ],
)
def test_a_broker_is_judged_from_two_sides(probe, state, words):
    assert probe.state is state and words in probe.sentence


def test_only_a_change_of_state_is_news_and_what_says_nothing_of_a_broker_is_not_counted():
    tallies: dict[int, BrokerTally] = {}
    ok, hung = Probe(1, True, WELL, WELL, WELL), Probe(1, True, BAD, BAD, BAD, "up", True, False)
    away = Probe(1, False, BAD, BAD, None, "up", True, True)
    news = [count(tallies, [probe]) for probe in (ok, ok, hung, hung, away, ok)]
    assert [[n.state for n in found] for found in news] == [
        [],
        [],
        [CanaryState.HUNG],
        [],
        [CanaryState.AWAY],
        [CanaryState.OK],
    ]
    assert (
        news[2] == [News(1, CanaryState.OK, CanaryState.HUNG, hung.sentence)] and news[2][0].bad and not news[4][0].bad
    )
    produce = tallies[1].times["produce"]
    assert (tallies[1].rounds, produce.tried, produce.worked, produce.availability) == (6, 5, 3, 0.6)
    assert healthy(tallies) and not healthy({})


def test_a_broker_that_begins_badly_is_news():
    assert [n.state for n in count({}, [Probe(1, True, BAD, BAD, None, "up", False, False)])] == [CanaryState.DOWN]


def test_a_broker_that_an_earlier_run_left_without_service_is_news_once_it_is_well():
    ok, hung = Probe(1, True, WELL, WELL, WELL), Probe(1, True, BAD, BAD, BAD, "up", True, False)
    before = {1: CanaryState.HUNG, 9: CanaryState.DOWN}
    tallies: dict[int, BrokerTally] = {}
    assert [count(tallies, [probe], before) for probe in (hung, ok, ok)] == [
        [],
        [News(1, CanaryState.HUNG, CanaryState.OK, ok.sentence)],
        [],
    ]
    assert set(tallies) == {1} and healthy(tallies), "a broker that is gone is not counted"
    tallies = {}
    count(tallies, [hung], before)
    assert tallies[1].sentence == hung.sentence


def test_what_the_canary_last_said_of_a_broker_counts_however_old_it_is(tmp_path):
    def news(broker: int, state: CanaryState) -> News:
        return News(broker, None, state, f"it is {state}")

    now = [1000.0]
    with open_journal(f"sqlite:///{tmp_path / 'journal.db'}", clock=lambda: now[0]) as journal:
        for at, cluster, broker, state in (
            (0, "c1", 1, CanaryState.DOWN),
            (1, "c1", 2, CanaryState.HUNG),
            (2, "c1", 3, CanaryState.DOWN),
            (3, "c2", 1, CanaryState.OK),
            (4, "c1", 3, CanaryState.OK),
        ):
            now[0] = 1000.0 + at
            record.record(journal, cluster, news(broker, state))
        now[0] += 30 * 86400
        assert record.failing(journal, "c1") == {1: CanaryState.DOWN, 2: CanaryState.HUNG}
        assert record.failing(journal, "c2") == {} == record.failing(journal, "c3")
        last = record.last(journal, "c1")
        assert sight.unserved(last, {1, 2, 3}) == {"broker 1": "it is down", "broker 2": "it is hung", "broker 3": ""}
        assert sight.unserved(last, {1, 3}) == {"broker 1": "it is down", "broker 3": ""}, (
            "broker 2 has left the cluster"
        )
