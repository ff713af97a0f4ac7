"""Times of the week in which something may, or may not, be done."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from asgard.thor.windows import within

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
    moment = datetime.strptime(at, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
    assert within(["sun 03:00-03:01", window], moment) == (window if inside else None)
