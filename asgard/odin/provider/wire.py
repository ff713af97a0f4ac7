"""Property values in Pulumi's messages (protobuf structs): the only translation between them and Odin's own form.

A program's SDK sends them to the embedded engine, and the Pulumi CLI to the provider's process. Inside one process, engine and
provider hand plain values to each other.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.struct_pb2 import Struct
from google.protobuf.struct_pb2 import Value as Message

from asgard.odin.resources.values import (
    OUTPUT_SIGNATURE,
    SECRET_SIGNATURE,
    SIGNATURE,
    UNKNOWN,
    UNKNOWN_TEXT,
    Secret,
    Value,
    Values,
    secret,
    whole,
)


def from_struct(struct: Struct) -> Values:
    """Read properties. Output wrappers (dependencies) are removed: the request lists dependencies itself."""
    return {key: _read(message) for key, message in struct.fields.items()}


def _read(message: Message) -> Value:
    kind = message.WhichOneof("kind")
    if kind == "string_value":
        text = message.string_value
        return UNKNOWN if text == UNKNOWN_TEXT else text
    if kind == "bool_value":
        return message.bool_value
    if kind == "number_value":
        return whole(message.number_value)
    if kind == "list_value":
        return [_read(item) for item in message.list_value.values]
    if kind == "struct_value":
        fields = message.struct_value.fields
        mark = fields[SIGNATURE].string_value if SIGNATURE in fields else ""
        if mark == SECRET_SIGNATURE:
            return secret(_read(fields["value"]))
        if mark == OUTPUT_SIGNATURE:
            inner = _read(fields["value"]) if "value" in fields else UNKNOWN
            return secret(inner) if "secret" in fields and fields["secret"].bool_value else inner
        return {key: _read(item) for key, item in fields.items()}
    return None


def to_struct(properties: Mapping[str, Value]) -> Struct:
    """Write properties."""
    struct = Struct()
    for key, value in properties.items():
        _write(struct.fields[key], value)
    return struct


def _write(message: Message, value: Value) -> None:
    if isinstance(value, str):
        message.string_value = value
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int | float):
        message.number_value = value
    elif value is None:
        message.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, list | tuple):
        message.list_value.SetInParent()
        for item in value:
            _write(message.list_value.values.add(), item)
    elif isinstance(value, Secret):
        message.struct_value.fields[SIGNATURE].string_value = SECRET_SIGNATURE
        _write(message.struct_value.fields["value"], value.value)
    elif value is UNKNOWN:
        message.string_value = UNKNOWN_TEXT
    else:
        message.struct_value.SetInParent()
        for key, item in value.items():
            _write(message.struct_value.fields[key], item)
