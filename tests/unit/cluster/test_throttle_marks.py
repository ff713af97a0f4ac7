"""What a throttled move marks, and the records of moves that an older version wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asgard.cluster.moves import marks, record
from asgard.cluster.moves.record import Flight
from asgard.core.errors import Failed
from asgard.kafka.model import Partition
from asgard.kafka.throttle import RATES, REPLICAS, union

OLD = json.loads((Path(__file__).parents[2] / "data" / "reassignment-v1.json").read_text())


def test_replicas_that_are_there_send_and_new_ones_fetch() -> None:
    flights = [Flight("t", 1, (2, 3), (2, 3, 4), True), Flight("t", 0, (1, 2), (1, 3), True)]
    found = marks.wanted(flights, 1000.0, {})
    assert found["topic", "t", REPLICAS[0]] == "0:1,0:2,1:2,1:3"
    assert found["topic", "t", REPLICAS[1]] == "0:3,1:4"
    assert {found["broker", "", rate] for rate in RATES} == {"1000"}


def test_moves_that_copy_nothing_mark_nothing() -> None:
    flights = [Flight("t", 0, (1, 2), (2, 1), True), Flight("t", 1, (2, 3), (2,), True)]
    assert not [key for key in marks.wanted(flights, 1000.0, {}) if key[0] == "topic"]


@pytest.mark.parametrize(
    ("before", "ours", "together"),
    [(None, "0:1", "0:1"), ("", "0:1", "0:1"), ("*", "0:1", "*"), ("0:1,5:2", "0:1,0:3", "0:1,5:2,0:3")],
)
def test_marks_of_an_operator_are_kept_beside_ours(before: str | None, ours: str, together: str) -> None:
    assert union(before, ours) == together


def test_a_record_of_an_older_version_says_what_moves_and_what_was_set() -> None:
    found = record.parse(OLD)
    assert [(f.key, f.after, f.throttled) for f in found.flights] == [
        (("orders.created", 0), (1, 2, 3), True),
        (("orders.created", 1), (2, 3, 1), True),
        (("payments.settled", 0), (3, 1), True),
    ]
    assert [(s.key[1], s.key[2], s.ours, s.before) for s in found.settings if s.before is not None] == [
        ("", RATES[0], ("20000000",), "90000000"),
        ("payments.settled", REPLICAS[0], ("1:2,0:3",), "1:2"),
    ]
    assert len(found.settings) == 6 and found.cordons == ()


def test_its_moves_in_flight_are_known_by_where_they_go() -> None:
    there = [
        Partition("orders.created", 0, (1, 2, 3), (1,), 1, adding=(2, 3)),
        Partition("orders.created", 1, (2, 4), (2,), 2, adding=(4,)),
    ]
    (flight,) = record.in_flight(record.parse(OLD).flights, there)
    assert (flight.key, flight.before, flight.adding) == (("orders.created", 0), (1,), (2, 3))


def test_what_it_left_is_taken_over_together_with_what_came_after() -> None:
    newer = record.MovesRecord("set-rf", "", (), record.parse(OLD).settings[:1])
    merged = record.merged([record.parse(OLD), newer])
    assert record.parse(json.loads(json.dumps(merged.document()))) == merged
    assert len(merged.flights) == 3 and len(merged.settings) == 6


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(Failed, match="not a record of moves"):
        record.parse({"format": "something/v1"})
