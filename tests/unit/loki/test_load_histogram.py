"""Latencies as counts: true to 1 % at any quantile, and the same whoever counted them."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from asgard.loki.load.histogram import Histogram

VALUES = st.lists(st.integers(0, 2**40), min_size=1, max_size=300)
SHARES = st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999, 1.0])


def of(values: list[int]) -> Histogram:
    made = Histogram()
    made.add(values)
    return made


@given(VALUES, SHARES)
def test_a_quantile_is_true_to_one_percent(values: list[int], share: float) -> None:
    rank = max(int(-(-share * len(values) // 1)), 1)
    truth = sorted(values)[rank - 1]
    found = of(values).quantile_s(share)
    assert found is not None and abs(found * 1e6 - truth) <= 0.01 * truth + 0.001


@given(VALUES)
def test_count_mean_and_maximum_are_exact(values: list[int]) -> None:
    made = of(values)
    assert (made.count, made.sum_us, made.max_us) == (len(values), sum(values), max(values))


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_workers_histograms_add_up_to_that_of_a_single_one(parts: list[list[int]]) -> None:
    merged = Histogram()
    for part in parts:
        merged.merge(msgspec.convert(msgspec.to_builtins(of(part)), Histogram))
    assert merged == of([value for part in parts for value in part])


def test_a_clock_that_is_behind_counts_as_no_time() -> None:
    assert of([-5, 10]).quantile_s(0.5) == 0


def test_nothing_measured_has_no_quantile() -> None:
    assert (Histogram().quantile_s(0.99), Histogram().mean_s()) == (None, None)
