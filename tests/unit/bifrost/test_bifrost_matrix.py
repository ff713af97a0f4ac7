"""Every role, every action, own and other team: the function, the command line, the API and the pages give the same answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asgard.bifrost import identity
from asgard.bifrost.authorise import ACTIONS, Action, Decision, What, authorise
from asgard.bifrost.gate import Denied, NotFound
from asgard.bifrost.grants import what_of as what_of_grant
from asgard.bifrost.service import what_of as what_of_request
from asgard.cli import main as command_line
from asgard.core.errors import AsgardError
from tests.unit.bifrost.portal_world import ROLES, Things, World, portal

COMMANDS = command_line.load("bifrost")
OWNERS = {"orders": "linus", "payments": "ken"}
"""Whose token it is."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("ASGARD_BIFROST", str(tmp_path / "bifrost.yaml"))
    with portal(tmp_path, monkeypatch) as made:
        yield made


def calls(action: Action, it: Things) -> tuple[What, tuple[str, str, Any], tuple[str, str, Any]]:
    """What authorisation sees, the call of the API, and that of the page."""
    r, g, t = f"/requests/{it.request.id}", f"/grants/{it.grant.id}", f"/topics/{it.unowned}/claim"
    request, grant, team = what_of_request(it.request), what_of_grant(it.grant), What(it.team)
    name = f"{it.topic.name}.more"
    asked = {"team": it.team, "topics": [{"name": name}]}
    table: dict[Action, tuple[What, str, str, Any] | tuple[What, str, str, Any, str, Any]] = {
        "request.create": (team, "POST", "/requests", asked, "/ask/topic", {"team": it.team, "name": name}),
        "request.view": (request, "GET", r, None),
        "request.cancel": (request, "POST", f"{r}/cancel", {}),
        "request.retry": (request, "POST", f"{r}/retry", {}),
        "request.decide": (request, "POST", f"{r}/approve", {}),
        "credentials.take": (team, "POST", f"/users/{it.user}/credentials", {}),
        "credentials.rotate": (team, "POST", f"/users/{it.user}/rotate", {}),
        "grant.view": (grant, "GET", g, None),
        "grant.extend": (grant, "POST", f"{g}/extend", {"for": "30d"}),
        "grant.withdraw": (grant, "POST", f"{g}/withdraw", {}),
        "topic.view": (team, "GET", f"/topics/{it.topic.name}", None),
        "topic.sample": (team, "GET", f"/topics/{it.topic.name}/sample", None),
        "topic.claim": (What(None, in_namespace_of=it.team), "POST", t, {}),
        "usage.view": (team, "GET", f"/teams/{it.team}/usage", None, f"/teams/{it.team}", None),
        "catalog.view": (What(), "GET", "/catalog", None),
        "policy.view": (What(), "GET", "/policy", None),
        "audit.view": (team, "GET", f"/teams/{it.team}/audit", None),
        "notices.view": (team, "GET", f"/teams/{it.team}/notices", None),
        "apply.run": (What(), "POST", "/queue/apply", {}),
        "adopt.run": (What(), "POST", "/queue/adopt", {}),
        "leaver.run": (What(), "POST", "/leavers/somebody", {}),
        "token.create": (What(requester="?"), "POST", "/tokens", {}),
        "token.view": (What(requester=OWNERS[it.team]), "GET", "/tokens", None),
        "token.revoke": (What(requester=OWNERS[it.team]), "POST", f"/tokens/{it.token}/revoke", {}),
    }  # fmt: skip
    what, method, path, body, *page = table[action]
    page_path, page_body = page if page else (path, body)
    return what, (method, f"/api/v1{path}", body), (method, f"/bifrost{page_path}", page_body)


def wanted_of(decision: Decision, known: bool) -> str:
    return "yes" if decision.allowed else "hidden" if decision.hidden and known else "no"


def said(answer: Any) -> str:
    return {401: "login", 403: "no", 404: "hidden"}.get(answer.status_code, "yes")


def special(action: Action, answer: Any, it: Things, in_api: bool) -> str | None:
    """Where a page is for everybody, and the part of it that is asked about is not."""
    if answer.status_code != 200:
        return None
    if action == "topic.view":
        shown = answer.json["consumers"] is not None if in_api else "Who uses it" in answer.text
        return "yes" if shown else "not shown"
    if action == "token.view":
        return "yes" if it.token in answer.text else "not shown"
    return None


