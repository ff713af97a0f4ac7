"""One turn of healing on a cluster in memory: when it takes the cluster from others, and when it leaves it to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import BrokerLimit, Limits
from asgard.cluster.moves import decide
from asgard.cluster.moves.ledger import Ledger
from asgard.cluster.moves.record import Flight
from asgard.cluster.plan import Plan
from asgard.journal import events
from asgard.journal.rules import Priority
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, LogDir, Move
from asgard.thor.heal import act
from asgard.thor.heal.memory import Memory
from asgard.thor.heal.once import HealContext, Turn, once
from asgard.thor.heal.policy import Policy, Restart
from asgard.thor.heal.situation import Decision
from tests.unit.thor.kafka_in_memory import CLUSTER, KafkaInMemory, held, partitions

AT_ONCE = Policy(grace_s=0, restart=Restart(0))


@dataclass
class Bench:
    """A cluster in memory, and what its healings did: the leases they took, the plans they made, what they told people."""

    kafka: KafkaInMemory
    journal: Database
    limits: Limits = field(default_factory=Limits)
    policy: Policy = AT_ONCE
    taken: list[str] = field(default_factory=list)
    plans: int = 0
    told: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def change(self, decision: Decision, wait_s: float) -> Iterator[HeldCluster]:
        self.taken.append(decision.kind)
        with held(self.kafka, self.journal, decision.priority) as cluster:
            yield cluster

    def turn(self, memory: Memory = Memory()) -> Turn:
        control: Any = self.kafka
        context = HealContext(
            "test", CLUSTER, control, self.journal, self.policy, self.limits, None, self.change, None,
            lambda notice: self.told.append(notice.text), lambda: None,
        )  # fmt: skip
        return once(context, memory)

    def drained(self, topic: str, number: int, replicas: tuple[int, ...]) -> dict[tuple[str, str], dict[str, str]]:
        """A drain was killed while this throttled move was in flight. What it set."""
        before = self.kafka.partitions[topic, number].replicas
        with held(self.kafka, self.journal, Priority.CHANGE) as cluster:
            ledger = Ledger(cluster, "drain 3", "", [], self.kafka.brokers)
            ledger.throttle([Flight(topic, number, before, replicas, True)], 20e6)
        self.kafka.slow = True
        self.kafka.reassign([Move(topic, number, replicas)])
        self.kafka.slow = False
        return self.kafka.set_configs()

    def lost(self, broker: int) -> None:
        """The broker is gone, and out of every ISR."""
        self.kafka.brokers[broker] = replace(self.kafka.brokers[broker], state="fenced")
        for key, p in self.kafka.partitions.items():
            isr = tuple(r for r in p.isr if r != broker)
            self.kafka.partitions[key] = replace(p, isr=isr, leader=isr[0])


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Four brokers with two directories each, six partitions on three of them."""
    dirs = (LogDir("/d1", 1000, 60), LogDir("/d2", 1000, 0))
    brokers = {b: Broker(b, log_dirs=dirs) for b in (1, 2, 3, 4)}
    plan = act._plan

    def counted(*args: Any) -> Plan | None:
        made.plans += 1
        return plan(*args)

    monkeypatch.setattr(act, "_plan", counted)
    with open_journal(f"sqlite:///{tmp_path / 'home' / 'journal.db'}", clock=lambda: 1_800_000_000.0) as journal:
        three = [(1, 2, 3), (2, 3, 1), (3, 1, 2)]
        made = Bench(KafkaInMemory(brokers, partitions("t", *three, *three)), journal)
        yield made


def test_a_failed_disk_that_no_replica_needs_is_told_of_and_the_cluster_left_to_others(bench: Bench) -> None:
    bench.kafka.brokers[3] = replace(
        bench.kafka.brokers[3], log_dirs=(LogDir("/d1", 1000, 60), LogDir("/d2", offline=True))
    )
    throttle = bench.drained("t", 0, (1, 2, 4))
    turn = bench.turn()
    assert (turn.healed.state, bench.taken) == ("held", [])
    assert turn.healed.cause == (
        "broker 3 has lost the log directory /d2: 0 partitions are out of sync there."
        " Nothing is left to move: replace the disk."
    )
    assert bench.kafka.set_configs() == throttle, "the drain keeps its throttle"
    bench.turn(turn.memory)
    assert len(bench.told) == 1


