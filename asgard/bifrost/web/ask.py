"""The pages that change something: request forms with policy's answer, one click to the nearest request, and all of `acts`."""

from __future__ import annotations

import json
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for

from asgard.bifrost import read, service
from asgard.bifrost.ask import Ask, as_request
from asgard.bifrost.authorise import Action, authorise
from asgard.bifrost.gate import NotFound
from asgard.bifrost.policy.judge import Judgement
from asgard.bifrost.store import requests as stored
from asgard.bifrost.store.requests import Request
from asgard.bifrost.teams import Actor
from asgard.bifrost.web import acts, answers, finders, forms, models, show
from asgard.bifrost.web.api import body_of, of_size
from asgard.bifrost.web.guard import guarded
from asgard.bifrost.web.login import inside
from asgard.bifrost.web.portal import portal
from asgard.bifrost.web.site import site
from asgard.core.errors import AsgardError, InvalidFile, WrongUsage
from asgard.core.pages.parts import Command, Field, Link, Notice, Part, Verdict

MOVING = ("pending", "approved", "applying")


def _ask_of(kind: str, given: Any) -> Ask:
    document = forms.document(kind, given)
    defaults = {"team": given.get("team"), "environment": given.get("environment")}
    if isinstance(document, str):
        return of_size(read.request(document, "request", {k: v for k, v in defaults.items() if v}))
    return of_size(read.request_of(document))


@portal.get("/ask")
@guarded("request.create", finders.own_team)
def ask_first(who: Actor) -> Any:
    """What to ask for."""
    return redirect(url_for("portal.ask", kind="topic"))


@portal.get("/ask/<kind>")
@guarded("request.create", finders.own_team)
def ask(who: Actor, kind: str) -> str:
    """A form."""
    return _form(who, kind, request.args.to_dict(), {}, [], {})


@portal.post("/ask/<kind>")
@guarded("request.create", finders.own_team)
def ask_send(who: Actor, kind: str) -> Any:
    """What was filled in: sent off, or previewed with Odin."""
    _known(kind)
    given = request.form.to_dict()
    try:
        wanted = _ask_of(kind, given)
        if given.get("do") == "preview":
            answer, judged = answers.preview_of(site().gate, who, wanted, change=True)
            return _form(who, kind, given, {}, [], _said(answer, judged))
        return _submitted(who, wanted)
    except InvalidFile as error:
        at_field, besides = forms.wrong_fields(error)
        return _form(who, kind, given, at_field, besides, {}), 422


@portal.post("/ask/<kind>/answer")
@guarded("request.create", finders.own_team)
def answer(who: Actor, kind: str) -> str:
    """What policy says about the form in its current state: requested while it is being filled in."""
    _known(kind)
    try:
        said, judged = answers.preview_of(
            site().gate, who, _ask_of(kind, request.form.to_dict()), change=False, losses=False
        )
    except InvalidFile as error:
        return render_template("bifrost/answer.html", said=None, problems=forms.wrong_fields(error)[1])
    except WrongUsage as error:
        return render_template("bifrost/answer.html", said=None, problems=[error.what])
    return render_template("bifrost/answer.html", **_said(said, judged))


@portal.post("/send")
@guarded("request.create", finders.own_team)
def send(who: Actor) -> Any:
    """A whole request, as the nearest one that passes."""
    try:
        values = json.loads(request.form.get("request", ""))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise WrongUsage("that is not a request")
    return _submitted(
        who,
        of_size(read.request_of(values)),
        instead_of=request.form.get("instead_of"),
        accepted="accept_losses" in request.form,
    )


