"""The JSON Schema's patterns of sizes and rates accept what the parser accepts, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.schema import fields
from asgard.core.units import parse_rate, parse_size

NUMBERS = st.sampled_from(["1", "1.5", "0", "007", ".5", "1.", "-1", "", "1e3", " 2 "])
UNITS = st.builds("".join, st.lists(st.sampled_from(["k", "K", "M", "G", "T", "P", "E", "i", "B", "b"]), max_size=3))
PER = st.sampled_from(["", "/s", " / s ", "/", "/m", "/s/s"])


def reads(parse: Callable[[str], float], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


@given(st.builds(str.__add__, NUMBERS, UNITS))
def test_a_size_that_the_schema_accepts_can_be_read_and_no_other(text: str) -> None:
    assert bool(re.search(str(fields._SIZE["pattern"]), text)) == reads(parse_size, text)


@given(st.builds(lambda number, unit, per: number + unit + per, NUMBERS, UNITS, PER))
def test_a_rate_that_the_schema_accepts_can_be_read_and_no_other(text: str) -> None:
    assert bool(re.search(str(fields._RATE["pattern"]), text)) == reads(parse_rate, text)


@pytest.mark.parametrize("text", ["1kiB", "1iB", "1kib", "1KB/s "])
def test_what_looks_like_a_unit_is_none(text: str) -> None:
    assert not re.search(str(fields._SIZE["pattern"]), text)