def test_what_else_is_wrong_is_healed_while_a_disk_awaits_its_replacement(bench: Bench) -> None:
    bench.kafka.brokers[3] = replace(
        bench.kafka.brokers[3], log_dirs=(LogDir("/d1", 1000, 60), LogDir("/d2", offline=True))
    )
    for n in range(6):
        key = ("t", n)
        bench.kafka.partitions[key] = replace(bench.kafka.partitions[key], leader=bench.kafka.partitions[key].isr[1])
    assert (bench.turn().healed.decision, bench.taken) == ("elect", ["elect"])


def test_a_dead_broker_whose_replicas_have_nowhere_to_go_is_planned_once_and_takes_nothing(bench: Bench) -> None:
    del bench.kafka.brokers[4]
    bench.kafka.partitions |= partitions("u", (1,))
    throttle = bench.drained("u", 0, (2,))
    bench.lost(3)
    turn = bench.turn()
    assert (turn.healed.state, bench.taken, bench.plans) == ("held", [], 1)
    assert "broker 3 is fenced" in turn.healed.cause and "what would help: one more live broker" in turn.healed.cause
    assert bench.kafka.set_configs() == throttle
    assert (bench.turn(turn.memory).healed.state, bench.taken, bench.plans) == ("held", [], 1)
    assert len(bench.told) == 1


def test_a_move_away_from_a_dead_broker_is_freed_although_nothing_else_has_to_move(bench: Bench) -> None:
    bench.kafka.partitions = partitions("t", (1, 2, 3))
    assert bench.drained("t", 0, (1, 2, 4))
    bench.lost(3)
    assert (bench.turn().healed.state, bench.taken) == ("held", ["reassign"])
    assert bench.kafka.set_configs() == {}, "it runs on without the drain's throttle"


def test_a_move_to_the_dead_broker_is_ended_although_nothing_else_has_to_move(bench: Bench) -> None:
    bench.kafka.slow = True
    bench.kafka.reassign([Move("t", 0, (1, 2, 3, 4))], allow_replication_factor_change=True)
    bench.kafka.slow = False
    bench.lost(4)
    turn = bench.turn()
    assert (turn.healed.state, bench.taken) == ("healed", ["reassign"])
    assert bench.kafka.reassignments() == []


@pytest.mark.parametrize(
    ("limits", "policy", "kind"),
    [
        (Limits(replicas=4, exclude_topics=("t",)), AT_ONCE, "limit-exceeded"),
        (Limits(disk=0.05, exclude_topics=("t",)), AT_ONCE, "log-dir-over-limit"),
        (Limits(exclude_topics=("t",)), replace(AT_ONCE, balance=True), None),
    ],
)
def test_a_balance_with_nothing_to_move_is_planned_once_and_takes_nothing(
    bench: Bench, limits: Limits, policy: Policy, kind: str | None
) -> None:
    bench.limits, bench.policy, memory = limits, policy, Memory()
    for _ in range(3):
        turn = bench.turn(memory)
        memory = turn.memory
        assert {f.kind for f in turn.situation.findings} == ({kind} if kind else set())
        assert (turn.healed.state, bench.taken, bench.plans) == ("held", [], 1)
    assert len(bench.told) == 1


def test_a_balance_that_a_window_interrupts_has_not_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved() -> int:
        return sum(4 in p.replicas for p in bench.kafka.partitions.values())

    bench.limits = Limits(brokers={3: BrokerLimit(replicas=4)}, moves_per_broker=1, windows=("00:00-24:00",))
    monkeypatch.setattr(decide, "closed", lambda limits, now: "it is day" if moved() else None)
    healed = bench.turn().healed
    assert (healed.state, healed.decision, moved()) == ("healed", "balance", 1)
    assert healed.outcome.endswith("it is day")
    assert [e.kind for e in events.read(bench.journal, events.EventFilter(kind="thor.heal.*"))] == [
        "thor.heal.started",
        "thor.heal.finished",
    ]
