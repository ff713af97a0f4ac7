"""Times of the week in which something may, or may not, be done."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.cluster import limits
from asgard.core.errors import InvalidFile
from asgard.core.windows import next_opening, within


def seconds(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()


# 2026-11-23 is a Monday.
CASES = [
    ("22:00-06:00", "2026-11-23 22:00", True),
    ("22:00-06:00", "2026-11-24 05:59", True),
    ("22:00-06:00", "2026-11-24 06:00", False),
    ("08:00-18:00", "2026-11-23 07:59", False),
    ("08:00-18:00", "2026-11-23 08:00", True),
    ("mon-fri 08:00-18:00", "2026-11-28 09:00", False),
    ("sat-sun 00:00-24:00", "2026-11-29 23:59", True),
    ("fri 22:00-06:00", "2026-11-28 05:00", True),
    ("fri 22:00-06:00", "2026-11-27 05:00", False),
    ("sat-mon 00:00-24:00", "2026-11-23 12:00", True),
    ("sat-mon 00:00-24:00", "2026-11-25 12:00", False),
    ("mon 08:00 - 18:00", "2026-11-23 09:00", True),
    ("00:00-00:00", "2026-11-25 12:00", True),
]


@pytest.mark.parametrize(("window", "at", "inside"), CASES)
def test_a_window_is_a_time_of_day_on_some_days_of_the_week(window: str, at: str, inside: bool) -> None:
    assert within(["sun 03:00-03:01", window], seconds(at)) == (window if inside else None)


@pytest.mark.parametrize(
    ("windows", "at", "opens"),
    [
        ([], "2026-11-23 03:00", "2026-11-23 03:00"),
        (["22:00-06:00"], "2026-11-23 05:59", "2026-11-23 05:59"),
        (["22:00-06:00"], "2026-11-23 06:00", "2026-11-23 22:00"),
        (["sat-sun 00:00-24:00"], "2026-11-27 12:00", "2026-11-28 00:00"),
        (["sat-sun 00:00-24:00"], "2026-11-30 00:00", "2026-12-05 00:00"),
        (["mon 00:00-00:00"], "2026-11-24 00:00", "2026-11-30 00:00"),
        (["wed 10:00-11:00", "tue 10:00-11:00"], "2026-11-23 00:00", "2026-11-24 10:00"),
    ],
)
def test_what_may_be_done_in_windows_may_be_done_next_when_one_opens(windows: list[str], at: str, opens: str) -> None:
    assert next_opening(windows, seconds(at)) == seconds(opens)


@given(
    st.lists(st.sampled_from(["22:00-06:00", "mon 09:00-10:00", "fri-sun 23:00-01:00"]), min_size=1),
    st.integers(0, 3 * 7 * 24 * 60),
)
def test_a_window_is_open_at_its_next_opening_and_not_a_minute_before(windows: list[str], minutes: int) -> None:
    at = seconds("2026-11-23 00:00") + minutes * 60
    opens = next_opening(windows, at)
    assert within(windows, opens)
    assert opens == at or not within(windows, opens - 60)


@pytest.mark.parametrize("wrong", ["24:00-06:00", "22:00-24:30", "22-06", "son 22:00-06:00"])
def test_a_wrong_window_is_refused(wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "thor.yaml"
    path.write_text(f"limits: {{windows: ['{wrong}']}}\n")
    with pytest.raises(InvalidFile, match="allowed is a time of day"):
        limits.read(path)
