"""Property values, in the one form that Odin's engine, provider and resources share.

A value is plain Python: None, bool, int, float, str, list, dict, a `Secret` around one of them, or `UNKNOWN`.
`provider/wire.py` translates to and from Pulumi's messages, `engine/secrets.py` to and from the state's JSON (secrets
as ciphertext); `display` gives the displayable form. Nothing here imports the SDK.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

Value = Any
Values = dict[str, Any]
"""Property name to value."""

# Marks of Pulumi's wire and state format (sdk/go/common/resource/properties.go and sig.go).
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT_SIGNATURE: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value known only during the real run: in previews, one from a resource that doesn't exist yet. There is one,
    `UNKNOWN`."""

    def __repr__(self) -> str:
        return "<unknown>"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that never leaves the process in the clear."""

    value: Value = field(repr=False)


def secret(value: Value) -> Value:
    """Mark a value as secret; a secret inside a secret is one secret, and an unknown stays recognisable."""
    return Secret(value.value if isinstance(value, Secret) else value)


def reveal(value: Value) -> Value:
    """The value with every secret opened: for comparisons and for Kafka, never for output."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return {key: item if isinstance(item, str) else reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return reveal(value.value) if isinstance(value, Secret) else value


def normal(value: Value) -> Value:
    """The value as it would come back from Pulumi's messages and from the state: lists, and numbers as `whole` writes them."""
    if isinstance(value, dict):
        return {key: item if isinstance(item, str) else normal(item) for key, item in value.items()}
    if isinstance(value, float):
        return whole(value)
    if isinstance(value, list | tuple):
        return [normal(item) for item in value]
    if value is None or value is UNKNOWN or isinstance(value, str | bool | int | Secret):
        return value
    raise TypeError(f"no property of Asgard holds a {type(value).__name__}")


def display(value: Value) -> Value:
    """The value for display: JSON, with `[secret]` and `[unknown]` in place of hidden or unknown values."""
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
    """Whether any part of the value is unknown."""
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, dict | list):
        return any(not isinstance(item, str) and has_unknown(item) for item in _parts(value))
    return value is UNKNOWN


def has_secret(value: Value) -> bool:
    """Whether any part of the value is secret."""
    if isinstance(value, dict | list):
        return any(not isinstance(item, str) and has_secret(item) for item in _parts(value))
    return isinstance(value, Secret)


def _parts(value: Values | list[Value]) -> Iterable[Value]:
    return value.values() if isinstance(value, dict) else value


def whole(number: float) -> int | float:
    """Numbers travel as doubles; one without a fraction is written without one, as Pulumi writes it."""
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
