"""Bifrost's policy (`asgard.policy/v1`) and the cases beside it (`asgard.policy-cases/v1`): the shape only.

`asgard.bifrost.policy` defines what a condition may say.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from asgard.core.schema.bifrost import RequestFile, ShortName
from asgard.core.schema.fields import EmptyList, EmptyMapping, Given, Model, OptionalText, Text, Texts

Kind = Literal["topic", "user", "access", "change", "delete"]
Outcome = Literal["allow", "approval", "deny"]


class RuleEntry(Model):
    """A rule: it matches where every one of its conditions holds."""

    name: ShortName
    kinds: Annotated[list[Kind], EmptyList] = Field(default_factory=list, alias="for", description="all by default")
    when: Texts = Field(default_factory=list, description='conditions: ["partitions > 24", "tags has pii"]')
    then: Outcome
    by: Texts = Field(default_factory=list, description="who approves: owner, data-engineer, team:NAME")
    because: OptionalText = Field(default=None, description="what the requester is to know")

    @model_validator(mode="after")
    def _approvers(self) -> RuleEntry:
        if self.by and self.then != "approval":
            raise ValueError("has `by`, which goes with `then: approval`")
        return self


class PolicyFile(Model):
    """A policy. Deny wins, then approval, then allow; where no rule matches a data engineer approves."""

    format: Literal["asgard.policy/v1"] = "asgard.policy/v1"
    rules: Annotated[list[RuleEntry], EmptyList] = Field(default_factory=list)


class ExpectSection(Model):
    """What a case wants."""

    outcome: Outcome
    rule: OptionalText = None
    by: Annotated[list[Text] | None, Given] = None
    nearest: Annotated[bool | None, Given] = Field(default=None, description="whether a request that passes is named")


class CaseTopic(Model):
    """A topic that exists in a case."""

    name: Text
    team: OptionalText = None
    tags: Texts = Field(default_factory=list)
    partitions: int = 3
    replication: int = 3


class CaseEntry(Model):
    """A request, the world it is made in, and what policy is to say."""

    name: Text
    team: Text
    role: Literal["member", "owner", "data-engineer"] = "member"
    request: RequestFile
    topics: Annotated[list[CaseTopic], EmptyList] = Field(default_factory=list)
    used: Annotated[dict[str, Any], EmptyMapping] = Field(
        default_factory=dict, description="of the budget: {partitions: 90}"
    )
    headroom: Annotated[dict[str, Any], EmptyMapping] = Field(
        default_factory=dict, description="of the cluster: {disk: 40%, brokers: 3}"
    )
    expect: ExpectSection


class CasesFile(Model):
    """The cases beside a policy."""

    format: Literal["asgard.policy-cases/v1"] = "asgard.policy-cases/v1"
    cases: Annotated[list[CaseEntry], EmptyList] = Field(default_factory=list)
