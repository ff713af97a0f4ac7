"""The file of a monkey (`asgard.monkey/v1`): who has opted in, how often one of them is taken away, when, and never below what."""

from __future__ import annotations

import re
from datetime import UTC, date, timedelta, tzinfo
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from asgard.core.document import shown
from asgard.core.schema.fields import (
    EmptyList,
    Given,
    Model,
    OptionalSeconds,
    OptionalText,
    Text,
    Texts,
    as_text,
)
from asgard.core.schema.limits import OptionalFraction, Positive, window

LABELS_OF_BROKERS = ("node", "rack", "stack")
MOST_DAYS = 366
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%\Z")


def time_zone(name: str) -> tzinfo:
    """The time zone of that name. Raises ValueError."""
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise ValueError(
            f"is {name!r}, which this machine knows no time zone of; allowed is a name as in Europe/Amsterdam"
            " (where the system has none: pip install tzdata)"
        ) from error


def _zone(value: Any) -> str:
    text = as_text(value)
    time_zone(text)
    return text


def _hours(value: Any) -> str:
    return window(value, clock="on the clocks of `timezone`")


def _days(value: Any) -> tuple[date, date]:
    """The first and the last day of `2026-12-25`, or of `2026-12-24..2027-01-01`."""
    first, dots, last = as_text(value).partition("..")
    try:
        begins, ends = date.fromisoformat(first.strip()), date.fromisoformat((last if dots else first).strip())
    except ValueError as error:
        raise ValueError(
            f"is {shown(value)}; allowed is a date, as in 2026-12-25, or two, as in 2026-12-24..2027-01-01"
        ) from error
    if not timedelta(0) <= ends - begins < timedelta(days=MOST_DAYS):
        raise ValueError(f"is {shown(value)}; allowed are up to {MOST_DAYS} days, the first one first")
    return begins, ends


def _number_or_share(value: Any) -> int | str:
    if isinstance(value, str) and (match := _PERCENT.match(value.strip())) and float(match[1]) <= 100:
        return f"{match[1]}%"
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"is {shown(value)}; allowed is a number, as in 2, or a share, as in 60%")
    return int(value)


def _opt_in(value: Any) -> dict[str, tuple[str, ...]]:
    allowed = "allowed is a tag or label with the values that opt in, as in {chaos: allowed} or {node: [1, 2]}"
    if not isinstance(value, dict) or not value:
        raise ValueError(f"is {shown(value)}; {allowed}: nothing is stopped that has not opted in")
    found = {}
    for name, given in value.items():
        values = given if isinstance(given, list) else [given]
        if not values or any(isinstance(v, dict | list) or v is None for v in values):
            raise ValueError(f"has {shown(given)} for {name}; {allowed}")
        found[str(name)] = tuple(("true" if v else "false") if isinstance(v, bool) else as_text(v) for v in values)
    return found


Zone = Annotated[str, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Europe/Amsterdam"]})]
Hours = Annotated[str, BeforeValidator(_hours), WithJsonSchema({"type": "string", "examples": ["mon-fri 09:00-17:00"]})]
DaysOff = Annotated[
    Any, BeforeValidator(_days), WithJsonSchema({"type": "string", "examples": ["2026-12-24..2027-01-01"]})
]
NumberOrShare = Annotated[
    int | str,
    BeforeValidator(_number_or_share),
    WithJsonSchema({"type": ["integer", "string"], "examples": [2, "60%"]}),
]
OptIn = Annotated[
    Any,
    BeforeValidator(_opt_in),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": ["string", "number", "boolean", "array"],
                "items": {"type": ["string", "number", "boolean"]},
            },
        }
    ),
]


