"""Moves of a killed run that are still in flight keep their throttle, whatever the next command moves. In memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgard.cluster import look, moves
from asgard.cluster.limits import Limits
from asgard.cluster.moves.ledger import Ledger
from asgard.cluster.moves.record import DirFlight, Flight
from asgard.cluster.moves.result import Executed
from asgard.cluster.plan import Plan
from asgard.journal import operations
from asgard.journal.rules import Priority
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.model import Broker, DirMove, LogDir, Move
from asgard.thor.plan import planner, replan
from tests.unit.thor.kafka_in_memory import KafkaInMemory, held, partitions


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Database]:
    with open_journal(f"sqlite:///{tmp_path / 'home' / 'journal.db'}") as opened:
        yield opened


@pytest.fixture
def kafka() -> KafkaInMemory:
    """Four brokers with two directories each; `payments-0` is in the first one of broker 3."""
    dirs = (LogDir("/d1", 1000, 10), LogDir("/d2", 1000, 0))
    brokers = {b: Broker(b, log_dirs=dirs) for b in (1, 2, 3, 4)}
    return KafkaInMemory(brokers, {**partitions("orders", (1, 2, 3)), **partitions("payments", (3, 1))})


def planned(kafka: Any, kind: str) -> Plan:
    snapshot = look.take(kafka)
    if kind == "disks":
        return planner.drain_directories(snapshot, ["3:/d1"])
    return planner.set_rf(snapshot, {"payments": 3})


def carried_out(kafka: KafkaInMemory, journal: Database, plan: Plan) -> Executed:
    with held(kafka, journal, Priority.CHANGE) as cluster:
        return moves.run(cluster, plan, Limits(), replan=replan.again, throttle=1e6)


def left(journal: Database) -> list[Any]:
    return [u.operation.undo for u in operations.unfinished(journal)]


def test_moves_between_brokers_keep_their_throttle_while_directories_are_evened(
    kafka: KafkaInMemory, journal: Database
) -> None:
    with held(kafka, journal, Priority.CHANGE) as cluster:
        drain = Ledger(cluster, "drain 3", "", [], kafka.brokers)
        drain.throttle([Flight("orders", 0, (1, 2, 3), (1, 2, 4), True)], 20e6)
    kafka.slow = True
    kafka.reassign([Move("orders", 0, (1, 2, 4))])
    kafka.slow = False
    before = kafka.set_configs()
    assert before["broker", ""] and before["topic", "orders"]
    assert carried_out(kafka, journal, planned(kafka, "disks")).moved == 1
    assert kafka.set_configs() == before, "the drain's move is still in flight"
    assert [undo["moves"] for undo in left(journal)] == [[["orders", 0, [1, 2, 3], [1, 2, 4], True]]]
    kafka.land()
    kafka.dirs.clear()
    carried_out(kafka, journal, planned(kafka, "disks"))
    assert (kafka.set_configs(), left(journal)) == ({}, [])


def test_moves_between_directories_keep_their_throttle_while_partitions_move(
    kafka: KafkaInMemory, journal: Database
) -> None:
    with held(kafka, journal, Priority.CHANGE) as cluster:
        disks = Ledger(cluster, "disks 3", "", [], kafka.brokers)
        disks.throttle_dirs([DirFlight(3, "orders", 0, "/d1", "/d2")], 5e6)
    kafka.slow = True
    kafka.move_directories([DirMove(3, "orders", 0, "/d2")])
    kafka.slow = False
    before = kafka.set_configs()
    assert before["broker", ""]
    assert carried_out(kafka, journal, planned(kafka, "set-rf")).moved == 1
    assert kafka.set_configs() == before, "the copy is still in flight"
    assert [undo["directories"] for undo in left(journal)] == [[[3, "orders", 0, "/d1", "/d2"]]]
    with held(kafka, journal, Priority.HEAL) as cluster:
        assert moves.cancel(cluster).moves == ("orders-0 on broker 3",)
    assert (kafka.set_configs(), left(journal)) == ({}, [])
