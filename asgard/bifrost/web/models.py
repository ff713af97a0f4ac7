"""The documents of the REST API: what it takes and what it answers. The OpenAPI document is made from these. Times are seconds since 1970."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from asgard.bifrost.states import State
from asgard.bifrost.tokens import Scope
from asgard.core.schema.fields import Model, Seconds


class Body(Model):
    """Nothing has to be said."""


class ReasonBody(Body):
    """Why."""

    reason: Annotated[str | None, Field(max_length=2000)] = None


class SendBody(Body):
    """Whether it may delete records: those that the answer without it names."""

    accept_losses: bool = False


class ExtendBody(Body):
    """For how long from now."""

    lasts: Seconds = Field(alias="for", description="as in 30d", gt=0)


class PlaceBody(Body):
    """On which environment; the first one by default."""

    environment: str | None = None


class ClaimBody(PlaceBody):
    """Which team is to own it; that of the namespace by default."""

    team: str | None = None


class CredentialsBody(PlaceBody):
    """With a public key of age (age1…) they come sealed for it."""

    key: Annotated[str | None, Field(max_length=100)] = None


class TokenBody(Body):
    """A new token of one's own."""

    scope: Scope = "read"
    lasts: Seconds = Field(default=30 * 86400.0, alias="for", description="as in 30d", gt=0, le=366 * 86400.0)
    about: Annotated[str | None, Field(max_length=200)] = None


class Answer(BaseModel):
    """An answer: exactly these keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorAnswer(Answer):
    """What went wrong, and what to do next."""

    error: str
    hint: str | None


class ItemAnswer(Answer):
    """What policy says of one item of a request."""

    subject: str
    outcome: Literal["allow", "approval", "deny"]
    rule: str
    because: str


class PolicyAnswer(Answer):
    """What policy says of a request. `nearest` is a request that would be allowed: send it as it is."""

    outcome: Literal["allow", "approval", "deny"]
    rule: str
    because: str
    by: list[str]
    policy: str
    items: list[ItemAnswer]
    nearest: dict[str, Any] | None


class LossAnswer(Answer):
    """Records of a topic that a request deletes."""

    topic: str
    sentence: str


class PreviewAnswer(Answer):
    """What a request would come to; nothing was written."""

    policy: PolicyAnswer
    losses: list[LossAnswer]
    storage_bytes: int
    cost_per_month: float
    currency: str
    changes: list[str] | None
    impossible: str | None


class RequestAnswer(Answer):
    """A request. `waits_for` are the approvals that are missing, `losses` the records that it deletes, as named when it was sent."""

    id: str
    state: State
    kind: str
    subject: str
    team: str
    environment: str
    requester: str
    waits_for: list[str]
    approved_by: list[str]
    reason: str | None
    policy: PolicyAnswer
    losses: list[LossAnswer]
    created_at: float
    updated_at: float


class MoveAnswer(Answer):
    """One move of a request."""

    at: float
    actor: str
    before: State | None
    after: State
    reason: str | None


class HistoryAnswer(RequestAnswer):
    """A request with all its moves."""

    history: list[MoveAnswer]


class UseAnswer(Answer):
    """Somebody who uses a topic."""

    user: str
    team: str | None


class TopicAnswer(Answer):
    """A topic. Who uses it is null where that is not for the caller to know."""

    environment: str
    name: str
    team: str | None
    description: str | None
    tags: list[str]
    partitions: int
    replication: int | None
    retention_ms: int | None
    origin: str
    consumers: list[UseAnswer] | None
    producers: list[UseAnswer] | None


class SampleAnswer(Answer):
    """The newest records of a topic, the last one last. `masked`: personal data was hashed or redacted."""

    topic: str
    environment: str
    masked: bool
    partitions: int
    records: list[dict[str, Any]]


class CatalogAnswer(Answer):
    """Topics that were found, and how many there are in all."""

    total: int
    topics: list[TopicAnswer]


class GrantAnswer(Answer):
    """A grant: what a user may do with a topic, or a group."""

    id: str
    environment: str
    user: str
    field: Literal["produce", "consume", "groups"]
    name: str
    team: str | None
    owner: str | None
    state: str
    granted_at: float
    expires_at: float | None


class UserAnswer(Answer):
    """A Kafka user of a team."""

    environment: str
    name: str
    team: str | None
    principals: list[str]


class MineAnswer(Answer):
    """What a person's teams have, and what waits for this person."""

    teams: list[str]
    topics: list[TopicAnswer]
    users: list[UserAnswer]
    grants: list[GrantAnswer]
    open_requests: list[RequestAnswer]
    to_decide: list[RequestAnswer]


class UsageLine(Answer):
    """Bytes, bytes per second, or a count. `limit` null: none."""

    of: str
    used: float
    asked_for: float
    limit: float | None


class UsageAnswer(Answer):
    """What a team uses in one environment."""

    team: str
    environment: str
    lines: list[UsageLine]


class NoticeAnswer(Answer):
    """What a team was told."""

    at: float
    kind: str
    text: str
    channel: str
    state: str


class AuditAnswer(Answer):
    """Something that somebody did."""

    at: float
    actor: str
    what: str
    about: str
    reason: str | None


class RuleAnswer(Answer):
    """A rule of the policy."""

    name: str
    kinds: list[str]
    when: list[str]
    then: Literal["allow", "approval", "deny"]
    because: str | None


class PolicyDocument(Answer):
    """The policy as it is now."""

    version: str
    rules: list[RuleAnswer]


class CredentialsAnswer(Answer):
    """Credentials, this one time: client properties, or sealed for the key that was sent."""

    principal: str
    properties: str | None
    sealed: str | None


class RotatedAnswer(Answer):
    """The new Kafka user, and until when the old one goes on."""

    principal: str
    until: float


class AppliedAnswer(Answer):
    """How many requests of the queue are ready, and failed."""

    ready: int
    failed: int


class TokenAnswer(Answer):
    """A token, without its secret."""

    id: str
    person: str
    scope: Scope
    about: str | None
    made_by: str
    made_at: float
    expires_at: float
    used_at: float | None
    revoked_at: float | None


class NewTokenAnswer(Answer):
    """A new token with its secret, which is shown this one time."""

    token: TokenAnswer
    secret: str
