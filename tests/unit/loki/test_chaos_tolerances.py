"""A tolerance means here what it means to Chaos Toolkit: the same cases, judged by its own library."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from chaoslib.exceptions import InvalidActivity
from chaoslib.hypothesis import ensure_hypothesis_tolerance_is_valid, within_tolerance
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asgard.core import jsonpath, tolerance
from tests.harness.examples import examples

NUMBERS = st.integers(-5, 5) | st.sampled_from([0.0, 0.5, 1.0, 2.5, -1.5])
TEXTS = st.sampled_from(
    ["", "up", "fenced", "upper", "3", "2.5", "true", '{"a": 1}', '{"a": [1, 2], "status": 3}', "$"]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
KEYS = st.sampled_from(["a", "b", "status", "body", "name"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
STEPS = st.sampled_from([".a", ".b", ".name", ".*", "[0]", "[1]", "[*]", '["a"]', "..a", "[0,1]", '["a","b"]', "..*"])
PATHS = st.lists(STEPS, max_size=3).map(lambda steps: "$" + "".join(steps))
TARGETS = st.sampled_from([None, "body", "a"])


def with_target(kind: str, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A tolerance that is a mapping, with a target or without."""
    made = st.fixed_dictionaries({"type": st.just(kind), **fields, "target": TARGETS})
    return made.map(lambda t: {k: v for k, v in t.items() if v is not None})


TOLERANCES = (
    st.booleans()
    | st.integers(-5, 5)
    | TEXTS
    | st.lists(st.integers(-5, 5) | TEXTS, max_size=3)
    | with_target("regex", pattern=st.sampled_from(["up", "^up$", "[0-9]", "", "a|b", r"\d+\.\d"]))
    | with_target("range", range=st.lists(NUMBERS, min_size=2, max_size=2))
    | with_target("jsonpath", path=PATHS)
    | with_target(
        "jsonpath", path=PATHS, expect=SCALARS.filter(lambda v: v is not None) | st.lists(SCALARS, max_size=2)
    )
    | with_target("jsonpath", path=PATHS, count=st.integers(0, 3))
)


@settings(max_examples=examples(300), deadline=None)
@given(TOLERANCES, VALUES)
@example([1, 3], {"status": 2})
@example([1, 3], 2)
@example(200, {"status": 200})
@example(True, 1)
@example({"type": "range", "range": [0, 1]}, "0.5")
def test_it_judges_as_chaos_toolkit_does(wanted: Any, found: Any) -> None:
    try:
        theirs = bool(within_tolerance(copy.deepcopy(wanted), copy.deepcopy(found)))
    except Exception:  # it fails over what was found: that is out of tolerance here
        theirs = False
    assert tolerance.within(wanted, found) is theirs


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        2.5,
        {},
        {"type": "nothing"},
        {"type": "regex"},
        {"type": "regex", "pattern": "("},
        {"type": "regex", "pattern": 3},
        {"type": "jsonpath"},
        {"type": "jsonpath", "path": "  "},
        {"type": "jsonpath", "path": "a.b"},
        {"type": "range"},
        {"type": "range", "range": [1]},
        {"type": "range", "range": ["a", "b"]},
        {"type": "range", "range": 3},
        {"type": "probe"},
    ],
)
def test_what_chaos_toolkit_refuses_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidActivity):
        ensure_hypothesis_tolerance_is_valid(wrong)
    assert tolerance.problem(wrong)


@given(TOLERANCES)
def test_what_chaos_toolkit_accepts_is_accepted(wanted: Any) -> None:
    ensure_hypothesis_tolerance_is_valid(wanted)
    assert tolerance.problem(wanted) is None


def test_a_probe_as_a_tolerance_is_called_with_what_was_found() -> None:
    wanted = {"type": "probe", "name": "small", "provider": {"type": "python", "module": "m", "func": "f"}}
    assert tolerance.within(wanted, 3, lambda activity, value: activity is wanted and value == 3)
    assert not tolerance.within(wanted, 3)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [{"brokers": [{"id": 1}, {"id": 2}], "by name": {"x": 5}}]),
        ("$.brokers[*].id", [1, 2]),
        ("$.brokers[-1].id", [2]),
        ("$.brokers[0:1].id", [1]),
        ("$['by name'].x", [5]),
        ("$..id", [1, 2]),
        ("$.brokers[5]", []),
    ],
)
def test_a_path_finds_what_it_names(path: str, found: list[Any]) -> None:
    document = {"brokers": [{"id": 1}, {"id": 2}], "by name": {"x": 5}}
    assert jsonpath.find(jsonpath.parse(path), document) == found


@pytest.mark.parametrize("path", ["", "brokers", "$brokers", "$.", "$[", "$[]", "$[?(@.id = 1)]", "$.a[0", "$['a]"])
def test_a_path_that_is_none_is_refused_with_what_is_allowed(path: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        jsonpath.parse(path)
