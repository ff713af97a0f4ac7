"""Bifrost's files: people and teams (`asgard.bifrost/v1`, `asgard.teams/v1`) and requests (`asgard.request/v1`).

The shape only: policy decides what a team may have, and Odin which names a cluster accepts.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from asgard.core.schema.fields import (
    Configs,
    EmptyList,
    EmptyMapping,
    Given,
    Model,
    OptionalByteRate,
    OptionalRetention,
    OptionalSeconds,
    OptionalText,
    Seconds,
    Size,
    Text,
    Texts,
    as_text,
    web_address,
)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_RESOURCE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,247}[A-Za-z0-9])?\Z")
_NUMBERS = {
    "retention.ms": (re.compile(r"-1|[1-9][0-9]{0,17}"), "-1 (for ever), or milliseconds as in 604800000"),
    "min.insync.replicas": (re.compile(r"[1-9][0-9]?"), "a whole number from 1"),
}
"""Configs that policy judges by their value, so another spelling of the same value is not taken."""


def _short_name(value: object) -> str:
    text = as_text(value)
    if not _NAME.match(text):
        raise ValueError(f"is {text!r}; allowed are 1 to 63 lower-case letters, digits, '-' and '_'")
    return text


def _resource_name(value: object) -> str:
    text = as_text(value)
    if not _RESOURCE.match(text):
        raise ValueError(
            f"is {text!r}; allowed are letters, digits, '.', '_' and '-', with a letter or digit at both ends"
        )
    return text


def _asked_configs(configs: dict[str, str]) -> dict[str, str]:
    for name, (pattern, allowed) in _NUMBERS.items():
        if name in configs and not pattern.fullmatch(configs[name].strip()):
            raise ValueError(f"has {name} {configs[name]!r}; allowed is {allowed}")
    return configs


ShortName = Annotated[Text, BeforeValidator(_short_name)]
ResourceName = Annotated[Text, BeforeValidator(_resource_name)]
AskedConfigs = Annotated[Configs, AfterValidator(_asked_configs)]
Count = Annotated[int | None, Given, Field(ge=0)]
OptionalSize = Annotated[Size | None, Given]


class BudgetSection(Model):
    """What a team may use in one environment; what is left out has no limit."""

    partitions: Count = Field(default=None, description="of all its topics")
    storage: OptionalSize = Field(default=None, description="estimated bytes of all replicas")
    throughput: OptionalByteRate = Field(default=None, description="sum of what its topics are to take")
    users: Count = Field(default=None, description="Kafka users")


class PersonEntry(Model):
    """A person. On one machine the OS user is the identity."""

    name: ShortName
    os_user: OptionalText = Field(default=None, description="the name by default")
    email: OptionalText = None


class MemberEntry(PersonEntry):
    """A person in a team."""

    role: Literal["member", "owner"] = Field(default="member", description="an owner consents to what others ask for")


class ChannelEntry(Model):
    """Where a team's notices go: a web hook or an e-mail address."""

    webhook: Annotated[str | None, Given, BeforeValidator(web_address)] = None
    email: OptionalText = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ChannelEntry:
        if (self.webhook is None) == (self.email is None):
            raise ValueError("must name one recipient; allowed is either webhook or email")
        return self


class TeamEntry(Model):
    """A team: its people, the names it may use, and what it may use of the cluster."""

    name: ShortName
    about: OptionalText = None
    members: Annotated[list[MemberEntry], EmptyList] = Field(default_factory=list)
    namespaces: Texts = Field(default_factory=list, description="prefixes of its topics, users and groups: [orders.]")
    budget: Annotated[BudgetSection, EmptyMapping] = Field(default_factory=BudgetSection)
    approvers: Texts = Field(default_factory=list, description="members who consent; its owners by default")
    notify: Annotated[list[ChannelEntry], EmptyList] = Field(default_factory=list)


class EnvironmentEntry(Model):
    """A cluster that teams ask on, by the stack file that owns it."""

    name: ShortName
    stack: Text = Field(description="path of the stack file, relative to this file")
    confirm: OptionalText = Field(default=None, description="the protected context that Bifrost may change")


class SamplesSection(Model):
    """Who may look at a few of a topic's records. Without this section no one may, through Bifrost."""

    to: Literal["own", "readers"] = Field(
        default="own", description="own: the topic's team; readers: also teams whose users may read it"
    )
    masks: OptionalText = Field(
        default=None, description="path of a masks file; without it topics with a tag of `sensitive` are not shown"
    )
    sensitive: Texts = Field(default_factory=lambda: ["pii"], description="tags of topics with personal data")
    last: int = Field(default=5, ge=1, le=50, description="how many records")


class CostSection(Model):
    """What an estimate is priced with."""

    storage: float = Field(default=0.0, ge=0, description="of a GiB for a month")
    partition: float = Field(default=0.0, ge=0, description="of a partition for a month")
    currency: Text = "EUR"


class DormantSection(Model):
    """When access to another team's topic goes because it is unused. Only what Kafka can tell counts."""

    after: Seconds = Field(default=90 * 86400.0, description="no group of the user committed anything for so long")
    notice: Seconds = Field(default=14 * 86400.0, description="how long before that the team is notified")


class MailSection(Model):
    """The mail server that e-mail notices go through."""

    host: Text
    port: int = Field(default=25, ge=1, le=65535)
    sender: Text = Field(description="the address they come from")


