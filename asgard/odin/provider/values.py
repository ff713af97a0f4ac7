"""Pulumi's property values as plain Python, and back: the only translation between the SDK and Odin's own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgard.odin.provider.sdk import Computed, PropertyValue
from asgard.odin.resources.kinds import UNKNOWN, Kind, Values

Properties = Mapping[str, PropertyValue]


def plain(value: PropertyValue) -> Any:
    """The value without Pulumi's wrapping; whole numbers become int, what is computed becomes UNKNOWN."""
    inner = value.value
    if isinstance(inner, Computed):
        return UNKNOWN
    if isinstance(inner, float):
        return int(inner) if inner.is_integer() else inner
    if inner is None or isinstance(inner, bool | str):
        return inner
    if isinstance(inner, Mapping):
        return {key: plain(item) for key, item in inner.items()}
    if isinstance(inner, tuple):
        return [plain(item) for item in inner]
    raise TypeError(f"no property of Asgard holds a {type(inner).__name__}")


def plain_map(properties: Properties) -> Values:
    """`plain` of every property."""
    return {name: plain(value) for name, value in properties.items()}


def wrapped(value: Any, *, secret: bool = False) -> PropertyValue:
    """The value as Pulumi has it."""
    inner: Any
    if value is UNKNOWN:
        inner = Computed()
    elif value is None or isinstance(value, bool | str):
        inner = value
    elif isinstance(value, int | float):
        inner = float(value)
    elif isinstance(value, dict):
        inner = {key: wrapped(item) for key, item in value.items()}
    else:
        inner = [wrapped(item) for item in value]
    return PropertyValue(inner, is_secret=secret)


def wrapped_map(kind: Kind, values: Values, like: Properties) -> dict[str, PropertyValue]:
    """Properties of a resource: secret where its kind says so or where what came in (`like`) was secret."""
    secrets = {field.name for field in kind.fields if field.secret}
    found = {}
    for name, value in values.items():
        given = like.get(name)
        if given is not None and plain(given) == value and (given.contains_secret() or name not in secrets):
            found[name] = given
        else:
            secret = name in secrets or (given is not None and given.contains_secret())
            found[name] = wrapped(value, secret=secret)
    return found
