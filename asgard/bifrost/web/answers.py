"""Bifrost's data as the documents of `models`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from asgard.bifrost import service
from asgard.bifrost.ask import Ask
from asgard.bifrost.catalog import Entry, Mine, TeamUsage
from asgard.bifrost.desired import GrantRow, UserRow
from asgard.bifrost.estimate import cost
from asgard.bifrost.gate import Bifrost
from asgard.bifrost.notices import TeamNotice
from asgard.bifrost.policy.judge import Judgement
from asgard.bifrost.store.requests import Move, Request
from asgard.bifrost.teams import Actor
from asgard.bifrost.tokens import Token
from asgard.bifrost.trail import TrailEntry
from asgard.bifrost.web import models
from asgard.bifrost.web.site import RequestPreview, site


def policy_of(document: dict[str, Any]) -> models.PolicyAnswer:
    """What policy said, as it is in the store."""
    return models.PolicyAnswer.model_validate(document)


def losses_of(losses: Iterable[Mapping[str, Any]]) -> list[models.LossAnswer]:
    """The records that a request deletes."""
    return [models.LossAnswer(topic=loss["topic"], sentence=loss["sentence"]) for loss in losses]


def request_of(request: Request) -> models.RequestAnswer:
    """A request."""
    return models.RequestAnswer(**_request(request))


def history_of(request: Request, moves: list[Move]) -> models.HistoryAnswer:
    """A request with its moves."""
    found = [
        models.MoveAnswer(at=m.at, actor=m.actor, before=m.before, after=m.after, reason=m.reason)  # type: ignore[arg-type]
        for m in moves
    ]
    return models.HistoryAnswer(**_request(request), history=found)


def _request(r: Request) -> dict[str, Any]:
    return {
        "id": r.id,
        "state": r.state,
        "kind": r.kind,
        "subject": r.subject,
        "team": r.team,
        "environment": r.environment,
        "requester": r.requester,
        "waits_for": list(r.by),
        "approved_by": list(r.approved_by),
        "reason": r.reason,
        "policy": policy_of(r.judgement),
        "losses": losses_of(r.losses),
        "created_at": r.created_at,
        "updated_at": r.updated_at,
    }


def topic_of(e: Entry) -> models.TopicAnswer:
    """A topic."""

    def users(known: tuple[tuple[str, str | None], ...] | None) -> list[models.UseAnswer] | None:
        return None if known is None else [models.UseAnswer(user=u, team=t) for u, t in known]

    values = {**asdict(e), "tags": list(e.tags), "consumers": users(e.consumers), "producers": users(e.producers)}
    return models.TopicAnswer(**values)


def grant_of(environment: str, g: GrantRow) -> models.GrantAnswer:
    """A grant."""
    return models.GrantAnswer(
        id=g.id, environment=environment, user=g.user, field=g.field, name=g.name, team=g.team, owner=g.owner,
        state=g.state, granted_at=g.granted_at, expires_at=g.expires_at,
    )  # fmt: skip


def user_of(environment: str, u: UserRow) -> models.UserAnswer:
    """A Kafka user."""
    return models.UserAnswer(
        environment=environment, name=u.name, team=u.team, principals=list(u.principals) or [u.name]
    )


def mine_of(found: Mine) -> models.MineAnswer:
    """What a person's teams have."""
    return models.MineAnswer(
        teams=list(found.teams),
        topics=[topic_of(e) for e in found.topics],
        users=[user_of(e, u) for e, u in found.users],
        grants=[grant_of(e, g) for e, g in found.grants],
        open_requests=[request_of(r) for r in found.open_requests],
        to_decide=[request_of(r) for r in found.to_decide],
    )


def usage_of(found: list[TeamUsage]) -> list[models.UsageAnswer]:
    """What a team uses, by environment."""
    return [
        models.UsageAnswer(
            team=u.team,
            environment=u.environment,
            lines=[models.UsageLine(of=r, used=a, asked_for=b, limit=c) for r, a, b, c in u.lines()],
        )
        for u in found
    ]


def notice_of(n: TeamNotice) -> models.NoticeAnswer:
    """What a team was told."""
    return models.NoticeAnswer(at=n.created_at, kind=n.kind, text=n.text, channel=f"{n.team}[{n.place}]", state=n.state)


def step_of(s: TrailEntry) -> models.AuditAnswer:
    """An action of a person."""
    return models.AuditAnswer(at=s.at, actor=s.actor, what=s.what, about=s.about, reason=s.reason)


def token_of(t: Token) -> models.TokenAnswer:
    """A token."""
    return models.TokenAnswer(**asdict(t))


def preview_of(
    gate: Bifrost, who: Actor, ask: Ask, *, change: bool, losses: bool = True
) -> tuple[models.PreviewAnswer, Judgement]:
    """A preview of a request. `change`: with Odin's preview, `losses`: with the records it deletes; both take a moment."""
    site().work.sync(gate, ask.environment)
    judged = service.weigh(gate, who, ask)
    odin: RequestPreview | None = None
    if change and judged.outcome != "deny":
        odin = site().work.change(gate, who, service.completed(gate, who, ask))
    prices = gate.directory.costs
    answer = models.PreviewAnswer(
        policy=policy_of(judged.document()),
        losses=losses_of(service.losses_of(gate, who, ask)) if losses else [],
        storage_bytes=judged.usage.storage,
        cost_per_month=round(cost(judged.usage, prices), 2),
        currency=prices.currency,
        changes=None if odin is None else list(odin.lines),
        impossible=None if odin is None else odin.impossible,
    )
    return answer, judged
