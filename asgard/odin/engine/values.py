"""Property values in the engine's own form.

Inside the engine a value is plain Python: None, bool, int, float, str, list, dict, a `Secret` around one of them, or `UNKNOWN`.
`wire.py` translates to and from the SDK's and the provider's forms, `secrets.py` to and from the state's JSON (secrets as
ciphertext); `display` makes what people may see. Nothing here imports the SDK.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

Value = Any
Properties = dict[str, Any]

# Marks of Pulumi's wire and state format (sdk/go/common/resource/properties.go and sig.go).
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
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
