"""When records of an open loop are due: never forgotten, never twice, whatever the producers that share a rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.loki.load.pace import SendSchedule
from asgard.loki.load.scenario import Stage

RATES = st.floats(0, 500).map(lambda rate: round(rate, 2))
STAGES = st.lists(
    st.builds(Stage, st.floats(0.5, 20), RATES, RATES).filter(lambda s: s.from_per_s + s.to_per_s > 0.5),
    min_size=1,
    max_size=4,
)


@given(STAGES, st.integers(1, 5), st.data())
def test_the_count_of_a_time_and_the_time_of_a_count_are_inverse(
    stages: list[Stage], of: int, data: st.DataObject
) -> None:
    pace = SendSchedule(stages, of=of, index=data.draw(st.integers(0, of - 1)))
    if pace.total:
        number = data.draw(st.integers(0, pace.total - 1))
        at_s = pace.at(number)
        assert 0 <= at_s <= pace.duration_s + 1e-6
        assert pace.due(at_s - 0.05) <= number < pace.due(at_s + 0.05)
    assert pace.at(pace.total) == math.inf


@given(STAGES, st.integers(1, 7))
def test_producers_that_share_a_rate_send_what_one_would(stages: list[Stage], of: int) -> None:
    alone = SendSchedule(stages)
    shared = [SendSchedule(stages, of=of, index=index) for index in range(of)]
    assert abs(sum(pace.total for pace in shared) - alone.total) <= 1
    times = sorted(pace.at(n) for pace in shared for n in range(min(pace.total, 20)))
    assert times[: min(20, alone.total)] == pytest.approx([alone.at(n) for n in range(min(20, alone.total))], abs=1e-6)


def test_a_constant_rate_is_evenly_spaced() -> None:
    pace = SendSchedule([Stage(10, 100, 100)])
    assert pace.total == 1000
    assert [pace.at(n) for n in (0, 1, 999)] == pytest.approx([0, 0.01, 9.99])
    assert pace.times_ns(1, 3, 5) == [10_000_005, 20_000_005]


def test_a_ramp_gets_closer_and_closer() -> None:
    pace = SendSchedule([Stage(10, 0, 100), Stage(5, 100, 100)])
    assert pace.total == 500 + 500
    assert pace.due(10) == 500
    gaps = [pace.at(n + 1) - pace.at(n) for n in range(1, 499)]
    assert gaps == sorted(gaps, reverse=True)
    assert pace.times_ns(499, 501, 0) == [int(pace.at(n) * 1e9) for n in (499, 500)]