def _submitted(who: Actor, wanted: Ask, *, instead_of: str | None = None, accepted: bool = False) -> Any:
    """Send a request; one that deletes records is shown first, with what it deletes."""
    gate = site().gate
    site().work.sync(gate, wanted.environment)
    losses = service.losses_of(gate, who, wanted)
    if losses and not accepted:
        hidden = {"request": json.dumps({**as_request(wanted), **({"token": wanted.token} if wanted.token else {})}),
                  "accept_losses": "true", **({"instead_of": instead_of} if instead_of else {})}  # fmt: skip
        told = Verdict("Records go", "This deletes records", "bad", [str(loss["sentence"]) for loss in losses])
        return render_template("bifrost/confirm.html", title="Ask", told=told, hidden=hidden)
    if instead_of is not None:
        # A waiting request keeps its names: it is cancelled, so that the nearer one can have them.
        old, _ = service.view(gate, who, instead_of)
        if old.state == "pending":
            service.cancel(gate, who, instead_of, "the nearest request that passes was asked for instead")
    sent = service.submit(gate, who, wanted, losses=losses)
    if sent.request.state == "approved":
        site().work.carry_out()
    return redirect(url_for("portal.request_page", request_id=sent.request.id), 303)


def _known(kind: str) -> None:
    if kind not in forms.KINDS:
        raise NotFound("there is no such page")


def _form(who: Actor, kind: str, given: dict[str, str], wrong: dict[str, str], errors: list[str], said: Any) -> str:
    _known(kind)
    teams = [team for team, _ in who.teams]
    environments = [e.name for e in site().gate.directory.environments]
    fields = forms.fields(kind, teams, environments, given, wrong)
    kinds = [Link(text, url_for("portal.ask", kind=k), k == kind) for k, (text, _) in forms.KINDS.items()]
    return render_template(
        "bifrost/ask.html", title="Ask", kind=kind, kinds=kinds, about=forms.KINDS[kind][1], fields=fields, errors=errors,
        **{"said": None, "problems": [], **said},
    )  # fmt: skip


def _said(answer: models.PreviewAnswer, judged: Judgement) -> dict[str, Any]:
    parts: list[Part] = []
    if answer.impossible:
        parts.append(Notice(f"It can't be made as it is: {answer.impossible}", "bad"))
    if answer.changes:
        parts.append(Command("\n".join(answer.changes), "What Odin would change"))
    parts.append(show.estimate(answer))
    if len(judged.items) > 1:
        parts.append(show.items(answer.policy))
    return {"said": answer, "verdict": show.policy(judged), "parts": parts, **_nearest(judged.nearest)}


def _nearest(nearest: Ask | dict[str, Any] | None) -> dict[str, Any]:
    if nearest is None:
        return {"nearest": None}
    document = as_request(nearest) if isinstance(nearest, Ask) else nearest
    return {"nearest": json.dumps(document, ensure_ascii=False), "nearest_text": forms.pretty(document)}


@portal.get("/requests/<request_id>")
@guarded("request.view", finders.a_request)
def request_page(who: Actor, request_id: str) -> str:
    """A request, live."""
    found, moves = service.view(site().gate, who, request_id)
    return render_template(
        "bifrost/request.html", title=f"Request {found.id}", may=_may(who, found), moving=found.state in MOVING,
        reason=Field("reason", "Reason"), **_shown(who, found, moves),
    )  # fmt: skip


@portal.get("/requests/<request_id>/parts")
@guarded("request.view", finders.a_request)
def request_parts(who: Actor, request_id: str) -> str:
    """The part of it that changes."""
    return render_template("bifrost/request_parts.html", **_shown(who, *service.view(site().gate, who, request_id)))


@portal.get("/requests/<request_id>/events")
@guarded("request.view", finders.a_request)
def request_events(who: Actor, request_id: str) -> Response:
    """Server-sent events: the request moved."""
    here = site()
    if not here.streams.take():
        return Response("every stream is in use", 503, {"Retry-After": "60"}, mimetype="text/plain")

    def look() -> tuple[int, bool]:
        with here.gate.store.read() as connection:
            found = stored.get(connection, request_id)
        return found.version, found.state in MOVING

    answer = Response(here.streams.events(look), mimetype="text/event-stream", headers={"X-Accel-Buffering": "no"})
    answer.call_on_close(here.streams.give_back)
    return answer


def _may(who: Actor, found: Request) -> dict[str, bool]:
    def can(action: Action, states: tuple[str, ...]) -> bool:
        return found.state in states and authorise(who, action, service.what_of(found)).allowed

    return {
        "decide": can("request.decide", ("pending",)),
        "cancel": can("request.cancel", ("draft", "pending", "approved", "failed")),
        "send": can("request.retry", ("draft",)),
    }


