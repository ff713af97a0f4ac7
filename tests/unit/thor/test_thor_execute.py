"""What an execution decides: the next step, whether health got worse, which throttle, what moves next. Tables; no cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asgard.cluster.limits import BrokerLimit, Limits
from asgard.cluster.moves import auto, batch, fit, marks, record
from asgard.cluster.moves.auto import Traffic
from asgard.cluster.moves.decide import Finish, GoOn, HandOver, Pause, Sight, Stop, Submit, Wait, next_step
from asgard.cluster.moves.health import Health, Worse, health, worse
from asgard.cluster.moves.record import Flight, MovesRecord
from asgard.cluster.moves.result import Executed, MovesProgress
from asgard.cluster.plan import Change, Kind
from asgard.core.errors import ExitCode, Failed
from asgard.journal.secrets import to_json
from asgard.kafka.model import Broker, Partition, Topic
from asgard.kafka.temporary import Setting
from asgard.kafka.throttle import LONGEST

LEADERS, FOLLOWERS = "leader.replication.throttled.replicas", "follower.replication.throttled.replicas"
RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")


def change(
    topic: str, n: int, before: tuple[int, ...], after: tuple[int, ...], size: int = 10, number: int = 1
) -> Change:
    new = [r for r in after if r not in before]
    return Change(topic, n, before, after, size * len(new), number, "because")


def topic(name: str, *partitions: Partition) -> Topic:
    return Topic(name, "id", False, partitions)


def part(n: int, replicas: tuple[int, ...], isr: tuple[int, ...] | None = None, **more: object) -> Partition:
    isr = replicas if isr is None else isr
    return Partition("t", n, replicas, isr, isr[0] if isr else -1, **more)  # type: ignore[arg-type]


LOST = Worse(lost=frozenset({4}))


@pytest.mark.parametrize(
    ("sight", "step"),
    [
        (Sight("balance", flying=0, left=3), Submit()),
        (Sight("balance", flying=2, left=3), Wait()),
        (Sight("balance", flying=0, left=0), Finish()),
        (Sight("balance", flying=0, left=0, wanted_by="thor heal"), Finish()),
        (Sight("balance", flying=2, left=0, wanted_by="thor heal"), HandOver("thor heal")),
        (Sight("balance", flying=0, left=3, wanted_by="thor heal", worse=LOST), HandOver("thor heal")),
        (Sight("balance", flying=2, left=3, worse=LOST), Stop("broker 4 was lost")),
        (Sight("set-rf", flying=0, left=3, worse=LOST), Stop("broker 4 was lost")),
        (Sight("heal", flying=2, left=3, worse=LOST), Stop("broker 4 was lost", cancel=False)),
        (Sight("drain", flying=2, left=3, worse=LOST), GoOn(frozenset({4}), "broker 4 was lost", replan=False)),
        (Sight("drain", flying=2, left=3, worse=LOST, hit=1), GoOn(frozenset({4}), "broker 4 was lost", replan=True)),
        (Sight("drain", flying=0, left=1, worse=Worse(lost=frozenset({4, 5}))), Stop("brokers 4, 5 were lost")),
        (Sight("drain", flying=0, left=1, worse=Worse(offline=frozenset({("t", 0)}))), Stop("t-0 went offline")),
        (
            Sight("balance", flying=0, left=1, worse=Worse(lacking=frozenset({("t", 0)}))),
            Stop("t-0 outside the plan became under-replicated"),
        ),
        (Sight("heal", flying=0, left=1, worse=Worse(lacking=frozenset({("t", 0)}))), Submit()),
        # The window closed: what is in flight lands, nothing new starts.
        (Sight("balance", flying=2, left=3, closed="it is day"), Wait()),
        (Sight("balance", flying=0, left=3, closed="it is day"), Pause("it is day")),
        # Moves that were taken over: a healing does not wait for them, others do; nobody ends before them.
        (Sight("heal", flying=0, left=3, inherited=2), Submit()),
        (Sight("drain", flying=0, left=3, inherited=2), Wait()),
        (Sight("heal", flying=0, left=0, inherited=2), Wait()),
        (Sight("balance", flying=2, left=0, idle_s=301), Stop("2 moves made no progress for 5 minutes")),
    ],
)
def test_next_step(sight: Sight, step: object) -> None:
    assert next_step(sight) == step


def test_health_is_worse_only_by_what_is_new_and_lasts() -> None:
    brokers = [Broker(1), Broker(2), Broker(3), Broker(4, state="fenced")]
    before = health(brokers, [topic("t", part(0, (1, 2, 4), (1, 2)), part(1, (1, 2, 3)))])
    assert before == Health(frozenset({1, 2, 3}), frozenset(), {("t", 0): frozenset({4})})
    again = health(brokers, [topic("t", part(0, (1, 2, 4), (1, 2)), part(1, (1, 2, 3), (1, 2)))])
    assert worse(before, before, again, ()) == Worse(), "one look is not enough: it may have been a hiccup"
    assert worse(before, again, again, ()) == Worse(lacking=frozenset({("t", 1)}))
    assert worse(before, again, again, {("t", 1)}) == Worse(), "the plan moves it"
    dead = [*brokers[:2], Broker(3, state="fenced"), brokers[3]]
    lost = health(dead, [topic("t", part(0, (1, 2, 4), (1, 2)), part(1, (1, 2, 3), (1, 2)))])
    assert worse(before, lost, lost, ()) == Worse(lost=frozenset({3})), (
        "its partitions belong to the broker that was lost"
    )
    assert worse(before, lost, lost, (), frozenset({3})) == Worse()
    gone = health(brokers, [topic("t", part(0, (1, 2, 4), (1, 2)), part(1, (1, 2, 3), ()))])
    assert worse(before, before, gone, ()).offline == {("t", 1)}
    adding = health(brokers, [topic("t", part(0, (1, 2, 3, 4), (1, 2), adding=(3, 4)))])
    assert adding.lacking == {}, "a replica that is being added is not missed"


FLIGHTS = (
    Flight("a", 0, (1, 2), (3, 2), throttled=True),
    Flight("a", 1, (2, 1), (1, 2), throttled=True),
    Flight("b", 5, (1, 2), (1, 4), throttled=False),
)


def test_the_throttle_marks_those_that_send_and_those_that_fetch() -> None:
    found = marks.wanted(FLIGHTS, 1000.4, {})
    assert found == {
        ("broker", "", RATES[0]): "1000",
        ("broker", "", RATES[1]): "1000",
        ("topic", "a", LEADERS): "0:1,0:2",
        ("topic", "a", FOLLOWERS): "0:3",
    }
    assert marks.wanted(FLIGHTS, None, {}) == {k: v for k, v in found.items() if k[0] == "topic"}
    assert set(found) <= set(marks.keys(FLIGHTS))


def test_what_an_operator_had_set_is_added_to_and_a_move_without_throttle_is_taken_out() -> None:
    before = {
        ("broker", "", RATES[0]): "1000",
        ("topic", "a", LEADERS): "7:1,0:2",
        ("topic", "a", FOLLOWERS): "*",
        ("topic", "b", LEADERS): "5:1,6:1",
        ("topic", "b", FOLLOWERS): "5:4",
    }
    assert marks.wanted(FLIGHTS, 1000, before) == {  # type: ignore[arg-type]
        ("broker", "", RATES[1]): "1000",
        ("topic", "a", LEADERS): "7:1,0:2,0:1",
        ("topic", "b", LEADERS): "6:1",
        ("topic", "b", FOLLOWERS): "",
    }


def test_a_record_survives_its_json_and_an_old_one_is_read() -> None:
    settings = (
        Setting(("broker", "", RATES[0]), ("5", "6"), None),
        Setting(("broker", "3", record.CORDON), ("*",), None),
    )
    made = MovesRecord("drain 3", "f00", FLIGHTS, settings, settings[1:])
    import json

    assert record.parse(json.loads(to_json(made.document()))) == made
    assert made.cordons == settings[1:]
    old = {
        "format": "asgard.reassignment/v1",
        "moves": [["t", 0, [3, 2]]],
        "settings": [["topic", "t", LEADERS, "0:1", None]],
    }
    read = record.parse(old)
    assert read.flights == (Flight("t", 0, (), (3, 2), True),)
    assert read.settings == (Setting(("topic", "t", LEADERS), ("0:1",), None),)
    with pytest.raises(Failed, match="not a record of moves"):
        record.parse({"format": "asgard.execution/v2"})


def test_of_several_records_the_oldest_knows_what_was_there_before() -> None:
    key = ("broker", "", RATES[0])
    older = MovesRecord("balance", "a", FLIGHTS[:1], (Setting(key, ("5",), "1"),))  # type: ignore[arg-type]
    newer = MovesRecord("heal", "b", FLIGHTS[2:], (Setting(key, ("7",), "5"),))  # type: ignore[arg-type]
    assert record.merged([older, newer]) == MovesRecord(
        "heal",
        "b",
        (FLIGHTS[0], FLIGHTS[2]),
        (Setting(key, ("5", "7"), "1"),),  # type: ignore[arg-type]
    )


def test_a_move_is_in_flight_while_its_partition_goes_where_it_was_sent() -> None:
    moving = [
        Partition("a", 0, (3, 2, 1), (1, 2), 1, adding=(3,), removing=(1,)),
        Partition("b", 5, (1, 3, 2), (1, 2), 1, adding=(3,), removing=(2,)),
    ]
    assert record.in_flight(FLIGHTS, moving) == FLIGHTS[:1]
    unknown = replace(FLIGHTS[0], before=())
    assert record.in_flight([unknown], moving)[0].before == (2, 1), "read from the cluster where the record lacks it"


def test_a_plan_is_compared_with_the_cluster() -> None:
    todo, done, gone = (change("t", n, (1, 2), (3, 2)) for n in range(3))
    moved = change("t", 3, (1, 2), (3, 2))
    now = topic("t", part(0, (1, 2)), part(1, (3, 2, 1), adding=(3,), removing=(1,)), part(3, (4, 2)))
    found = fit.compare([todo, done, gone, moved], {"t": now})
    assert found == fit.Fit((todo,), (done,), (gone,), ((moved, (4, 2)),))
    assert found.stale == "t-3 has the replicas [4, 2] now, but the plan found [1, 2]"
    assert fit.Fit((todo,), (done,), (gone,)).stale == ""
    assert fit.onto([todo, change("t", 4, (3, 1), (1, 3))], {3}) == [todo]


def test_a_batch_is_what_fits_into_a_minute_at_the_throttle() -> None:
    changes = [change("t", n, (1, 2), (3, 2), size=40) for n in range(4)] + [change("t", 9, (1, 2), (3, 2), number=2)]
    first, rest = batch.first(changes, 2.0, Limits())  # 120 bytes a minute
    assert [c.partition for c in first] == [0, 1, 2] and [c.partition for c in rest] == [3, 9]
    first, rest = batch.first(changes, None, Limits())
    assert [c.partition for c in rest] == [9], "batches of the plan are never joined"
    first, rest = batch.first(changes, 0.1, Limits())
    assert [c.partition for c in first] == [0], "one that is larger than a minute goes alone"
    assert len(batch.first(changes, None, Limits(moves_per_broker=2))[0]) == 2
    assert len(batch.first(changes, None, Limits(batch_bytes=100))[0]) == 2
    order = [change("t", n, (1, 2), (2, 1)) for n in range(50)]
    assert batch.first(order, 0.1, Limits(moves_per_broker=1, batch_bytes=1)) == (order, [])


def test_a_batch_marks_no_more_replicas_of_a_topic_than_its_config_can_name() -> None:
    changes = [change("t", n, (1, 2), (1, 2, 3)) for n in range(3000)]
    left, batches = changes, []
    while left:
        chosen, left = batch.first(left, 1e9, Limits())
        flights = [Flight(c.topic, c.partition, c.before, c.after, throttled=True) for c in chosen]
        found = marks.wanted(flights, 1e9, {})
        assert all(value != "*" and len(value) <= LONGEST for value in found.values())
        batches.append(len(chosen))
    assert sum(batches) == 3000 and len(batches) == 2
    assert batch.first(changes, None, Limits()) == (changes, []), "without a throttle nothing is marked"
    wide = [change("t", n, (1,), (1, *range(1000, 1020))) for n in range(300)]
    assert 0 < len(batch.first(wide, 1e9, Limits())[0]) < 300, "new replicas are named too"
    others = [change(f"t{n % 4}", n, (1, 2), (1, 2, 3)) for n in range(3000)]
    assert batch.first(others, 1e9, Limits()) == (others, []), "each topic has its own config"


def test_a_list_of_replicas_that_kafka_does_not_take_becomes_a_star() -> None:
    many = [Flight("t", n, (1, 2), (3, 2), throttled=True) for n in range(4000)]
    found = marks.wanted(many, 1000, {})
    assert found["topic", "t", LEADERS] == "*", "they were submitted without a throttle, and get one now"
    few = {("topic", "t", LEADERS): ",".join(f"{n}:9" for n in range(4800))}
    assert marks.wanted(many[:100], 1000, few)["topic", "t", LEADERS] == "*", "an operator had named many"  # type: ignore[arg-type]


def test_auto_follows_the_tightest_broker() -> None:
    partitions = [Partition("t", 0, (1, 2, 3), (1, 2), 1, adding=(3,)), Partition("t", 1, (2, 1), (2, 1), 2)]
    before = {1: {("t", 0): 100, ("t", 1): 0}, 2: {("t", 0): 100, ("t", 1): 0}, 3: {("t", 0): 0}}
    after = {1: {("t", 0): 300, ("t", 1): 0}, 2: {("t", 0): 300, ("t", 1): 100}, 3: {("t", 0): 90}}
    carried = auto.traffic(before, after, 10, partitions)
    assert carried == {1: Traffic(20, 20), 2: Traffic(30, 10), 3: Traffic(0, 0)}
    assert auto.head_room(carried, Limits()) is None
    assert auto.head_room(carried, Limits(bytes_in_per_s=100)) == 70
    own = Limits(bytes_in_per_s=100, brokers={1: BrokerLimit(bytes_out_per_s=50)})
    assert auto.head_room(carried, own) == 30


@pytest.mark.parametrize(
    ("now", "room", "rate"),
    [
        (10e6, None, 50e6),  # nothing to follow
        (10e6, 100e6, 15e6),  # rises by half
        (40e6, 100e6, 50e6),  # never above the most
        (40e6, 10e6, 8e6),  # falls at once
        (40e6, -5e6, 1e6),  # never to a standstill
        (40e6, 52e6, 40e6),  # not worth a write
    ],
)
def test_auto_rate(now: float, room: float | None, rate: float) -> None:
    assert auto.next_rate(now, room, 50e6) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("executed", "code"),
    [
        (Executed("drain 3", moved=4), ExitCode.OK),
        (Executed("drain 3", moved=4, gone=2, already=3), ExitCode.OK),
        (Executed("drain 3", moved=4, refused={"t-0": "no"}), ExitCode.FAILED),
        (Executed("drain 3", left=4, stopped="broker 4 was lost"), ExitCode.FAILED),
        (Executed("drain 3", left=4, flying=1, handed_over="thor heal"), ExitCode.BUSY),
        (Executed("drain 3", left=4, paused="it is day"), ExitCode.BUSY),
    ],
)
def test_exit_code(executed: Executed, code: ExitCode) -> None:
    assert executed.exit_code == code


def test_progress_in_words() -> None:
    assert str(MovesProgress(4, 1, 0, 0)) == "1 of 4 partitions"
    shown = str(MovesProgress(4, 1, 100 * 1024**2, 25 * 1024**2, 5 * 1024**2, 10 * 1024**2))
    assert shown == "1 of 4 partitions, 25.0 MiB of 100 MiB, 5.0 MiB/s, about 15 s left, throttle 10.0 MiB/s a broker"


@pytest.mark.parametrize("kind", ["heal", "drain", "fill", "balance", "leaders", "set-rf", "rack-repair", "undo"])
def test_every_kind_of_plan_has_a_priority(kind: Kind) -> None:
    assert isinstance(next_step(Sight(kind, flying=0, left=1)), Submit)
    assert next_step(Sight(kind, flying=1, left=1, wanted_by="thor cancel")) == HandOver("thor cancel")
