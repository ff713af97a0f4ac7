"""A recipe (`asgard.recipe/v1`): when to act on a cluster, the steps, and what must hold afterwards.

The shape only. Steps are a list, each with one action as its key: `- drain: {brokers: 3}`, or shorter `- drain: 3`, or
`- balance` if the action needs nothing. A step's keys depend on its action, so each is read separately.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from asgard.core import condition, cron
from asgard.core.document import shown
from asgard.core.schema.fields import (
    Argv,
    EmptyMapping,
    Given,
    Model,
    OptionalByteRate,
    OptionalSeconds,
    OptionalText,
    Seconds,
    Text,
    Where,
    as_text,
    seconds,
    web_address,
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}\Z")
_EVENT = re.compile(r"(odin|loki|thor|heimdall|bifrost)\.(\*|[a-z][a-z0-9-]*\.(\*|[a-z]+))\Z")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def _name(value: Any) -> str:
    text = as_text(value)
    if not _NAME.match(text):
        raise ValueError(f"is {shown(value)}; allowed are small letters, digits and -, as in rolling-restart")
    return text


def _schedule(value: Any) -> str:
    return cron.check(as_text(value))


def _event(value: Any) -> str:
    text = as_text(value)
    if not _EVENT.match(text):
        raise ValueError(
            f"is {shown(value)}; allowed is a kind of event, as in heimdall.alert.raised, or a beginning with a star, heimdall.*"
        )
    return text


def _condition(value: Any) -> condition.Condition:
    return condition.parse(as_text(value))


def _ids(value: Any) -> Any:
    found = value if isinstance(value, list) else str(value).split(",")
    ids = [i if type(i) is int else int(str(i)) if str(i).strip().isdecimal() else -1 for i in found]
    if not ids or min(ids) < 0:
        raise ValueError(f"is {shown(value)}; allowed are broker ids, as in 3 or [3, 4]")
    return sorted(set(ids))


def _ids_or(word: str) -> Callable[[Any], Any]:
    return lambda value: word if value == word else _ids(value)


def _factors(value: Any) -> Any:
    if isinstance(value, str):
        pairs = [part.strip().rpartition("=") for part in value.split(",")]
        value = {topic: int(n) if n.isdecimal() else n for topic, _, n in pairs}
    if not isinstance(value, dict) or not value or any(type(n) is not int or n < 1 for n in value.values()):
        raise ValueError(f"is {shown(value)}; allowed are topics with their replication factors, as in {{orders: 3}}")
    return dict(value)


def _topics(value: Any) -> Any:
    if value is None:
        return []
    found = value if isinstance(value, list) else [part.strip() for part in str(value).split(",")]
    return [str(topic) for topic in found if topic]


def _grace(value: Any) -> Any:
    return None if value == "policy" else seconds(value)


def _variables(value: Any) -> Any:
    for variable in value if isinstance(value, dict) else ():
        if not _VARIABLE.match(variable):
            raise ValueError(f"has the variable {variable!r}; allowed are letters, digits and _")
    return {} if value is None else value


def _words(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Condition = Annotated[
    condition.Condition,
    BeforeValidator(_condition),
    WithJsonSchema({"type": "string", "examples": ["under_replicated == 0"]}),
]
Conditions = Annotated[list[Condition], BeforeValidator(_words)]
_IDS = {"oneOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}, {"type": "string"}]}
Ids = Annotated[list[int], BeforeValidator(_ids), WithJsonSchema(_IDS)]
EmptyOrIds = Annotated[list[int] | str, BeforeValidator(_ids_or("empty")), WithJsonSchema(_IDS)]
AllOrIds = Annotated[list[int] | str, BeforeValidator(_ids_or("all")), WithJsonSchema(_IDS)]


class StepModel(Model):
    """What every step may have."""

    name: OptionalText = Field(default=None, description="what its lines in the log are called; by default the action")
    timeout: OptionalSeconds = Field(default=None, description="how long it may take")
    retries: Annotated[int, Field(ge=0, le=100)] = Field(default=0, description="how often it is tried again")
    retry_after: Seconds = Field(default=10, description="between two tries")


class Heal(StepModel):
    """Heal the cluster, as `asgard thor heal` does."""

    grace: Annotated[float | None, BeforeValidator(_grace), WithJsonSchema({"type": "string"})] = Field(
        default=None, description="how long a broker may be gone before data moves; `policy`: as the policy says"
    )


class Moving(StepModel):
    """Moves of replicas, planned and applied."""

    throttle: OptionalByteRate = Field(default=None, description="rate of the moves, a broker, as in 50MB/s")


class Drain(Moving):
    """Empty brokers."""

    brokers: Ids


class Fill(Moving):
    """Give brokers their part of the load; `empty`: those that hold no replica."""

    brokers: EmptyOrIds


class SetReplication(Moving):
    """Give topics another replication factor."""

    topics: Annotated[dict[str, int], BeforeValidator(_factors)]


class Restart(StepModel):
    """Restart brokers one by one; `all`: every node of the stack."""

    brokers: AllOrIds = "all"


class WaitUntil(StepModel):
    """Wait until all of this holds."""

    condition: Conditions
    timeout: OptionalSeconds = 600.0


class Verify(StepModel):
    """Fail unless all of this holds."""

    that: Conditions


class Notify(StepModel):
    """Tell somebody: a web hook, or a program; whom the policy names where neither is given; and always the log."""

    text: Text
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    timeout: OptionalSeconds = 10.0
    webhook: Annotated[str | None, Given, BeforeValidator(web_address)] = None
    command: Annotated[Argv | None, Given] = None


class Run(StepModel):
    """Run a program: no shell, an environment of its own, nothing on its stdin."""

    command: Argv
    environment: Annotated[dict[str, Text], BeforeValidator(_variables)] = Field(default_factory=dict)
    timeout: OptionalSeconds = 60.0


Topics = Annotated[
    list[str], BeforeValidator(_topics), WithJsonSchema({"oneOf": [{"type": "string"}, {"type": "array"}]})
]
Optional = Annotated[str | None, BeforeValidator(lambda value: value or None)]


class Archive(StepModel):
    """Archive what is new in topics, as `asgard thor archive run` does."""

    topics: Topics
    to: Text = Field(description="a directory, or s3://bucket/prefix")
    endpoint_url: Optional = None
    rate: OptionalByteRate = Field(default=None, description="as in 50MB/s; else the throttle of the limits")


class Restore(StepModel):
    """Bring back what is missing, as `asgard thor replay --from-archive` does; without topics and times those of the alert."""

    archive: Text = Field(description="a directory, or s3://bucket/prefix")
    topics: Topics = Field(default_factory=list)
    to: Optional = Field(default=None, description="another topic, with {topic} for the name of the archived one")
    from_time: Optional = Field(default=None, description="only records from then on (UTC), as in 2026-11-24T09:00")
    until_time: Optional = Field(default=None, description="only records before then")
    endpoint_url: Optional = None
    create: bool = Field(default=False, description="create a topic that is not there, as it was")
    groups: bool = Field(default=False, description="set what groups had committed to the same records")
    rate: OptionalByteRate = Field(default=None, description="as in 50MB/s; else the throttle of the limits")


class MoveCoordinator(StepModel):
    """Let another broker coordinate a consumer group until it works again, then put it back."""

    group: Text
    wait: Seconds = Field(default=60, description="how long the group may take")


class RaiseRetention(StepModel):
    """Keep a group's unread data that is about to expire until the group has read it, then put the retention back."""

    group: Optional = Field(default=None, description="which; by default that of the alert")
    extra: Seconds = Field(default=86400, description="how much longer the topics keep their records")
    at_most: Seconds = Field(
        default=7 * 86400, description="never longer than this, whether the group has caught up or not"
    )


