"""The package schema and the translation of property values."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.odin.provider.provider import AsgardProvider
from asgard.odin.provider.schema import schema, schema_text
from asgard.odin.provider.wire import from_struct, to_struct
from asgard.odin.resources.kinds import TOPIC, USER
from asgard.odin.resources.values import OUTPUT_SIGNATURE, SIGNATURE, UNKNOWN, Secret, normal
from tests.provider_driver import urn_of


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


@given(st.dictionaries(st.text(max_size=5), plain_values | plain_values.map(Secret), max_size=4))
def test_values_come_back_as_they_went(values: dict[str, Any]) -> None:
    assert from_struct(to_struct(values)) == normal(values)


def test_what_pulumi_marks_is_understood_and_what_nothing_can_hold_is_refused() -> None:
    known = {SIGNATURE: OUTPUT_SIGNATURE, "value": "v", "secret": True, "dependencies": ["urn"]}
    struct = to_struct({"later": {SIGNATURE: OUTPUT_SIGNATURE}, "known": known, "twice": Secret(Secret("s"))})
    assert from_struct(struct) == {"later": UNKNOWN, "known": Secret("v"), "twice": Secret("s")}
    with pytest.raises(TypeError, match="holds a set"):
        normal({"a": {1}})


def test_inputs_stay_secret_where_the_type_or_the_program_says_so() -> None:
    async def story() -> None:
        given = {"name": Secret("u"), "password": "p"}
        checked = await AsgardProvider().check(urn_of(USER, "u"), {}, given)
        assert checked.inputs == {"name": Secret("u"), "password": Secret("p"), "mechanism": "SCRAM-SHA-512"}
        topic = {"name": "t", "partitions": 1.0, "replication": 1, "config": {"a": Secret("b"), "c": "d"}}
        checked = await AsgardProvider().check(urn_of(TOPIC, "t"), {}, topic)
        assert checked.inputs == topic
        assert isinstance(checked.inputs["partitions"], int)

    asyncio.run(story())
