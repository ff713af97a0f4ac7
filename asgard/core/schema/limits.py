"""The `limits:` of a stack file or of `thor.yaml`: what Thor keeps to when it moves data."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from asgard.core.document import shown
from asgard.core.schema.fields import EmptyMapping, Model, OptionalByteRate, Size, Texts

_PERCENT = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*\Z")
_WINDOW = re.compile(
    r"\s*(?:(mon|tue|wed|thu|fri|sat|sun)(?:-(mon|tue|wed|thu|fri|sat|sun))?\s+)?"
    r"([01][0-9]|2[0-3]):[0-5][0-9]\s*-\s*(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)\s*\Z"
)


def _fraction(value: Any) -> float:
    match = _PERCENT.match(value) if isinstance(value, str) else None
    if match is None or not 0 < float(match[1]) <= 100:
        raise ValueError(f"is {shown(value)}; allowed is a percentage above 0, up to 100, as in 80%")
    return float(match[1]) / 100


def window(value: Any, *, clock: str = "UTC") -> str:
    """A time of the week as in `22:00-06:00` or `sat-sun 00:00-24:00`; `clock` names the clock in errors. Raises
    ValueError."""
    if not isinstance(value, str) or not _WINDOW.match(value.lower()):
        raise ValueError(
            f"is {shown(value)}; allowed is a time of day ({clock}), as in 22:00-06:00 or sat-sun 00:00-24:00"
        )
    return " ".join(re.sub(r"\s*-\s*", "-", value.lower()).split())


_FRACTION_SCHEMA = {"type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$", "examples": ["80%"]}
Fraction = Annotated[float, BeforeValidator(_fraction), WithJsonSchema(_FRACTION_SCHEMA)]
OptionalFraction = Annotated[float | None, BeforeValidator(_fraction), WithJsonSchema(_FRACTION_SCHEMA)]
Window = Annotated[str, BeforeValidator(window), WithJsonSchema({"type": "string", "examples": ["22:00-06:00"]})]
Count = Annotated[int | None, Field(ge=0)]
Positive = Annotated[int | None, Field(ge=1)]


class DirectoryLimits(Model):
    """What one log directory differs in."""

    capacity: Annotated[
        Size | None, Field(description="bytes it may be filled with, where its volume can't say or says too much")
    ] = None
    disk: OptionalFraction = Field(default=None, description="of its capacity")


class BrokerLimits(Model):
    """What one broker differs in."""

    capacity: Annotated[
        Size | None, Field(description="bytes it may be filled with, where Kafka can't say or says too much")
    ] = None
    disk: OptionalFraction = Field(default=None, description="of its capacity")
    bytes_in: OptionalByteRate = Field(default=None, description="written to all its replicas, as in 100MB/s")
    bytes_out: OptionalByteRate = Field(default=None, description="read from its leaders, by consumers and followers")
    replicas: Count = None
    leaders: Count = None
    log_dirs: Annotated[dict[str, DirectoryLimits], EmptyMapping] = Field(
        default_factory=dict, description="of its log directories, by path"
    )


class LimitsSection(Model):
    """Limits of every broker, and how fast data may move."""

    disk: Fraction = Field(default=0.8, description="of a broker's capacity that may be filled")
    bytes_in: OptionalByteRate = Field(default=None, description="written to all replicas of a broker, as in 100MB/s")
    bytes_out: OptionalByteRate = Field(default=None, description="read from the leaders of a broker")
    replicas: Count = Field(default=None, description="of a broker, at most")
    leaders: Count = Field(default=None, description="of a broker, at most")
    tolerance: Fraction = Field(default=0.1, description="around the mean that counts as balanced")
    min_gain: Annotated[float, BeforeValidator(_fraction), WithJsonSchema(_FRACTION_SCHEMA)] = Field(
        default=0.05, description="bytes out of tolerance that a byte moved must put right"
    )
    exclude_topics: Texts = Field(
        default_factory=list, description="topics that are only moved to heal or drain; * and ? are wild"
    )
    exclude_brokers: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=list, description="brokers that get nothing new"
    )
    throttle: OptionalByteRate = Field(default=None, description="rate of a move, a broker, as in 50MB/s")
    moves_per_broker: Positive = Field(default=None, description="replicas that move to or from a broker at a time")
    batch: Annotated[Size | None, Field(description="bytes that move at a time, in the whole cluster")] = None
    windows: list[Window] = Field(default_factory=list, description="when planned moves may start, UTC; none: always")
    brokers: Annotated[dict[str, BrokerLimits], EmptyMapping] = Field(default_factory=dict, description="by broker id")
    log_dirs: Annotated[dict[str, DirectoryLimits], EmptyMapping] = Field(
        default_factory=dict, description="of log directories of all brokers, by path"
    )


class LimitsFile(Model):
    """Any file with `limits:`; its other keys are somebody else's."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    limits: Annotated[LimitsSection, EmptyMapping] = Field(default_factory=LimitsSection)
