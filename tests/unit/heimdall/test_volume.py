"""Counts by window and what is unusual: hours of a day in any zone, reasons for not being exact, robust comparison."""

from __future__ import annotations

import itertools
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import WrongUsage
from asgard.heimdall.volume import windows
from asgard.heimdall.volume.compare import compare
from asgard.heimdall.volume.counts import (
    Signs,
    TopicOffsets,
    answered,
    boundaries,
    count,
    incomparable,
    offsets_before,
)
from asgard.heimdall.volume.model import Count
from asgard.heimdall.volume.windows import TimeWindow, of_day, same_hours
from asgard.kafka.groups import UNANSWERED

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 2_000_000_000.0


@pytest.mark.parametrize(
    ("day", "zone", "hours", "first", "last"),
    [
        ("2026-11-27", "UTC", 24, "2026-11-27T00:00+00:00", "2026-11-27T23:00+00:00"),
        ("2026-03-29", "Europe/Berlin", 23, "2026-03-29T00:00+01:00", "2026-03-29T23:00+02:00"),
        ("2026-10-25", "Europe/Berlin", 25, "2026-10-25T00:00+02:00", "2026-10-25T23:00+01:00"),
        ("2026-11-27", "Asia/Kolkata", 24, "2026-11-27T00:00+05:30", "2026-11-27T23:00+05:30"),
        ("2026-04-05", "Australia/Lord_Howe", 25, "2026-04-05T00:00+11:00", "2026-04-05T23:30+10:30"),
    ],
)
def test_hours_of_a_day(day, zone, hours, first, last):
    found = of_day(date.fromisoformat(day), ZoneInfo(zone))
    assert (len(found), found[0].label, found[-1].label) == (hours, first, last)
    assert all(a.end == b.start for a, b in itertools.pairwise(found))
    (whole,) = of_day(date.fromisoformat(day), ZoneInfo(zone), "day")
    assert (whole.start, whole.end) == (found[0].start, found[-1].end)


def test_the_same_hours_of_a_day_that_lacks_one():
    autumn = of_day(date(2026, 4, 5), BERLIN)
    spring = of_day(date(2026, 3, 29), BERLIN)
    matched = same_hours(autumn, spring)
    assert [w is None for w in matched].index(True) == 2  # 02:00 does not exist on the day that clocks go forward
    assert sum(w is None for w in matched) == 1


def test_dates_and_zones_that_are_none_are_told():
    assert windows.parse_date("yesterday", 1_795_826_497, BERLIN) == date(2026, 11, 27)
    for call in (lambda: windows.parse_date("27.11.", NOW, BERLIN), lambda: windows.zone("Middle/Earth")):
        with pytest.raises(WrongUsage):
            call()


HOURS = [TimeWindow(n * 3600.0, (n + 1) * 3600.0, f"{n}") for n in range(3)]


def topic(at, *, start=(0,), end=(30,), first_ms=(0,), size=None):
    starts, ends = {"a": np.array([7]), "t": np.array(start)}, {"a": np.array([9]), "t": np.array(end)}
    before = offsets_before(starts, ends, [{"a": np.array([8]), "t": np.array(a)} for a in at])
    return TopicOffsets("t", starts["t"], ends["t"], np.array(first_ms), before["t"], size)


def test_records_of_each_hour():
    got = count(topic([[0], [10], [10], [-1]], size=3000), HOURS, Signs(), NOW)
    assert [(c.records, c.bytes, c.approximate) for c in got] == [(10, 1000, ()), (0, 0, ()), (20, 2000, ())]


@pytest.mark.parametrize(
    ("offsets", "signs", "why"),
    [
        ({}, Signs(compacted=True), "compacted"),
        ({}, Signs(transactional=True), "transactional"),
        ({}, Signs(out_of_order=True), "out of order"),
        ({"start": (5,), "first_ms": (1_000_000,)}, Signs(), "retention deleted"),
        ({"start": (-1,), "end": (-1,)}, Signs(), "no leader"),
    ],
)
def test_a_count_that_may_not_be_exact_says_why(offsets, signs, why):
    first = count(topic([[0], [10], [20], [-1]], **offsets), HOURS, signs, NOW)[0]
    assert any(why in reason for reason in first.approximate)


def test_retention_concerns_only_the_windows_that_it_reached():
    found = topic([[5], [10], [20], [-1]], start=(5,), first_ms=(1_800_000,))
    assert [bool(c.approximate) for c in count(found, HOURS, Signs(), NOW)] == [True, False, False]