def typed(action: Action, it: Things) -> list[str]:
    """The same as somebody types it."""
    name = f"{it.topic.name}.typed"
    table: dict[Action, list[str]] = {
        "request.create": ["request", "topic", name, "--team", it.team, "--no-wait"],
        "request.view": ["requests", it.request.id],
        "request.cancel": ["cancel", it.request.id],
        "request.retry": ["retry", it.request.id, "--no-wait"],
        "request.decide": ["approve", it.request.id, "--no-wait"],
        "credentials.take": ["credentials", it.user, "--show"],
        "credentials.rotate": ["rotate", it.user],
        "grant.view": ["grants"],
        "grant.extend": ["extend", it.grant.id, "--for", "30d"],
        "grant.withdraw": ["withdraw", it.grant.id, "--yes"],
        "topic.view": ["topic", it.topic.name],
        "topic.sample": ["sample", it.topic.name],
        "topic.claim": ["claim", it.unowned],
        "usage.view": ["usage", "--team", it.team],
        "catalog.view": ["catalog"],
        "policy.view": ["policy", "test"],
        "audit.view": ["audit", "--team", it.team],
        "notices.view": ["notices", "--team", it.team],
        "apply.run": ["apply"],
        "adopt.run": ["adopt"],
        "leaver.run": ["leaver", "somebody", "--yes"],
        "token.create": ["token", "create"],
        "token.view": ["token", "list"],
        "token.revoke": ["token", "revoke", it.token],
    }
    return [*table[action], "--json"]


def typed_by(action: Action, it: Things, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command line says: yes, no, hidden, or that it is not shown."""
    capsys.readouterr()
    try:
        COMMANDS.main(typed(action, it), standalone_mode=False)
    except NotFound:
        return "hidden"
    except Denied:
        return "no"
    except AsgardError as error:
        return (
            "no" if "is not in bifrost.yaml" in error.what else "yes"
        )  # as the API: let in, and then there is no cluster
    shown = json.loads(capsys.readouterr().out)
    seen: dict[Action, Callable[[], bool]] = {
        "grant.view": lambda: it.grant.id in {g["id"] for g in shown},
        "topic.view": lambda: shown["entry"]["consumers"] is not None,
        "token.view": lambda: it.token in {t["id"] for t in shown},
    }
    return "yes" if action not in seen or seen[action]() else "hidden"


@pytest.mark.parametrize("role", ROLES)
def test_every_action_is_answered_alike(
    world: World, role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = ROLES[role]
    monkeypatch.setattr(identity, "caller", lambda: identity.Caller(name, delegated=True))
    who = world.gate.directory.actor(name)
    bearer = {"Authorization": f"Bearer {world.token(name)}"}
    client, csrf = world.logged_in(name)
    seen = []
    for team in ("orders", "payments"):
        it = world.things(team)
        for action in ACTIONS:
            what, (method, path, body), _ = calls(action, it)
            what = What(requester=name) if action == "token.create" else what
            wanted = wanted_of(authorise(who, action, what), who.known)
            got = world.app.test_client().open(path, method=method, json=body, headers=bearer)
            api = special(action, got, it, in_api=True) or said(got)
            assert got.status_code < 500, (action, got.text)
            it = world.things(team) if method == "POST" and api == "yes" else it
            _, _, (method, path, body) = calls(action, it)
            data = None if body is None else {**body, "csrf_token": csrf}
            page_got = client.open(path, method=method, data=data)
            page = special(action, page_got, it, in_api=False) or said(page_got)
            it = world.things(team) if method == "POST" and page == "yes" else it
            said_there = typed_by(action, it, capsys)
            it = world.things(team) if method == "POST" and said_there == "yes" else it
            if "not shown" in (api, page):
                api, page, wanted = (a.replace("not shown", "hidden") for a in (api, page, wanted))
            seen.append((action, team, wanted, api, page, said_there))
    wrong = [s for s in seen if len(set(s[2:])) > 1]
    assert wrong == [] and len(seen) == 2 * len(ACTIONS)


def test_guesses_of_other_teams_things_are_answered_like_what_is_not_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "caller", lambda: identity.Caller("linus", delegated=True))
    it = world.things("payments")
    told = []
    for values in ({}, {"request": replace(it.request, id="r-aaaaaaaaaa"), "grant": replace(it.grant, id="g-aaaaaaaaaa"),
                        "user": "payments.aaaaa", "token": "k-aaaaaaaaaa", "team": "nowhere"}):  # fmt: skip
        those = replace(it, **values)
        words = {those.request.id, those.grant.id, those.user, those.token, those.team}
        said = {}
        for action in ("request.view", "request.cancel", "request.retry", "request.decide", "credentials.take",
                       "credentials.rotate", "grant.extend", "grant.withdraw", "usage.view", "audit.view", "notices.view",
                       "token.revoke"):  # fmt: skip
            with pytest.raises(NotFound) as caught:
                COMMANDS.main(typed(action, those), standalone_mode=False)
            text = f"{caught.value.what} {caught.value.hint}"
            for word in sorted(words, key=len, reverse=True):
                text = text.replace(word, "ID")
            said[action] = text
        told.append(said)
    assert told[0] == told[1]


def test_what_somebody_decided_is_in_the_journal_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from asgard.journal import events
    from asgard.journal.store.database import open_journal

    it = world.things("orders")
    monkeypatch.setattr(identity, "caller", lambda: identity.Caller("edgar", delegated=True))
    COMMANDS.main(["reject", it.request.id], standalone_mode=False)
    with open_journal() as journal:
        told = [(e.kind, e.actor) for e in events.read(journal, events.EventFilter()) if e.correlation == it.request.id]
    assert told[-1] == ("bifrost.request.rejected", "edgar")
