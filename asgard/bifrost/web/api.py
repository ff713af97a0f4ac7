"""The REST API, below /api/v1: JSON in, JSON out, a bearer token with every call. It never looks at cookies, so it needs no CSRF token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, TypeAdapter, ValidationError

from asgard.bifrost import catalog, grants, notices, read, service, tokens, trail
from asgard.bifrost.ask import Ask
from asgard.bifrost.authorise import Action
from asgard.bifrost.teams import Actor
from asgard.bifrost.web import answers, finders, models
from asgard.bifrost.web.acts import ACTS, Act
from asgard.bifrost.web.guard import Finder, csrf, guarded, nothing
from asgard.bifrost.web.site import plain, site
from asgard.core.errors import WrongUsage
from asgard.core.schema.bifrost import RequestFile

api = Blueprint("api", __name__, url_prefix="/api/v1")
csrf.exempt(api)


@dataclass(frozen=True)
class Look:
    """One thing to look at. `query` names its parameters, each with its description."""

    name: str
    action: Action
    path: str
    what: Finder
    answer: Any
    get: Callable[[Actor, dict[str, str]], Any]
    about: str
    query: tuple[tuple[str, dict[str, Any], str], ...] = ()


_ENVIRONMENT = ("environment", {"type": "string"}, "The first one by default.")
_LIMIT = ("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "At most so many.")


def whole(name: str, default: int, most: int = 1000) -> int:
    """A number of the query. Raises WrongUsage."""
    text = request.args.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or not 1 <= int(text) <= most:
        raise WrongUsage(f"{name} is {text[:40]!r}; allowed is a whole number from 1 to {most}")
    return int(text)


def _catalog(who: Actor, _path: dict[str, str]) -> models.CatalogAnswer:
    found = catalog.catalog(site().gate, who, request.args.get("search", ""))
    at, limit = whole("page", 1, 100_000) - 1, whole("limit", 100)
    return models.CatalogAnswer(
        total=len(found), topics=[answers.topic_of(e) for e in found[at * limit : (at + 1) * limit]]
    )


def _topic(who: Actor, path: dict[str, str]) -> models.TopicAnswer:
    return answers.topic_of(catalog.topic(site().gate, who, path["name"], plain(request.args.get("environment"))))


def _policy(_who: Actor, _path: dict[str, str]) -> models.PolicyDocument:
    policy = site().gate.policy
    rules = [
        models.RuleAnswer(
            name=r.name, kinds=list(r.kinds), when=[c.text for c in r.when], then=r.then, because=r.because
        )
        for r in policy.rules
    ]
    return models.PolicyDocument(version=policy.version, rules=rules)


def _notices(_who: Actor, path: dict[str, str]) -> list[models.NoticeAnswer]:
    with site().gate.store.read() as connection:
        return [answers.notice_of(n) for n in notices.listed(connection, [path["team"]])[-whole("limit", 100) :]]


def _requests(who: Actor, _path: dict[str, str]) -> list[models.RequestAnswer]:
    return [answers.request_of(r) for r in service.requests(site().gate, who, last=whole("limit", 100))]


LOOKS = (
    Look("mine", "catalog.view", "/mine", nothing, models.MineAnswer,
         lambda who, _p: answers.mine_of(catalog.mine(site().gate, who)), "What your teams have, and what waits for you."),
    Look("catalog", "catalog.view", "/catalog", nothing, models.CatalogAnswer, _catalog, "Find topics.",
         (("search", {"type": "string", "maxLength": 500}, "Words to look for."), _LIMIT,
          ("page", {"type": "integer", "minimum": 1, "maximum": 100_000, "default": 1}, "From 1."))),
    Look("topic", "catalog.view", "/topics/<name>", nothing, models.TopicAnswer, _topic, "One topic.", (_ENVIRONMENT,)),
    Look("sample", "topic.sample", "/topics/<name>/sample", finders.a_sampled_topic, models.SampleAnswer,
         lambda who, p: site().work.sample(site().gate, who, p["name"], finders.environment_asked(site().gate)),
         "A few records of a topic, masked, where bifrost.yaml allows it.", (_ENVIRONMENT,)),
    Look("unowned", "catalog.view", "/unowned", nothing, list[models.TopicAnswer],
         lambda who, _p: [answers.topic_of(e) for e in catalog.unowned(site().gate, who)], "Topics without an owner."),
    Look("policy", "policy.view", "/policy", nothing, models.PolicyDocument, _policy, "The policy as it is now."),
    Look("requests", "catalog.view", "/requests", nothing, list[models.RequestAnswer], _requests,
         "The requests that you may see, oldest first.", (_LIMIT,)),
    Look("request", "request.view", "/requests/<request_id>", finders.a_request, models.HistoryAnswer,
         lambda who, p: answers.history_of(*service.view(site().gate, who, p["request_id"])), "One request with its history."),
    Look("grants", "catalog.view", "/grants", nothing, list[models.GrantAnswer],
         lambda who, _p: [answers.grant_of(e, g) for e, g in grants.grants(site().gate, who)], "The grants that you may see."),
    Look("grant", "grant.view", "/grants/<grant_id>", finders.a_grant, models.GrantAnswer,
         lambda who, p: answers.grant_of(*grants.find(site().gate, who, p["grant_id"])), "One grant."),
    Look("usage", "usage.view", "/teams/<team>/usage", finders.a_team, list[models.UsageAnswer],
         lambda who, p: answers.usage_of(catalog.usage(site().gate, who, p["team"])), "What a team uses of its budget."),
    Look("audit", "audit.view", "/teams/<team>/audit", finders.a_team, list[models.AuditAnswer],
         lambda who, p: [answers.step_of(s) for s in trail.trail(site().gate, who, p["team"], last=whole("limit", 100))],
         "Who did what in a team, newest first.", (_LIMIT,)),
    Look("notices", "notices.view", "/teams/<team>/notices", finders.a_team, list[models.NoticeAnswer], _notices,
         "What a team was told.", (_LIMIT,)),
    Look("tokens", "token.view", "/tokens", finders.own_tokens, list[models.TokenAnswer],
         lambda who, _p: [answers.token_of(t) for t in tokens.listed(site().gate, who)], "The tokens that you may see."),
)  # fmt: skip


def body_of(model: type[models.Body], values: Any) -> Any:
    """A body, checked. Raises WrongUsage with every problem."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc'])) or 'the body'}: {e['msg']}" for e in error.errors()]
        raise WrongUsage("\n".join(problems)) from error