class MonkeyGroup(Model):
    """Members of one kind that can replace each other, and how often one of them is taken away."""

    model_config = ConfigDict(**{**Model.model_config, "arbitrary_types_allowed": True})

    name: Text
    kind: Literal["broker", "ec2", "asg", "volume", "ecs", "container"] = Field(
        description="broker: processes of the context's stack on this machine; asg: instances of Auto Scaling groups; volume: EBS; ecs: tasks"
    )
    opt_in: OptIn = Field(
        description="tags or labels that a member must all have (asg: its group; broker: node, rack or stack)"
    )
    action: Literal["kill", "stop", "terminate", "reboot", "detach"] | None = Field(
        default=None,
        description="broker and container: kill; asg: terminate; ec2: stop (the default), terminate, reboot; volume: detach; ecs: stop",
    )
    probability: OptionalFraction = Field(default=None, description="that a run stops one, as in 20%")
    mean_time_between_kills: OptionalSeconds = Field(
        default=None, description="in place of a probability: kills come at random, on average so far apart, as in 5d"
    )
    min_healthy: NumberOrShare = Field(description="members that must be healthy after a kill: a number, or a share")
    size: Positive = Field(
        default=None, description="how many members there should be, if those that died are no longer listed"
    )
    at_most: Annotated[int, Field(ge=1)] = Field(
        default=1, description="members of this group gone at once, whatever stopped them"
    )
    region: OptionalText = Field(default=None, description="ec2, asg, volume and ecs: the AWS region")
    cluster: OptionalText = Field(default=None, description="ecs: the name of the ECS cluster")
    socket: OptionalText = Field(
        default=None, description="container: the engine's socket; else DOCKER_HOST, or the usual one"
    )

    @model_validator(mode="after")
    def _consistent(self) -> MonkeyGroup:
        if (self.probability is None) == (self.mean_time_between_kills is None):
            raise ValueError(
                "says how often in no way, or in two; allowed is either probability or mean_time_between_kills"
            )
        if self.mean_time_between_kills is not None and self.mean_time_between_kills <= 0:
            raise ValueError("has a mean time between kills of 0; allowed is a time, as in 5d")
        allowed = {
            "broker": ("kill",),
            "container": ("kill",),
            "asg": ("terminate",),
            "ec2": ("stop", "terminate", "reboot"),
            "volume": ("detach",),
            "ecs": ("stop",),
        }
        if self.action is not None and self.action not in allowed[self.kind]:
            raise ValueError(
                f"has the action {self.action}, and is of kind {self.kind}; allowed is {' or '.join(allowed[self.kind])}"
            )
        unknown = [name for name in self.opt_in if name not in LABELS_OF_BROKERS]
        if self.kind == "broker" and unknown:
            raise ValueError(f"opts in by {unknown[0]}; a broker has {', '.join(LABELS_OF_BROKERS)}")
        if self.region is not None and self.kind not in ("ec2", "asg", "volume", "ecs"):
            raise ValueError(f"has a region, and is of kind {self.kind}; allowed is none")
        if self.socket is not None and self.kind != "container":
            raise ValueError(f"has a socket, and is of kind {self.kind}; allowed is none")
        if (self.cluster is not None) != (self.kind == "ecs"):
            raise ValueError(f"is of kind {self.kind}; `cluster` belongs to kind ecs, which needs it")
        forgets = self.kind in ("container", "volume", "ecs") or (self.kind == "ec2" and self.action == "terminate")
        if forgets and self.size is None:
            raise ValueError(
                "has no size: what was killed is listed no more, so how many are missing can only be known from"
                " how many there should be, as in size: 5"
            )
        if not forgets and self.size is not None:
            raise ValueError(f"has a size, which is known of kind {self.kind}; allowed is none")
        return self


class MonkeyFile(Model):
    """A monkey: what it may take away, and when."""

    model_config = ConfigDict(**{**Model.model_config, "arbitrary_types_allowed": True})

    format: Literal["asgard.monkey/v1"] = "asgard.monkey/v1"
    name: OptionalText = Field(default=None, description="in the journal; by default the file's")
    timezone: Zone = Field(default="UTC", description="whose clocks hours and days off are told by")
    hours: Annotated[list[Hours], Given, Field(min_length=1)] = Field(
        default_factory=lambda: ["mon-fri 09:00-17:00"], description="when something may be stopped"
    )
    days_off: Annotated[list[DaysOff], EmptyList] = Field(
        default_factory=list, description="dates, or first..last, from midnight to midnight"
    )
    at_most: Annotated[int, Field(ge=1)] = Field(
        default=1, description="members of all groups gone at once, whatever stopped them"
    )
    exclude_topics: Texts = Field(
        default_factory=list, description="topics that have no replica to spare and may suffer; * and ? are wild"
    )
    groups: Annotated[list[MonkeyGroup], Field(min_length=1)]
