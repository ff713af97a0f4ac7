"""The `policy:` of `thor.yaml`: when Thor heals by itself, how, and whom it notifies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from asgard.core.schema.fields import Argv, EmptyList, EmptyMapping, Given, Model, Seconds, web_address
from asgard.core.schema.limits import Positive, Window


class RestartSection(Model):
    """The node of a broker that is gone is started again, where Asgard runs it."""

    attempts: Annotated[int, Field(ge=0, le=100)] = Field(default=2, description="for each absence; 0: never")
    wait: Seconds = Field(default=90, description="how long a node that was started may take to serve")


class FlappingSection(Model):
    """A broker that comes and goes."""

    times: Annotated[int, Field(ge=2)] = Field(default=3, description="lost so often")
    within: Seconds = Field(default=1800, description="in this time")


class NotifyEntry(Model):
    """Whom to tell: a web hook or a command."""

    webhook: Annotated[str | None, Given, BeforeValidator(web_address)] = Field(
        default=None, description="gets a POST with JSON"
    )
    command: Annotated[Argv | None, Given] = Field(
        default=None,
        description="a program and its arguments; gets the notice in $ASGARD_TEXT, $ASGARD_EVENT, $ASGARD_CLUSTER, $ASGARD_AT",
    )
    timeout: Seconds = Field(default=5, description="of one try")
    retries: Annotated[int, Field(ge=0, le=20)] = Field(default=3, description="after the first try")

    @model_validator(mode="after")
    def _one_of_both(self) -> NotifyEntry:
        if (self.webhook is None) == (self.command is None):
            raise ValueError("must name one recipient; allowed is either webhook or command")
        return self


class PolicySection(Model):
    """What Thor may do by itself."""

    grace: Seconds = Field(default=300, description="how long a broker may be gone before data moves")
    restart: Annotated[RestartSection, EmptyMapping] = Field(default_factory=RestartSection)
    replace: bool = Field(
        default=False, description="replace a node that does not come back by an empty one before data moves"
    )
    max_dead: Positive = Field(
        default=None, description="brokers gone at once, above which nothing is done; a tenth of all, at least 1"
    )
    quiet_hours: Annotated[list[Window], EmptyList] = Field(
        default_factory=list, description="no planned work then, UTC; lost brokers are still healed"
    )
    flapping: Annotated[FlappingSection, EmptyMapping] = Field(default_factory=FlappingSection)
    notify: Annotated[list[NotifyEntry], EmptyList] = Field(default_factory=list)
    leaders: bool = Field(default=True, description="elect preferred leaders if others lead too many partitions")
    limits: bool = Field(default=True, description="move data from brokers that are over a limit")
    balance: bool = Field(default=False, description="move data until all brokers are within the tolerance")
    foreign_moves: Literal["end", "tell"] = Field(
        default="end", description="moves of other tools to a broker that is gone: end them, or only report them"
    )
    dry_run: bool = Field(default=False, description="say what would be done, and do nothing")


class PolicyFile(Model):
    """Any file with `policy:`; its other keys are somebody else's."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    policy: Annotated[PolicySection, EmptyMapping] = Field(default_factory=PolicySection)