ACTIONS: dict[str, type[StepModel]] = {
    "heal": Heal,
    "drain": Drain,
    "fill": Fill,
    "balance": Moving,
    "leaders": Moving,
    "elect": StepModel,
    "rack-repair": Moving,
    "set-rf": SetReplication,
    "rolling-restart": Restart,
    "wait-until": WaitUntil,
    "verify": Verify,
    "notify": Notify,
    "run": Run,
    "archive": Archive,
    "restore": Restore,
    "move-coordinator": MoveCoordinator,
    "raise-retention": RaiseRetention,
}
"""The possible actions of a step, and their models."""

SHORT = {
    "drain": "brokers",
    "fill": "brokers",
    "set-rf": "topics",
    "rolling-restart": "brokers",
    "wait-until": "condition",
    "verify": "that",
    "notify": "text",
    "run": "command",
    "restore": "archive",
    "move-coordinator": "group",
    "raise-retention": "group",
}
"""The key that a step means if its action is followed by something other than a mapping of its keys."""


class TriggerSection(Model):
    """What starts it; without any it is run by hand."""

    schedule: Annotated[str | None, Given, BeforeValidator(_schedule)] = Field(
        default=None, description="for cron, as in '*/5 * * * *'"
    )
    event: Annotated[str | None, Given, BeforeValidator(_event)] = Field(
        default=None, description="a kind of event in the journal, as in heimdall.alert.raised"
    )
    where: Where = Field(
        default_factory=dict,
        description="only such events: names in their data to values or patterns; all must match, one value of each is enough",
    )


class ParameterEntry(Model):
    """A value that is given with `--set`, and is in the recipe as `$name`."""

    about: Text
    default: Any = None
    example: Any = Field(default=None, description="what the recipe is checked with if there is no default")


class RecipeFile(Model):
    """A recipe."""

    format: Literal["asgard.recipe/v1"] = "asgard.recipe/v1"
    recipe: Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": "string"})]
    about: Text = Field(description="what it is for, in a sentence")
    trigger: Annotated[TriggerSection, EmptyMapping] = Field(default_factory=TriggerSection)
    parameters: Annotated[dict[str, ParameterEntry], EmptyMapping] = Field(default_factory=dict)
    when: Conditions = Field(default_factory=list, description="all of it must hold, otherwise there is nothing to do")
    timeout: OptionalSeconds = Field(default=None, description="of the whole run")
    steps: Annotated[list[Any], Field(min_length=1)]
    on_failure: list[Any] = Field(default_factory=list, description="steps to run if one of the others fails")