def _shown(who: Actor, found: Request, moves: Any) -> dict[str, Any]:
    policy = answers.policy_of(found.judgement)
    mine = who.role_in(found.team) is not None
    ended = found.state in ("rejected", "failed", "cancelled", "expired")
    why = found.reason if ended and found.reason else f"{policy.because}." if found.state != "ready" else ""
    lost = [str(loss["sentence"]) for loss in found.losses]
    by = f"It waits for {' and '.join(found.by)}." if found.state == "pending" else ""
    state = Verdict(
        found.state.capitalize(), f"{found.kind} {found.subject}", show.TONES.get(found.state, "plain"),
        [s for s in (why, *lost, by, f"Asked for by {found.requester} of {found.team}, on {found.environment}.") if s],
    )  # fmt: skip
    parts: list[Part] = [show.items(policy), Command(forms.pretty(as_request(found.ask)), "What was asked for"), show.history(moves)]  # fmt: skip
    cancels = authorise(who, "request.cancel", service.what_of(found)).allowed
    offered = policy.nearest if mine and (found.state == "rejected" or (found.state == "pending" and cancels)) else None
    return {
        "request": found,
        "state": state,
        "parts": parts,
        "retry": found.state == "failed" and authorise(who, "request.retry", service.what_of(found)).allowed,
        "take": [u.name for u in found.ask.users] if found.state == "ready" and mine else [],
        **_nearest(offered),
    }


@portal.post("/leavers")
@guarded("leaver.run")
def leaver(who: Actor) -> Any:
    """A person left; the form names them."""
    return _done("leaver", who, {"person": request.form.get("person", "").strip()})


@portal.post("/users/<user>/credentials")
@guarded("credentials.take", finders.a_user)
def take(who: Actor, user: str) -> str:
    """Credentials, once: on this page and nowhere else."""
    act = _BY_NAME["take"]
    answer = act.run(who, body_of(act.body, _filled()), {"user": user})
    where = finders.environment_asked(site().gate)
    return render_template(
        "bifrost/secret.html", title=f"Credentials of {answer.principal}", label="client.properties",
        secret=answer.properties or answer.sealed, back=url_for("portal.user", user=user, environment=where),
        warning="They are shown this one time. Copy them now: they are gone when this page is loaded again.",
    )  # fmt: skip


@portal.post("/tokens")
@guarded("token.create", finders.own_tokens)
def new_token(who: Actor) -> str:
    """A token, once."""
    act = _BY_NAME["new_token"]
    answer = act.run(who, body_of(act.body, _filled()), {})
    return render_template(
        "bifrost/secret.html", title=f"Token {answer.token.id}", label="Token", secret=answer.secret,
        back=url_for("portal.tokens_page"), warning="It is shown this one time. Copy it now.",
    )  # fmt: skip


_BY_NAME = {act.name: act for act in acts.ACTS}
_OWN_PAGE = ("take", "new_token")


def _filled() -> dict[str, str]:
    known = request.form.to_dict()
    if "environment" not in known and request.args.get("environment"):
        known["environment"] = request.args["environment"]
    return {k: v.strip() for k, v in known.items() if k not in ("csrf_token", "back", "person") and v.strip()}


def _done(name: str, who: Actor, path: dict[str, str]) -> Any:
    act = _BY_NAME[name]
    back = request.form.get("back") or (
        url_for("portal.request_page", request_id=path["request_id"]) if "request_id" in path else None
    )
    try:
        answer = act.run(who, body_of(act.body, _filled()), path)
    except AsgardError as error:
        if back is None:
            raise
        from asgard.bifrost.web.guard import status_of

        if status_of(error) in (403, 404):
            raise
        flash(f"{error.what} {error.hint or ''}".strip(), "bad")
        return redirect(inside(back), 303)
    flash(act.said(answer), "good")
    return redirect(inside(back), 303)


def _add(act: acts.Act) -> None:
    @guarded(act.action, act.what)
    def view(who: Actor, **path: str) -> Any:
        return _done(act.name, who, path)

    portal.add_url_rule(act.path, f"do_{act.name}", view, methods=["POST"])


for _act in acts.ACTS:
    if _act.name not in _OWN_PAGE:
        _add(_act)