class OpenIdSection(Model):
    """The OpenID provider that people log in with at the portal."""

    issuer: Annotated[str, BeforeValidator(web_address)]
    client_id: Text
    client_secret_file: Text = Field(description="path of a file with the client's secret, relative to this file")


class BifrostFile(Model):
    """`bifrost.yaml`."""

    format: Literal["asgard.bifrost/v1"] = "asgard.bifrost/v1"
    environments: Annotated[list[EnvironmentEntry], EmptyList] = Field(
        default_factory=list, description="the first one is the default"
    )
    policy: Text = Field(default="policy.yaml", description="path of the policy, relative to this file")
    include: Texts = Field(default_factory=list, description="files with more teams: [teams/*.yaml]")
    teams: Annotated[list[TeamEntry], EmptyList] = Field(default_factory=list)
    data_engineers: Annotated[list[PersonEntry], EmptyList] = Field(default_factory=list)
    auditors: Annotated[list[PersonEntry], EmptyList] = Field(default_factory=list)
    notify: Annotated[list[ChannelEntry], EmptyList] = Field(
        default_factory=list, description="where data engineers are notified of what waits for them"
    )
    catalog: Literal["open", "own"] = Field(default="open", description="open: every member finds every topic")
    costs: Annotated[CostSection, EmptyMapping] = Field(default_factory=CostSection)
    samples: Annotated[SamplesSection | None, Given] = Field(
        default=None, description="show records in the catalogue; without it none are shown"
    )
    mail: Annotated[MailSection | None, Given] = None
    openid: Annotated[OpenIdSection | None, Given] = None
    dormant: Annotated[DormantSection | None, Given] = Field(
        default=None, description="withdraw unused access; without it nothing is withdrawn automatically"
    )
    pending: Seconds = Field(default=14 * 86400.0, description="an undecided request expires after this")
    overlap: Seconds = Field(default=86400.0, description="how long old credentials stay valid after `bifrost rotate`")
    retries: int = Field(default=5, ge=0, le=100, description="how often a change that failed is tried again")


class TeamsFile(Model):
    """A file that `include` names."""

    format: Literal["asgard.teams/v1"] = "asgard.teams/v1"
    teams: Annotated[list[TeamEntry], EmptyList] = Field(default_factory=list)


class TopicAsked(Model):
    """A new topic."""

    name: ResourceName
    partitions: int = Field(default=3, ge=1, le=100_000)
    replication: Annotated[int | None, Given, Field(ge=1, le=64)] = None
    min_isr: Annotated[int | None, Given, Field(ge=1, le=64)] = None
    retention: OptionalRetention = None
    throughput: OptionalByteRate = Field(
        default=None, description="what it is to take; its storage is estimated from it"
    )
    description: OptionalText = None
    tags: Texts = Field(default_factory=list, description="as in [pii]")
    config: AskedConfigs = Field(default_factory=dict)


class UserAsked(Model):
    """A new Kafka user, with credentials of its own."""

    name: ResourceName
    produce: Texts = Field(default_factory=list)
    consume: Texts = Field(default_factory=list)
    groups: Texts = Field(
        default_factory=list, description="consumer groups; its own name by default where it consumes"
    )
    produce_quota: OptionalByteRate = None
    consume_quota: OptionalByteRate = None


class AccessAsked(Model):
    """A user of the team gets at a topic."""

    topic: Text
    user: ResourceName
    operation: Literal["consume", "produce"] = "consume"
    groups: Texts = Field(default_factory=list)


class ChangeAsked(Model):
    """Another size, retention, description … of a topic of the team."""

    topic: ResourceName
    partitions: Annotated[int | None, Given, Field(ge=1, le=100_000)] = None
    min_isr: Annotated[int | None, Given, Field(ge=1, le=64)] = None
    retention: OptionalRetention = None
    throughput: OptionalByteRate = None
    description: OptionalText = None
    tags: Annotated[list[Text] | None, Given] = None
    config: AskedConfigs = Field(default_factory=dict)


class DeleteAsked(Model):
    """A topic or a user of the team goes."""

    topic: OptionalText = None
    user: OptionalText = None

    @model_validator(mode="after")
    def _one_of_both(self) -> DeleteAsked:
        if (self.topic is None) == (self.user is None):
            raise ValueError("names what goes; allowed is either topic or user")
        return self


class RequestFile(Model):
    """What a team asks for; all of it is granted, or nothing."""

    format: Literal["asgard.request/v1"] = "asgard.request/v1"
    team: OptionalText = Field(default=None, description="the requester's own by default")
    environment: OptionalText = Field(default=None, description="the first one by default")
    token: OptionalText = Field(default=None, description="a second request with the same token is the first one again")
    reason: OptionalText = None
    lasts: OptionalSeconds = Field(default=None, alias="for", description="access ends after this: 7d")
    topics: Annotated[list[TopicAsked], EmptyList] = Field(default_factory=list)
    users: Annotated[list[UserAsked], EmptyList] = Field(default_factory=list)
    access: Annotated[list[AccessAsked], EmptyList] = Field(default_factory=list)
    changes: Annotated[list[ChangeAsked], EmptyList] = Field(default_factory=list)
    deletions: Annotated[list[DeleteAsked], EmptyList] = Field(default_factory=list)

    @model_validator(mode="after")
    def _something(self) -> RequestFile:
        if not (self.topics or self.users or self.access or self.changes or self.deletions):
            raise ValueError("asks for nothing; allowed are topics, users, access, changes, deletions")
        return self
