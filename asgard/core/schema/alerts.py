"""The rest of `heimdall.yaml`: owners, alert rules, and receivers. A team's own file has the last part only."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from asgard.core.schema.fields import (
    Argv,
    EmptyList,
    EmptyMapping,
    Given,
    Model,
    OptionalSeconds,
    OptionalText,
    Seconds,
    Text,
    Where,
    web_address,
)

RuleKind = Literal[
    "time-lag",
    "data-loss",
    "group-stopped",
    "volume-missing",
    "under-replicated",
    "disk-full",
    "audit-loss",
    "canary",
]
Severity = Literal["info", "warning", "critical"]
ReceiverKind = Literal["webhook", "slack", "pagerduty", "alertmanager", "email", "command"]


def _patterns(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[list[Text], BeforeValidator(_patterns)]


class OwnerEntry(Model):
    """Topics and groups whose names match belong to `owner`; the first entry that matches counts."""

    owner: Text
    topics: Patterns = Field(default_factory=list, description="names, or patterns with * and ?")
    groups: Patterns = Field(default_factory=list, description="names, or patterns with * and ?")


class RuleEntry(Model):
    """When an alert is raised. What `above` and `within` mean depends on `when`."""

    name: Text
    when: RuleKind
    groups: Patterns = Field(
        default_factory=lambda: ["*"], description="which groups, for time-lag, data-loss, group-stopped"
    )
    topics: Patterns = Field(
        default_factory=lambda: ["*"], description="which topics, for volume-missing and audit-loss"
    )
    above: Any = Field(default=None, description="time-lag: a duration; under-replicated and audit-loss: a number")
    within: OptionalSeconds = Field(default=None, description="data-loss and disk-full: how near it is")
    for_: Seconds = Field(default=0.0, alias="for", description="so long it must hold before the alert is raised")
    clear: Seconds = Field(default=0.0, description="so long it must not hold before the alert is cleared")
    severity: Severity = "warning"
    labels: Annotated[dict[str, Text], EmptyMapping] = Field(default_factory=dict)
    drills: Literal["tell", "silence"] = Field(
        default="tell", description="silence: not raised while a drill breaks the cluster on purpose"
    )


class ReceiverEntry(Model):
    """Whom to tell, and how. An address that holds a token is better kept in a file of its own (`url_file`, `key_file`)."""

    name: Text
    kind: ReceiverKind
    url: Annotated[str | None, Given, BeforeValidator(web_address)] = None
    url_file: OptionalText = Field(default=None, description="a file that holds the address")
    key_file: OptionalText = Field(default=None, description="pagerduty: a file that holds the routing key")
    to: Annotated[list[Text], EmptyList] = Field(default_factory=list, description="email: addresses")
    command: Annotated[Argv | None, Given] = None
    timeout: Seconds = 5.0


class SubscriptionEntry(Model):
    """A receiver gets alerts whose labels match: owner, topic, group, severity, rule, or a label of the rule."""

    receiver: Text
    where: Where = Field(
        default_factory=dict,
        description="label to values or patterns; all labels must match, one value of each is enough",
    )
    cleared: bool = Field(default=True, description="also when an alert is cleared")


class MailEntry(Model):
    """The server that e-mail goes through."""

    host: Text
    port: Annotated[int, Field(ge=1, le=65535)] = 25
    sender: Text = Field(alias="from")
    starttls: bool = False
    user: OptionalText = None
    password_file: OptionalText = None


class MetricsEntry(Model):
    """How many series `/metrics` has at most; what does not fit is left out, and counted in `asgard_metrics_series_dropped`."""

    max_series: Annotated[int, Field(ge=100)] = 50_000
    partitions: bool = Field(default=True, description="also series by partition")


class TeamFile(Model):
    """A file in `heimdall.d/`: what a team adds by itself."""

    receivers: Annotated[list[ReceiverEntry], EmptyList] = Field(default_factory=list)
    subscriptions: Annotated[list[SubscriptionEntry], EmptyList] = Field(default_factory=list)


class WatchFile(TeamFile):
    """`heimdall.yaml` as a whole; `lag` is read by core/schema/heimdall."""

    format: Literal["asgard.heimdall/v1"] = "asgard.heimdall/v1"
    lag: Any = None
    owners: Annotated[list[OwnerEntry], EmptyList] = Field(default_factory=list)
    rules: Annotated[list[RuleEntry], EmptyList] = Field(default_factory=list)
    mail: MailEntry | None = None
    metrics: Annotated[MetricsEntry, EmptyMapping] = Field(default_factory=MetricsEntry)
