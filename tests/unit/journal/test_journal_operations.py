"""The undo log: what an interrupted command left is put back by the next one, whoever that is."""

import pytest

from asgard.core.errors import Busy, Unreachable
from asgard.journal import leases, operations
from asgard.journal.leases import LeaseLost, Priority
from asgard.journal.rules import TIMING

CHANGE, FAULT = leases.cluster_change("c1"), leases.cluster_fault("c1")
UNDER = "cluster/c1/"


def hold(journal, name=CHANGE, doing="odin up orders", priority=Priority.CHANGE):
    return leases.hold(journal, name, priority=priority, doing=doing)


def leave(journal, kind="throttle", name=CHANGE, undo=None):
    """What a command leaves that stopped between `begin` and `finish`."""
    with hold(journal, name) as lease:
        return operations.begin(journal, kind, "cluster c1", undo or {"rate": None}, lease)


def test_a_finished_operation_is_history(journal, clock):
    with hold(journal) as lease:
        began = operations.begin(journal, "throttle", "cluster c1", {"rate": "1000"}, lease)
        assert [(u.operation, u.abandoned) for u in operations.unfinished(journal)] == [(began, False)]
        operations.finish(journal, began, lease)
    assert operations.unfinished(journal) == []
    (past,) = operations.history(journal)
    assert (past.id, past.undo, past.outcome, past.ended_at) == (
        began.id,
        {"rate": "1000"},
        "put back as it was",
        clock.at,
    )


def test_what_was_left_behind_is_settled_newest_first(journal):
    first, second = leave(journal, undo={"n": 1}), leave(journal, undo={"n": 2})
    assert [u.abandoned for u in operations.unfinished(journal)] == [True, True]
    seen = []

    def handler(operation, lease):
        lease.check(5)
        seen.append(operation.undo["n"])
        return f"removed throttle {operation.undo['n']}"

    with hold(journal) as lease:
        settled = operations.settle(journal, {"throttle": handler}, under=UNDER, held=[lease])
    assert seen == [2, 1]
    assert [(s.operation.id, s.done, s.outcome) for s in settled] == [
        (second.id, True, "removed throttle 2"),
        (first.id, True, "removed throttle 1"),
    ]
    assert operations.unfinished(journal) == []


def test_an_operation_whose_process_works_is_left_alone(journal):
    with hold(journal, FAULT, "loki drill") as fault:
        operations.begin(journal, "pause", "broker 1", {}, fault)
        with hold(journal) as change:
            assert operations.settle(journal, {"pause": pytest.fail}, under=UNDER, held=[change]) == []


def test_who_settles_takes_the_lease_so_that_a_sleeper_can_not_come_back(journal, clock):
    with hold(journal, FAULT, "loki drill") as sleeper:
        begun = operations.begin(journal, "pause", "broker 1", {}, sleeper)
        clock.at += TIMING.ttl_s + TIMING.call_deadline_s
        with hold(journal) as change:
            (settled,) = operations.settle(journal, {"pause": lambda *_: "resumed"}, under=UNDER, held=[change])
        assert settled.done
        with pytest.raises(LeaseLost):
            sleeper.check(5)
        with pytest.raises(LeaseLost):
            operations.finish(journal, begun, sleeper)
        with pytest.raises(LeaseLost):
            operations.begin(journal, "pause", "broker 2", {}, sleeper)
    assert operations.history(journal)[0].outcome == "resumed"


def test_what_can_not_be_settled_stays_open_and_says_why(journal):
    leave(journal, "unknown-kind")
    leave(journal, "throttle")

    def unreachable(*_):
        raise Unreachable("no broker answers at 127.0.0.1:9092")

    settled = operations.settle(journal, {"throttle": unreachable}, under=UNDER)
    assert [(s.done, s.outcome) for s in settled] == [
        (False, "no broker answers at 127.0.0.1:9092"),
        (False, "this version can't put unknown-kind back"),
    ]
    assert len(operations.unfinished(journal)) == 2
    leases.refuse_if_held(journal, CHANGE)


def test_another_clusters_operations_are_not_touched(journal):
    leave(journal, name=leases.cluster_change("c10"))
    leave(journal, name=leases.cluster_change("c_"))
    assert operations.unfinished(journal, under=UNDER) == []
    assert operations.settle(journal, {"throttle": pytest.fail}, under=UNDER) == []


def test_moves_in_flight_are_handed_to_the_next_holder(journal):
    with hold(journal) as lease:
        began = operations.begin(journal, "moves", "cluster c1", {"in_flight": []}, lease)
        operations.amend(journal, began, {"in_flight": [["orders", 0]]}, lease)
    with hold(journal, priority=Priority.HEAL) as healer:
        (left,) = operations.unfinished(journal, under=UNDER)
        assert (left.abandoned, left.operation.undo) == (True, {"in_flight": [["orders", 0]]})
        operations.finish(journal, left.operation, healer, "inherited by the healer")
    assert operations.unfinished(journal) == []


def test_an_undo_that_names_a_secret_is_refused(journal):
    with hold(journal) as lease, pytest.raises(ValueError, match="names a secret"):
        operations.begin(journal, "config", "broker 1", {"listener.sasl.jaas.config": "x"}, lease)


def test_what_is_kept_on_purpose_is_not_abandoned_and_is_put_back_when_it_is_time(journal):
    kept = leave(journal, "asgard.kept-retention/v1")
    left = leave(journal)
    assert [(u.operation.kept, u.unheld, u.abandoned) for u in operations.unfinished(journal)] == [
        (True, True, False),
        (False, True, True),
    ]
    told = []
    handlers = {"throttle": lambda *_: "removed", kept.kind: lambda *_: "put back"}
    operations.Leftovers(handlers, told.append, told.append).report(journal, under=[UNDER])
    assert [[o.id for o in found] for found in told] == [[left.id]], "a command that only reads says nothing of it"

    def not_yet(*_):
        raise Busy("billing has not read it")

    settled = operations.settle(journal, {**handlers, kept.kind: not_yet}, under=UNDER)
    assert [(s.operation.id, s.done, s.waits) for s in settled] == [(left.id, True, False), (kept.id, False, True)]
    assert [s.done for s in operations.settle(journal, handlers, under=UNDER)] == [True]