def answered(kind: Any, value: Any, status: int = 200) -> Response:
    """An answer of a model, or a list of them."""
    plain_value = (
        value.model_dump(mode="json") if isinstance(value, BaseModel) else TypeAdapter(kind).dump_python(value)
    )
    answer = jsonify(plain_value)
    answer.status_code = status
    return answer


def _json() -> Any:
    if not request.get_data(cache=True):
        return {}
    values = request.get_json(silent=True)
    if not isinstance(values, dict):
        raise WrongUsage("the body is no JSON object", "Content-Type: application/json, and {…} as the body.")
    return values


def _add_look(look: Look) -> None:
    @guarded(look.action, look.what)
    def view(who: Actor, **path: str) -> Response:
        return answered(look.answer, look.get(who, path))

    api.add_url_rule(look.path, look.name, view, methods=["GET"])


def _add_act(act: Act) -> None:
    @guarded(act.action, act.what)
    def view(who: Actor, **path: str) -> Response:
        return answered(act.answer, act.run(who, body_of(act.body, _json()), path))

    api.add_url_rule(act.path, f"do_{act.name}", view, methods=["POST"])


def _asked() -> Ask:
    return of_size(read.request_of(_json()))


def of_size(wanted: Ask) -> Ask:
    """The same request. Raises WrongUsage if it asks for too many things at once; each topic that a new user reads is one."""
    count = sum(1 for _ in wanted.items())
    if count > 500:
        raise WrongUsage(f"the request asks for {count} things; allowed are 500 in one request")
    return wanted


def _flag(name: str) -> bool:
    return request.args.get(name) == "true"


def ask(who: Actor) -> Response:
    """Ask for something: policy answers at once, and what it allows is made. What would delete records needs accept_losses."""
    wanted, gate, draft = _asked(), site().gate, _flag("draft")
    site().work.sync(gate, wanted.environment)
    losses = service.losses_of(gate, who, wanted)
    service.refuse_losses(losses, accepted=draft or _flag("accept_losses"))
    sent = service.submit(gate, who, wanted, draft=draft, losses=losses)
    if sent.request.state == "approved":
        site().work.carry_out()
    return answered(models.RequestAnswer, answers.request_of(sent.request), 200 if sent.again else 201)


def preview(who: Actor) -> Response:
    """What a request would come to: policy's answer, storage, cost, and with change=true Odin's preview. Nothing is written."""
    answer, _ = answers.preview_of(site().gate, who, _asked(), change=_flag("change"))
    return answered(models.PreviewAnswer, answer)


def _add_asking() -> None:
    api.add_url_rule("/requests", "do_ask", guarded("request.create", finders.own_team)(ask), methods=["POST"])
    api.add_url_rule("/preview", "do_preview", guarded("request.create", finders.own_team)(preview), methods=["POST"])


for _look in LOOKS:
    _add_look(_look)
for _act in ACTS:
    _add_act(_act)
_add_asking()
ASKING = (
    (ask, "/requests", models.RequestAnswer, ("draft", "accept_losses")),
    (preview, "/preview", models.PreviewAnswer, ("change",)),
)
REQUEST_BODY = RequestFile
