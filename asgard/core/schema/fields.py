"""The field types of Asgard's YAML files, and their JSON Schemas for editors.

A field reads what a person writes and yields what the program uses: bytes, seconds, text. An optional field that is
present must have a value; an empty list or mapping may be left empty.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from asgard.core.document import shown, text_of
from asgard.core.units import parse_duration, parse_rate, parse_size

FOREVER_MS = -1
_WEB = re.compile(r"https?://[^\s/]+\S*\Z")


class Model(BaseModel):
    """A mapping of a YAML file: types as written, no unknown keys."""

    # Built when first needed: a command reads one kind of file, and start-up time is noticeable.
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


def as_text(value: Any) -> str:
    """Text, or a number as it was written."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return text_of(value)
    raise ValueError(f"is {shown(value)}; allowed is text" + (", in quotes" if isinstance(value, bool) else ""))


def _config_value(value: Any) -> str:
    """A Kafka config in Kafka's own form; a list becomes comma-separated."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(as_text(item) for item in value)
    if value is None or isinstance(value, dict):
        raise ValueError(f"is {shown(value)}; allowed is a value as Kafka reads it: text, a number, true or false")
    return as_text(value)


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, int) and value < 0):
        raise ValueError(f"is {shown(value)}; allowed is a size, as in 256MiB")
    return int(parse_size(value))


def _rate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"is {shown(value)}; allowed is a rate per second, as in 50MB/s")
    rate = parse_rate(value)
    if rate <= 0:
        raise ValueError(f"is {shown(value)}; allowed is a rate above 0, as in 50MB/s")
    return rate


def _byte_rate(value: Any) -> float:
    rate = float(round(_rate(value)))
    if rate < 1:
        raise ValueError(f"is {shown(value)}; allowed is at least 1 byte a second, as in 50MB/s")
    return rate


def _retention(value: Any) -> int:
    if value == "forever":
        return FOREVER_MS
    if isinstance(value, int | float) and value:
        raise ValueError(f"is {shown(value)}, without a unit; allowed is a duration with one, as in 7d, or forever")
    if not isinstance(value, str):
        raise ValueError(f"is {shown(value)}; allowed is a duration, as in 7d, or forever")
    try:
        milliseconds = round(parse_duration(value) * 1000)
    except ValueError as error:
        raise ValueError(f"{error}, or forever") from error
    if not 1 <= milliseconds < 2**63:
        raise ValueError(f"is {shown(value)}; allowed is a duration of at least 1ms, as in 7d, or forever")
    return milliseconds


def seconds(value: Any) -> float:
    """A duration with its unit."""
    if isinstance(value, int | float) and value:
        raise ValueError(f"is {shown(value)}, without a unit; allowed is a duration with one, as in 5m")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"is {shown(value)}; allowed is a duration, as in 5m")
    return parse_duration(value)


def _percentage(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise ValueError(
            f"is {shown(value)}; allowed is a number above 0 (100 is one request thread for the whole time)"
        )
    return float(value)


def _argv(value: Any) -> Any:
    if not isinstance(value, list) or not value or as_text(value[0]) == "":
        raise ValueError(
            f"is {shown(value)}; allowed is a list: the program and its arguments, as in [/usr/local/bin/page, ops]"
        )
    return [as_text(item) for item in value]


def web_address(value: Any) -> str:
    """The address of a web hook; it may hold a token, so a wrong one is not repeated."""
    text = as_text(value)
    if not _WEB.match(text):
        raise ValueError("is not the address of a web hook; allowed is https://… or http://…")
    return text


def _or_empty_list(value: Any) -> Any:
    return [] if value is None else value


def _or_empty_mapping(value: Any) -> Any:
    return {} if value is None else value


def _one_or_more(value: Any) -> list[str]:
    return [as_text(item) for item in value] if isinstance(value, list) else [as_text(value)]


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("is empty; allowed is a value, or leave the key out")
    return value


_UNIT = r"(B|[kKMGTP]B|[KMGTP]iB)?"
_SIZE = {
    "type": ["string", "integer"],
    "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*{_UNIT}\s*$",
    "examples": ["256MiB"],
}
_RATE = {
    "type": ["string", "number"],
    "pattern": rf"^\s*[0-9]+(\.[0-9]+)?\s*{_UNIT}\s*(/\s*s)?\s*$",
    "examples": ["50MB/s"],
}
_DURATION = {
    "type": "string",
    "pattern": r"^(\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|min|h|d|w)\s*|forever)$",
    "examples": ["7d"],
}
_SECONDS = {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*(ms|s|m|min|h|d|w)?\s*$", "examples": ["5m"]}
_TEXT = {"type": ["string", "number"]}

Given = BeforeValidator(_given)
EmptyList = BeforeValidator(_or_empty_list)
EmptyMapping = BeforeValidator(_or_empty_mapping)
Text = Annotated[str, BeforeValidator(as_text), WithJsonSchema(_TEXT)]
OptionalText = Annotated[str | None, BeforeValidator(as_text), WithJsonSchema(_TEXT)]
ConfigValue = Annotated[
    str,
    BeforeValidator(_config_value),
    WithJsonSchema({"type": ["string", "number", "boolean", "array"], "items": _TEXT}),
]
Configs = Annotated[dict[str, ConfigValue], EmptyMapping]
Texts = Annotated[list[Text], EmptyList]
Where = Annotated[dict[str, Annotated[list[str], BeforeValidator(_one_or_more)]], EmptyMapping]
"""Names to values or patterns, one or several."""
Argv = Annotated[
    list[str], BeforeValidator(_argv), WithJsonSchema({"type": "array", "items": {"type": "string"}, "minItems": 1})
]
Size = Annotated[int, BeforeValidator(_size), WithJsonSchema(_SIZE)]
OptionalByteRate = Annotated[float | None, BeforeValidator(_byte_rate), WithJsonSchema(_RATE)]
Rate = Annotated[float, BeforeValidator(_rate), WithJsonSchema(_RATE)]
OptionalRate = Annotated[float | None, BeforeValidator(_rate), WithJsonSchema(_RATE)]
OptionalRetention = Annotated[int | None, BeforeValidator(_retention), WithJsonSchema(_DURATION)]
Seconds = Annotated[float, BeforeValidator(seconds), WithJsonSchema(_SECONDS)]
OptionalSeconds = Annotated[float | None, BeforeValidator(seconds), WithJsonSchema(_SECONDS)]
OptionalPercentage = Annotated[
    float | None, BeforeValidator(_percentage), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})
]


def count(most: int) -> Any:
    """A whole number from 1 to `most`."""
    return Annotated[int, Field(ge=1, le=most)]
