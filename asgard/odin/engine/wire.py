"""Property values on the way: the SDK's protobuf structs (what a program registers) and the provider's `PropertyValue`s."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.struct_pb2 import Struct
from google.protobuf.struct_pb2 import Value as ProtoValue

from asgard.odin.engine.values import (
    OUTPUT_SIGNATURE,
    SECRET_SIGNATURE,
    SIGNATURE,
    UNKNOWN,
    UNKNOWN_TEXT,
    Properties,
    Secret,
    Value,
    secret,
    whole,
)
from asgard.odin.provider.sdk import Computed, PropertyValue


def from_struct(struct: Struct) -> Properties:
    """Read what a program registered. Output wrappers (dependencies) are taken off: the request lists dependencies itself."""
    return {key: _from_proto(value) for key, value in struct.fields.items()}


def _from_proto(value: ProtoValue) -> Value:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text == UNKNOWN_TEXT else text
    if kind == "bool_value":
        return value.bool_value
    if kind == "number_value":
        return whole(value.number_value)
    if kind == "list_value":
        return [_from_proto(item) for item in value.list_value.values]
    if kind == "struct_value":
        fields = value.struct_value.fields
        mark = fields[SIGNATURE].string_value if SIGNATURE in fields else ""
        if mark == SECRET_SIGNATURE:
            return secret(_from_proto(fields["value"]))
        if mark == OUTPUT_SIGNATURE:
            inner = _from_proto(fields["value"]) if "value" in fields else UNKNOWN
            return secret(inner) if "secret" in fields and fields["secret"].bool_value else inner
        return {key: _from_proto(item) for key, item in fields.items()}
    return None


def to_struct(properties: Mapping[str, Value]) -> Struct:
    """Write what a program gets back."""
    struct = Struct()
    for key, value in properties.items():
        _fill(struct.fields[key], value)
    return struct


def _fill(message: ProtoValue, value: Value) -> None:
    if isinstance(value, str):
        message.string_value = value
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int | float):
        message.number_value = value
    elif value is None:
        message.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, list):
        message.list_value.SetInParent()
        for item in value:
            _fill(message.list_value.values.add(), item)
    elif isinstance(value, Secret):
        message.struct_value.fields[SIGNATURE].string_value = SECRET_SIGNATURE
        _fill(message.struct_value.fields["value"], value.value)
    elif value is UNKNOWN:
        message.string_value = UNKNOWN_TEXT
    else:
        message.struct_value.SetInParent()
        for key, item in value.items():
            _fill(message.struct_value.fields[key], item)


def to_properties(properties: Mapping[str, Value]) -> dict[str, PropertyValue]:
    """What a provider is called with."""
    return {key: _to_property(value) for key, value in properties.items()}


def _to_property(value: Value) -> PropertyValue:
    if isinstance(value, str | bool) or value is None:
        return PropertyValue(value)
    if isinstance(value, int | float):
        return PropertyValue(float(value))
    if isinstance(value, list):
        return PropertyValue([_to_property(item) for item in value])
    if isinstance(value, Secret):
        return _to_property(value.value).with_secret(True)
    if value is UNKNOWN:
        return PropertyValue(Computed())
    return PropertyValue({key: _to_property(item) for key, item in value.items()})


def from_properties(properties: Mapping[str, PropertyValue]) -> Properties:
    """What a provider answered."""
    return {key: _from_property(value) for key, value in properties.items()}


def _from_property(value: PropertyValue) -> Value:
    inner = value.value
    plain: Value
    if isinstance(inner, str):
        plain = UNKNOWN if inner == UNKNOWN_TEXT else inner
    elif isinstance(inner, bool) or inner is None:
        plain = inner
    elif isinstance(inner, float):
        plain = whole(inner)
    elif isinstance(inner, Computed):
        plain = UNKNOWN
    elif isinstance(inner, Mapping):
        plain = {key: _from_property(item) for key, item in inner.items()}
    elif isinstance(inner, tuple | list):
        plain = [_from_property(item) for item in inner]
    else:
        raise TypeError(f"a provider answered with a {type(inner).__name__}, which Asgard's engine does not keep")
    return secret(plain) if value.is_secret else plain
