"""Order among resources, property paths and differences: tables and properties."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.odin.engine import diff, graph
from asgard.odin.resources.values import UNKNOWN, Secret
from tests.unit.engine.test_secrets import plain

maps = st.dictionaries(st.text(max_size=4), plain, max_size=4)


@st.composite
def forests(draw: st.DrawFn) -> list[graph.Record]:
    """Records that depend on earlier ones only, shuffled."""
    count = draw(st.integers(0, 12))
    records: list[graph.Record] = []
    for number in range(count):
        needs = draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else []
        urns = [f"u::{need}" for need in needs]
        record: graph.Record = {"urn": f"u::{number}", "dependencies": urns[:1]}
        if len(urns) > 1:
            record["parent"] = urns[1]
        if len(urns) > 2:
            record["provider"] = f"{urns[2]}::id"
        records.append(record)
    return list(draw(st.permutations(records)))


@given(forests())
def test_everything_comes_after_what_it_needs(records: list[graph.Record]) -> None:
    ordered = graph.in_order(records)
    assert sorted(r["urn"] for r in ordered) == sorted(r["urn"] for r in records)
    place = {r["urn"]: i for i, r in enumerate(ordered)}
    assert all(place[need] < place[r["urn"]] for r in ordered for need in graph.dependencies(r))
    assert graph.in_order(ordered) == ordered


@given(forests())
def test_a_deletion_waits_for_exactly_its_dependents(records: list[graph.Record]) -> None:
    waits = graph.waits(records)
    for index, record in enumerate(records):
        assert {records[other]["urn"] for other in waits[index]} == {
            other["urn"] for other in records if record["urn"] in graph.dependencies(other)
        }


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("a",), "a"),
        (("config", "retention.ms"), 'config["retention.ms"]'),
        (("tags", 0, "name"), "tags[0].name"),
        (("a b", 'q"x'), '["a b"]["q\\"x"]'),
    ],
)
def test_paths_are_written_and_read_as_pulumi_does(path: diff.Path, text: str) -> None:
    assert diff.render(path) == text
    assert diff.parse(text) == path


@given(maps)
def test_a_value_does_not_differ_from_itself(value: dict[str, Any]) -> None:
    assert diff.differences(value, value) == {}
    assert diff.differences(value, {key: Secret(item) for key, item in value.items()}) == {}


@given(maps, maps)
def test_two_values_differ_where_python_says_so(old: dict[str, Any], new: dict[str, Any]) -> None:
    if old != new:
        assert diff.differences(old, new)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"a": 1}, {"a": 2}, {"a": "update"}),
        ({"a": True}, {"a": 1}, {"a": "update"}),
        ({}, {"a": {"b": 1}}, {"a": "add"}),
        ({"a": {"b": 1}}, {"a": {"c": 1}}, {"a.b": "delete", "a.c": "add"}),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, {"a[1]": "update", "a[2]": "add"}),
        ({"a": 1}, {"a": UNKNOWN}, {"a": "update"}),
        ({"a": "x"}, {"a": ["x"]}, {"a": "update"}),
    ],
)
def test_differences(old: dict[str, Any], new: dict[str, Any], found: dict[str, str]) -> None:
    assert diff.differences(old, new) == found


@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        (["a"], {"a": 1, "m": {"x": 9, "y": 9}, "l": [8, 9]}),
        (["m.x"], {"a": 5, "m": {"x": 2, "y": 9}, "l": [8, 9]}),
        (["m.y"], {"a": 5, "m": {"x": 9}, "l": [8, 9]}),
        (["m.*"], {"a": 5, "m": {"x": 2}, "l": [8, 9]}),
        (["l[1]"], {"a": 5, "m": {"x": 9, "y": 9}, "l": [8, 4]}),
        (["l[7]", "gone", "gone.deep"], {"a": 5, "m": {"x": 9, "y": 9}, "l": [8, 9]}),
        (["new"], {"a": 5, "m": {"x": 9, "y": 9}, "l": [8, 9]}),
    ],
)
def test_ignored_paths_stay_as_they_were(ignored: list[str], expected: dict[str, Any]) -> None:
    old = {"a": 1, "m": {"x": 2}, "l": [3, 4]}
    new = {"a": 5, "m": {"x": 9, "y": 9}, "l": [8, 9]}
    if ignored == ["new"]:
        new = {**new, "new": 1}
    assert diff.keep_old(new, old, ignored) == expected


def test_a_pattern_covers_what_is_inside_of_it() -> None:
    assert diff.covers("config", 'config["a.b"]')
    assert diff.covers("*.x", "m.x")
    assert not diff.covers("config.x", "config")
