"""The package schema and the translation of property values."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from asgard.odin.provider.schema import schema, schema_text
from asgard.odin.provider.sdk import PropertyValue
from asgard.odin.provider.values import plain, wrapped, wrapped_map
from asgard.odin.resources.kinds import KINDS, UNKNOWN, USER


def references(document: Any) -> set[str]:
    if isinstance(document, dict):
        own = {document["$ref"]} if "$ref" in document else set()
        return own.union(*(references(item) for item in document.values()))
    if isinstance(document, list):
        return set().union(*(references(item) for item in document))
    return set()


def test_every_property_is_described_and_every_reference_resolves() -> None:
    document = schema()
    assert json.loads(schema_text()) == document
    for token, resource in document["resources"].items():
        assert resource["description"]
        assert set(resource["requiredInputs"]) <= set(resource["inputProperties"])
        assert set(resource["required"]) <= set(resource["properties"])
        assert set(resource["inputProperties"]) <= set(resource["properties"])
        for name, found in {**resource["properties"], **resource["inputProperties"]}.items():
            assert found["description"], f"{token}.{name}"
    assert references(document) == {"#/types/asgard:local:Node"}
    assert set(document["types"]) == {"asgard:local:Node"}


def test_whatever_holds_a_password_is_secret() -> None:
    document = schema()
    assert document["config"]["variables"]["clientProperties"]["secret"]
    for resource in document["resources"].values():
        for name, found in resource["properties"].items():
            if "assword" in name or name == "clientProperties":
                assert found["secret"], name


plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**50), 2**50)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(plain_values)
def test_values_come_back_as_they_went(value: Any) -> None:
    assert plain(wrapped(value)) == value
    assert plain(wrapped(value, secret=True)) == value


def test_outputs_are_secret_where_the_type_or_the_input_says_so() -> None:
    given = {
        "name": PropertyValue("u", is_secret=True),
        "password": PropertyValue("p"),
        "mechanism": PropertyValue("m"),
    }
    found = wrapped_map(KINDS[USER], {"name": "u", "password": "p", "mechanism": "n"}, given)
    assert {name: value.is_secret for name, value in found.items()} == {
        "name": True,
        "password": True,
        "mechanism": False,
    }
