"""What a throttled reassignment marks: replicas that send and replicas that fetch."""

from __future__ import annotations

import pytest

from asgard.cluster import reassign
from asgard.core.errors import Failed
from asgard.kafka.model import Move, Partition, Topic


def _topic(*replicas: tuple[int, ...]) -> dict[str, Topic]:
    return {"t": Topic("t", "id", False, tuple(Partition("t", n, r, r, r[0]) for n, r in enumerate(replicas)))}


def test_replicas_that_are_there_send_and_new_ones_fetch() -> None:
    marks = reassign.throttled_replicas([Move("t", 1, (2, 3, 4)), Move("t", 0, (1, 3))], _topic((1, 2), (2, 3)))
    assert marks == {"t": ("0:1,0:2,1:2,1:3", "0:3,1:4")}


def test_moves_that_copy_nothing_mark_nothing() -> None:
    moves = [Move("t", 0, (2, 1)), Move("t", 1, (2,)), Move("t", 7, (1,)), Move("t", 0, ())]
    assert reassign.throttled_replicas(moves, _topic((1, 2), (2, 3))) == {}


@pytest.mark.parametrize(
    ("before", "ours", "together"),
    [(None, "0:1", "0:1"), ("", "0:1", "0:1"), ("*", "0:1", "*"), ("0:1,5:2", "0:1,0:3", "0:1,5:2,0:3")],
)
def test_marks_of_an_operator_are_kept_beside_ours(before: str | None, ours: str, together: str) -> None:
    assert reassign.union(before, ours) == together


def test_a_record_of_another_kind_is_refused() -> None:
    with pytest.raises(Failed, match="not a record of a reassignment"):
        reassign.undo(None, {"format": "something/v1"})  # type: ignore[arg-type]
