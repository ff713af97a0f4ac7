"""How fast partitions are written and read, from two looks."""

from __future__ import annotations

import pytest

from asgard.cluster.rates import RateSample, measured, needs_record_size
from asgard.kafka.model import Partition

KEY = ("t", 0)


def look(at: float, end: int | None, size: int | None = None, broker: int = 1, **committed: int) -> RateSample:
    """A look at one partition."""
    return RateSample(
        at,
        {} if end is None else {KEY: end},
        {} if size is None else {broker: {KEY: size}},
        {group: {KEY: offset} for group, offset in committed.items()},
    )


CASES = [
    ("its log grew", look(0, 100, 1000), look(10, 200, 3000), 200.0, None),
    ("no record came: a measured 0", look(0, 100, 1000), look(10, 100, 1000), 0.0, None),
    ("segments went while records came: records times their mean size", look(0, 100, 9000), look(10, 200, 2000), 100.0, None),
    ("its leader was another before: records times their mean size", look(0, 100, 9000, 2), look(10, 200, 2000), 100.0, None),
    ("its broker told no sizes", look(0, 100), look(10, 200), None, None),
    ("its leader did not answer at first", look(0, None, 1000), look(10, 200, 3000), None, None),
    ("it was made anew meanwhile", look(0, 900, 9000), look(10, 200, 2000), None, None),
    ("a group read half", look(0, 100, 1000, a=50), look(10, 200, 3000, a=100), 200.0, 100.0),
    ("two groups read", look(0, 100, 1000, a=50, b=0), look(10, 200, 3000, a=100, b=200), 200.0, 500.0),
    ("a group read what was old", look(0, 100, 1000, a=50), look(10, 100, 1000, a=100), 0.0, 50.0),
    ("a group that reads nothing", look(0, 100, 1000, a=50), look(10, 200, 3000, a=50), 200.0, 0.0),
    ("a group was set back", look(0, 100, 1000, a=90), look(10, 200, 3000, a=10), 200.0, 0.0),
    ("a group that came meanwhile is not measured", look(0, 100, 1000), look(10, 200, 3000, a=90), 200.0, None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "before", "after", "came", "went"), CASES, ids=[c[0] for c in CASES])
def test_rates(what: str, before: RateSample, after: RateSample, came: float | None, went: float | None) -> None:
    # 200 records (of which the first 0 are gone) hold what the last look says.
    size = after.sizes.get(1, {}).get(KEY)
    p = Partition("t", 0, (1, 2), (1, 2), 1, size_bytes=size)
    starts = {KEY: 0} if needs_record_size(before, after, [p]) else {}
    (result,) = measured(before, after, starts, [p])
    assert (result.bytes_in_per_s, result.bytes_out_per_s) == (came, went)


def test_first_offsets_are_asked_for_only_where_they_are_needed() -> None:
    p = Partition("t", 0, (1, 2), (1, 2), 1, size_bytes=3000)
    assert needs_record_size(look(0, 100, 1000), look(10, 200, 3000), [p]) == []
    assert needs_record_size(look(0, 100, 1000), look(10, 100, 1000), [p]) == []
    assert needs_record_size(look(0, 100, 4000), look(10, 200, 3000), [p]) == [p]
