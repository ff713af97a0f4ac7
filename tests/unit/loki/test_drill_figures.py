"""The figures of a drill: how long its users waited, and how often a promise was kept."""

from __future__ import annotations

import pytest

from asgard.loki.drill.statistics import share
from asgard.loki.drill.times import Stretch, consumers_waited, producers_waited, since, within
from asgard.loki.load.outcome import Row

PATIENCE_S = 60.0


def series(longest: dict[float, float], seconds: float = 30, step: float = 0.25) -> list[Row]:
    """Rows with a quick answer each, but for those times at which a record came after a long wait."""
    count = int(seconds / step)
    return [Row(i * step, max_s=longest.get(i * step, 0.004)) for i in range(count)]


def test_who_had_no_answer_for_nine_seconds_waited_for_nine_seconds() -> None:
    (waited,) = producers_waited(series({14.0: 9.4}), 0.25, PATIENCE_S)
    assert (round(waited.from_s, 2), waited.until_s) == (4.85, 14.25)
    assert waited.seconds == pytest.approx(9.4)


def test_a_second_is_not_counted_twice_while_a_backlog_is_worked_off() -> None:
    (waited,) = producers_waited(series({14.0: 9.0, 14.25: 9.1, 14.5: 4.0, 14.75: 1.2}), 0.25, PATIENCE_S)
    assert (round(waited.from_s, 2), waited.until_s) == (5.25, 15.0)


def test_two_outages_are_two_and_a_short_wait_is_none() -> None:
    found = producers_waited(series({8.0: 3.0, 12.0: 0.9, 20.0: 2.0}), 0.25, PATIENCE_S)
    assert [round(s.seconds, 2) for s in found] == [3.0, 2.0]
    assert producers_waited(series({}), 0.25, PATIENCE_S) == []
    assert [round(s.seconds, 2) for s in since(found, 7.0)] == [1.25, 2.0] and len(since(found, 8.25)) == 1
    assert within(found, 0, 10) == pytest.approx(3) and within(found, 19, 100) == pytest.approx(1.25)


def test_a_record_that_was_given_up_was_waited_for_as_long_as_there_was_patience() -> None:
    rows = [*series({}), Row(70.0, errors=3)]
    (waited,) = producers_waited(rows, 0.25, PATIENCE_S)
    assert (waited.from_s, waited.seconds) == (10.25, PATIENCE_S)


def test_what_waited_since_before_the_start_counts_from_the_start() -> None:
    assert producers_waited([Row(1.0, max_s=5.0)], 0.25, PATIENCE_S) == [Stretch(0.0, 1.25)]


def test_consumers_waited_for_what_came_late_to_them() -> None:
    rows = [Row(5.0, max_s=0.1, end_to_end_max_s=4.0), Row(5.25, max_s=3.0)]
    (waited,) = consumers_waited(rows, 0.25)
    assert waited == Stretch(1.25, 5.25)


@pytest.mark.parametrize(
    ("kept", "of", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion" (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (8, 10, 0.4902, 0.9433),
        (30, 30, 0.8865, 1.0),
    ],
)
def test_the_interval_is_wilsons(kept: int, of: int, low: float, high: float) -> None:
    found = share(kept, of)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_what_held_in_all_of_a_few_runs_may_still_fail_often() -> None:
    assert str(share(5, 5)) == "5 of 5 (56.6% to 100.0% with 95 % confidence)"
    for wrong in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"{wrong[0]} of {wrong[1]}"):
            share(*wrong)
