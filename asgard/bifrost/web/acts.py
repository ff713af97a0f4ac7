"""Everything that changes something, defined once for the API and the pages: its action, its input, its answer.

`POST /api/v1/PATH` takes JSON and answers with JSON; `POST /bifrost/PATH` takes a form and goes back to a page with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asgard.bifrost import catalog, grants, service, tokens
from asgard.bifrost.authorise import Action
from asgard.bifrost.store.requests import Request
from asgard.bifrost.teams import Actor
from asgard.bifrost.web import answers, finders, models
from asgard.bifrost.web.guard import Finder, nothing
from asgard.bifrost.web.site import site

Run = Callable[[Actor, Any, dict[str, str]], Any]


@dataclass(frozen=True)
class Act:
    """One possible action. `said` makes the sentence for the page from the answer."""

    name: str
    action: Action
    path: str
    what: Finder
    body: type[models.Body]
    answer: Any
    run: Run
    said: Callable[[Any], str]
    about: str


def _moved(request: Request) -> models.RequestAnswer:
    if request.state == "approved":
        site().work.carry_out()
    return answers.request_of(request)


def _approve(who: Actor, body: models.ReasonBody, path: dict[str, str]) -> models.RequestAnswer:
    return _moved(service.decide(site().gate, who, path["request_id"], approve=True, reason=body.reason))


def _reject(who: Actor, body: models.ReasonBody, path: dict[str, str]) -> models.RequestAnswer:
    return _moved(service.decide(site().gate, who, path["request_id"], approve=False, reason=body.reason))


def _cancel(who: Actor, body: models.ReasonBody, path: dict[str, str]) -> models.RequestAnswer:
    return _moved(service.cancel(site().gate, who, path["request_id"], body.reason))


def _retry(who: Actor, _body: models.Body, path: dict[str, str]) -> models.RequestAnswer:
    return _moved(service.retry(site().gate, who, path["request_id"]))


def _send(who: Actor, body: models.SendBody, path: dict[str, str]) -> models.RequestAnswer:
    gate = site().gate
    draft, _ = service.view(gate, who, path["request_id"])
    losses = service.losses_of(gate, who, draft.ask)
    service.refuse_losses(losses, accepted=body.accept_losses)
    return _moved(service.submit_draft(gate, who, path["request_id"], losses=losses).request)


def _extend(who: Actor, body: models.ExtendBody, path: dict[str, str]) -> models.GrantAnswer:
    return answers.grant_of(*grants.extend(site().gate, who, path["grant_id"], body.lasts))


def _withdraw(who: Actor, _body: models.Body, path: dict[str, str]) -> models.GrantAnswer:
    ended = grants.withdraw(site().gate, who, path["grant_id"])
    site().work.carry_out()
    return answers.grant_of(*ended)


def _claim(who: Actor, body: models.ClaimBody, path: dict[str, str]) -> models.TopicAnswer:
    entry = catalog.claim(site().gate, who, path["name"], body.team, body.environment)
    site().work.carry_out()
    return answers.topic_of(entry)


def _take(who: Actor, body: models.CredentialsBody, path: dict[str, str]) -> models.CredentialsAnswer:
    with site().work.hand_over(site().gate, who, body.environment, path["user"], body.key) as handed:
        text = handed.properties
        plain, sealed = (None, text) if body.key else (text, None)
        return models.CredentialsAnswer(principal=handed.principal, properties=plain, sealed=sealed)


def _rotate(who: Actor, body: models.PlaceBody, path: dict[str, str]) -> models.RotatedAnswer:
    principal, until = site().work.rotate(site().gate, who, body.environment, path["user"])
    site().work.carry_out()
    return models.RotatedAnswer(principal=principal, until=until)


def _apply(who: Actor, body: models.PlaceBody, _path: dict[str, str]) -> models.AppliedAnswer:
    ready, failed = site().work.apply(site().gate, who, body.environment)
    return models.AppliedAnswer(ready=ready, failed=failed)


def _adopt(who: Actor, body: models.PlaceBody, _path: dict[str, str]) -> list[models.GrantAnswer]:
    where = site().gate.environment(body.environment).name
    return [answers.grant_of(where, g) for g in site().work.adopt(site().gate, who, where)]


def _leaver(who: Actor, _body: models.Body, path: dict[str, str]) -> list[models.GrantAnswer]:
    ended = grants.leaver(site().gate, who, path["person"])
    site().work.carry_out()
    return [answers.grant_of(e, g) for e, g in ended]


def _revoke(who: Actor, _body: models.Body, path: dict[str, str]) -> models.TokenAnswer:
    return answers.token_of(tokens.revoke(site().gate, who, path["token_id"]))


def _token(who: Actor, body: models.TokenBody, _path: dict[str, str]) -> models.NewTokenAnswer:
    token, secret = tokens.make(site().gate, who, scope=body.scope, lasts_s=body.lasts, about=body.about)
    return models.NewTokenAnswer(token=answers.token_of(token), secret=secret)


def _is(answer: Any) -> str:
    return f"{answer.id} is {answer.state}."


_R, _G, _B = models.RequestAnswer, models.GrantAnswer, models.Body
ACTS = (
    Act("approve", "request.decide", "/requests/<request_id>/approve", finders.a_request, models.ReasonBody, _R, _approve, _is,
        "Approve a request; with the last approval it is made."),
    Act("reject", "request.decide", "/requests/<request_id>/reject", finders.a_request, models.ReasonBody, _R, _reject, _is,
        "Reject a request."),
    Act("cancel", "request.cancel", "/requests/<request_id>/cancel", finders.a_request, models.ReasonBody, _R, _cancel, _is,
        "Take a request back."),
    Act("retry", "request.retry", "/requests/<request_id>/retry", finders.a_request, _B, _R, _retry, _is,
        "Try a request again that failed."),
    Act("send", "request.retry", "/requests/<request_id>/send", finders.a_request, models.SendBody, _R, _send, _is,
        "Send a draft off."),
    Act("extend", "grant.extend", "/grants/<grant_id>/extend", finders.a_grant, models.ExtendBody, _G, _extend,
        lambda a: f"{a.user} may {a.field} {a.name} for longer.", "Let a grant last longer, where policy allows it."),
    Act("withdraw", "grant.withdraw", "/grants/<grant_id>/withdraw", finders.a_grant, _B, _G, _withdraw,
        lambda a: f"{a.user} may not {a.field} {a.name} any more.", "End a grant now."),
    Act("claim", "topic.claim", "/topics/<name>/claim", finders.a_topic, models.ClaimBody, models.TopicAnswer, _claim,
        lambda a: f"{a.name} belongs to {a.team} now.", "Make a team the owner of a topic without an owner."),
    Act("take", "credentials.take", "/users/<user>/credentials", finders.a_user, models.CredentialsBody,
        models.CredentialsAnswer, _take, lambda a: a.principal, "Take the credentials of a user, once."),
    Act("rotate", "credentials.rotate", "/users/<user>/rotate", finders.a_user, models.PlaceBody, models.RotatedAnswer,
        _rotate, lambda a: f"{a.principal} is being made. Take its credentials when it is ready.",
        "Make new credentials beside the old ones."),
    Act("apply", "apply.run", "/queue/apply", nothing, models.PlaceBody, models.AppliedAnswer, _apply,
        lambda a: f"{a.ready} ready, {a.failed} failed.", "Carry out what is approved."),
    Act("adopt", "adopt.run", "/queue/adopt", nothing, models.PlaceBody, list[models.GrantAnswer], _adopt,
        lambda a: f"{len(a)} grants of the stack file were taken over.", "Take over the ACLs of the stack's own users."),
    Act("leaver", "leaver.run", "/leavers/<person>", finders.a_leaver, _B, list[models.GrantAnswer], _leaver,
        lambda a: f"{len(a)} grants ended.", "End the access to other teams' topics that a person asked for."),
    Act("new_token", "token.create", "/tokens", finders.own_tokens, models.TokenBody, models.NewTokenAnswer, _token,
        lambda a: a.token.id, "Make a token of your own."),
    Act("revoke_token", "token.revoke", "/tokens/<token_id>/revoke", finders.a_token, _B, models.TokenAnswer, _revoke,
        lambda a: f"{a.id} does not work any more.", "Revoke a token."),
)  # fmt: skip
