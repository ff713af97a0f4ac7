"""Property values: the engine's own form, and the ways to and from the four others.

Inside the engine a value is plain Python: None, bool, int, float, str, list, dict, a `Secret` around one of them, or `UNKNOWN`.
Outside there are the SDK's protobuf structs (what a program registers), the provider's `PropertyValue`s, the JSON of the
state (secrets as ciphertext; `secrets.py` does that half), and what people are shown (`display`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct
    from google.protobuf.struct_pb2 import Value as ProtoValue

    from asgard.odin.provider.sdk import PropertyValue

Value = Any
Properties = dict[str, Any]

# Marks of Pulumi's wire and state format (sdk/go/common/resource/properties.go and sig.go).
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that only the real run will know; there is one, `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that never leaves the process in the clear."""

    value: Value = field(repr=False)


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
    from google.protobuf.struct_pb2 import Struct

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
    from asgard.odin.provider.sdk import Computed, PropertyValue

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
    from asgard.odin.provider.sdk import Computed

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


def secret(value: Value) -> Value:
    """Mark a value as secret; a secret inside a secret is one secret, and an unknown stays one that can be recognised."""
    return Secret(value.value if isinstance(value, Secret) else value)


def reveal(value: Value) -> Value:
    """The value with every secret opened: for comparisons, never for output."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, list):
        return [reveal(item) for item in value]
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    return value


def display(value: Value) -> Value:
    """The value as people may see it: JSON, `[secret]` and `[unknown]` in place of what they may not or can't."""
    if isinstance(value, Secret):
        return "[secret]"
    if value is UNKNOWN:
        return "[unknown]"
    if isinstance(value, list):
        return [display(item) for item in value]
    if isinstance(value, dict):
        return {key: display(item) for key, item in value.items()}
    return value


def has_unknown(value: Value) -> bool:
    """Is any part of the value unknown?"""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    if isinstance(value, dict):
        return any(has_unknown(item) for item in value.values())
    return value is UNKNOWN


def whole(number: float) -> int | float:
    """Numbers travel as doubles; one without a fraction is written without one, as Pulumi writes it."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