def test_broker_time_is_in_order():
    found = topic([[0], [10], [20], [-1]])
    assert count(found, HOURS, Signs(out_of_order=True, append_time=True), NOW)[0].approximate == ()


def test_a_window_that_is_not_over_and_one_that_has_not_begun():
    got = count(topic([[0], [10], [-1], [-1]]), HOURS, Signs(), 5000.0)
    assert [(c.records, c.approximate) for c in got] == [
        (10, ()),
        (20, ("the window is not over",)),
        (None, ("the window has not begun",)),
    ]


@given(st.lists(st.integers(0, 3 * 3_600_000 - 1), max_size=50))
def test_counts_are_those_of_a_log_in_order(times):
    times.sort()
    at = [next((i for i, t in enumerate(times) if t >= edge * 1000), -1) for edge in boundaries(HOURS)]
    found = topic([[a] for a in at], end=(len(times),), first_ms=(times[0] if times else -1,))
    expected = [sum(w.start * 1000 <= t < w.end * 1000 for t in times) for w in HOURS]
    assert [c.records for c in count(found, HOURS, Signs(), NOW)] == expected


def a_count(records, end=NOW - 86400):
    return Count("t", TimeWindow(end - 3600, end, "x"), records, None)


@pytest.mark.parametrize(
    ("records", "earlier", "verdict"),
    [
        (1000, (990, 1010, 1005, 1000), "as usual"),
        (0, (990, 1010, 1005, 1000), "missing"),
        (500, (990, 1010, 1005, 1000), "low"),
        (2000, (990, 1010, 1005, 1000), "high"),
        (1000, (990, 0, 1005, 1000), "as usual"),  # one bad week does not move the median
        (500, (300, 900, 500, 700), "as usual"),  # a topic that varies
        (0, (0, 0, 0, 0), "as usual"),
        (0, (2, 1, 0, 3), "as usual"),  # so few may be none
        (0, (1000, 1000), "unknown"),
        (None, (1, 1, 1, 1), "unknown"),
    ],
)
def test_unusual(records, earlier, verdict):
    assert compare(a_count(records), earlier, None, NOW).verdict == verdict


def asked(*boundaries: list[int]):
    """Counts of a topic with two partitions of 1,000 records; by boundary the offset that the leaders answer."""
    starts, ends = {"a": np.array([7]), "t": np.array([0, 0])}, {"a": np.array([9]), "t": np.array([1000, 1000])}
    at = [{"a": np.array([8]), "t": np.array(offsets)} for offsets in boundaries]
    start = answered(starts, at)
    found = TopicOffsets("t", start["t"], ends["t"], np.array([0, 0]), offsets_before(start, ends, at)["t"])
    return count(found, HOURS[:2], Signs(), NOW)


def test_a_partition_whose_leader_is_silent_at_an_edge_counts_in_no_window():
    assert [c.records for c in asked([500, 500], [600, 600], [700, 700])] == [200, 200]
    for edges in ([500, UNANSWERED], [600, 600], [700, 700]), ([500, 500], [600, 600], [700, UNANSWERED]):
        found = asked(*edges)
        assert [c.records for c in found] == [100, 100]
        assert all("1 of 2 partitions have no leader that answers" in c.approximate for c in found)
        verdict = compare(found[0], (200, 200, 200, 200), None, NOW)
        assert verdict.verdict == "unknown" and "1 of 2 partitions" in verdict.because
    assert [c.records for c in asked(*[[UNANSWERED] * 2] * 3)] == [None, None]
    assert [c.records for c in asked([500, 500], [600, -1], [700, -1])] == [600, 100], (
        "Kafka's own: no record is that new"
    )


def test_what_was_counted_without_a_partition_says_nothing_about_other_weeks():
    whole, part = asked([0, 0], [10, 10], [20, 20])[0], asked([0, 0], [10, UNANSWERED], [20, 20])[0]
    assert not incomparable(whole.approximate) and incomparable(part.approximate)
    assert incomparable(["partitions have no leader"]) and incomparable(["retention deleted"]), "as the store has them"


def test_late_is_not_missing():
    just_over = a_count(0, end=NOW - 600)
    assert compare(just_over, (1000,) * 4, NOW - 4000, NOW).verdict == "late"
    assert compare(just_over, (1000,) * 4, NOW - 5, NOW).verdict == "missing"
    assert compare(a_count(0), (1000,) * 4, NOW - 90_000, NOW).verdict == "missing"
    assert compare(a_count(0, end=NOW + 60), (1000,) * 4, None, NOW).verdict == "unknown"
