"""Service level objectives of a load, as a scenario and the gate of a stack file write them."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from asgard.core.document import shown
from asgard.core.schema.fields import Given, Model, OptionalRate, OptionalSeconds, Seconds

MOST_SECONDS = 7 * 86400.0
_PERCENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*\Z")


def _share(value: Any) -> float:
    match = _PERCENT.match(value) if isinstance(value, str) else None
    share = float(match[1]) / 100 if match else 0.0 if value == 0 and not isinstance(value, bool) else None
    if share is None or share > 1:
        raise ValueError(f"is {shown(value)}; allowed is 0, or a percentage up to 100, as in 0.1%")
    return share


def _time(seconds: float) -> float:
    if not 0 < seconds <= MOST_SECONDS:
        raise ValueError(f"is {seconds:g} s; allowed is a duration above 0, up to 7d")
    return seconds


_SHARE_SCHEMA = {"type": ["string", "integer"], "pattern": r"^\s*[0-9.]+\s*%\s*$", "examples": ["0.1%"]}
Time = Annotated[Seconds, AfterValidator(_time)]
OptionalShare = Annotated[float | None, BeforeValidator(_share), WithJsonSchema(_SHARE_SCHEMA)]


class Slo(Model):
    """What must hold; what is left out is not judged."""

    p50: OptionalSeconds = Field(default=None, description="median latency from the intended send time to the ack")
    p99: OptionalSeconds = Field(default=None, description="as in 250ms")
    p999: OptionalSeconds = None
    errors: OptionalShare = Field(default=None, description="of the records sent; as in 0.1%, or 0")
    rate: OptionalRate = Field(default=None, description="acknowledged records a second, at least")
    lost: Annotated[int | None, Given, Field(ge=0)] = Field(default=None, description="acknowledged records, at most")
    duplicates: Annotated[int | None, Given, Field(ge=0)] = Field(default=None, description="records, at most")
