"""The portal and its API without a browser: nothing open, nothing leaked."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from asgard.bifrost import tokens
from asgard.bifrost.web import guard, models, show
from tests.unit.bifrost.portal_world import SECRET_WORD, SHIPPED, World, csrf_of, portal


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with portal(tmp_path, monkeypatch) as made:
        yield made


def test_nothing_is_served_without_authorisation(world: World) -> None:
    assert guard.unguarded(world.app) == []
    world.app.view_functions["api.mine"] = lambda: "open"
    assert guard.unguarded(world.app) == ["api.mine"]
    assert world.app.test_client().get("/api/v1/mine").status_code == 404, "and it would not be answered"


def test_every_route_asks_for_a_login_first(world: World) -> None:
    client = world.app.test_client()
    open_ones = set()
    for rule in world.app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "x", rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            answer = client.open(path, method=method)
            if rule.rule.startswith("/api/") and answer.status_code == 401:
                continue
            if answer.status_code == 303 and answer.headers["Location"].startswith("/login"):
                continue
            if answer.status_code == 400 and method == "POST":
                continue  # without the token of a form it is not even looked at
            open_ones.add(rule.rule)
    assert open_ones == {
        "/", "/login", "/api/v1/openapi.json", "/asgard-pages/<path:filename>", "/bifrost/static/<path:filename>",
    }  # fmt: skip


def test_guesses_of_other_teams_things_are_answered_like_what_is_not_there(world: World) -> None:
    it = world.things("payments")
    client, csrf = world.logged_in("linus")
    bearer = {"Authorization": f"Bearer {world.token('linus')}"}
    pairs = [
        (f"/requests/{it.request.id}", "/requests/r-aaaaaaaaaa"), (f"/grants/{it.grant.id}", "/grants/g-aaaaaaaaaa"),
        (f"/teams/{it.team}/audit", "/teams/nowhere/audit"), (f"/teams/{it.team}/notices", "/teams/nowhere/notices"),
    ]  # fmt: skip
    posts = [
        (f"/requests/{it.request.id}/approve", "/requests/r-aaaaaaaaaa/approve"),
        (f"/grants/{it.grant.id}/withdraw", "/grants/g-aaaaaaaaaa/withdraw"),
        (f"/users/{it.user}/credentials", "/users/payments.aaaaa/credentials"),
        (f"/tokens/{it.token}/revoke", "/tokens/k-aaaaaaaaaa/revoke"),
    ]
    for there, nowhere in pairs + posts:
        told = []
        for path in (there, nowhere):
            method = "POST" if (there, nowhere) in posts else "GET"
            body = {"for": "1d"} if "extend" in path else {}
            one = client.open(f"/bifrost{path}", method=method, data={**body, "csrf_token": csrf})
            two = client.open(f"/api/v1{path}", method=method, json=body, headers=bearer)
            names = path.split("/")
            plain = [re.sub("|".join(map(re.escape, names[2:3])), "ID", a.text) for a in (one, two)]
            plain[0] = re.sub(r'value="[^"]+"', "", plain[0])
            told.append((one.status_code, two.status_code, sorted(one.headers.keys()), *plain))
        assert told[0] == told[1] and told[0][0] == 404, there
    for path in ("/mine", "/requests", "/grants", "/tokens", "/catalog", "/approvals"):
        assert SECRET_WORD not in client.get(f"/bifrost{path}").text, path
        assert SECRET_WORD not in client.get(f"/api/v1{path}", headers=bearer).text, path


def test_a_post_without_the_forms_token_changes_nothing(world: World) -> None:
    it = world.things("orders")
    client, _ = world.logged_in("edgar")
    for data in ({}, {"csrf_token": "forged"}):
        assert client.post(f"/bifrost/requests/{it.request.id}/approve", data=data).status_code == 400
    answer = client.post(f"/api/v1/requests/{it.request.id}/approve", json={})
    assert answer.status_code == 401, "the API does not look at cookies"


def test_tokens_end_with_their_sessions(world: World) -> None:
    linus = world.gate.directory.actor("linus")
    made, secret = tokens.make(world.gate, linus, scope="full", lasts_s=100)
    client = world.app.test_client()
    client.post("/login", data={"token": secret, "csrf_token": csrf_of(client.get("/login").text)})
    assert client.get("/bifrost/mine").status_code == 200
    tokens.revoke(world.gate, linus, made.id)
    assert client.get("/bifrost/mine").status_code == 303
    bearer = {"Authorization": f"Bearer {secret}"}
    assert client.get("/api/v1/mine", headers=bearer).status_code == 401
    for wrong in ("", "Bearer", "Bearer x", f"Bearer {secret}x", f"Basic {secret}", "Bearer asgard.k-x.y"):
        assert client.get("/api/v1/mine", headers={"Authorization": wrong}).status_code == 401
    _, short = tokens.make(world.gate, linus, scope="full", lasts_s=1e-3)
    time.sleep(0.01)
    assert tokens.of_secret(world.gate, short) is None


def test_a_token_reaches_as_far_as_its_scope(world: World) -> None:
    it = world.things("orders")
    asked = {"topics": [{"name": "orders.scoped"}]}
    answers = {}
    for scope in tokens.SCOPES:
        bearer = {"Authorization": f"Bearer {world.token('linus', scope)}"}
        client = world.app.test_client()
        answers[scope] = [
            client.get("/api/v1/mine", headers=bearer).status_code,
            client.post("/api/v1/requests", json=asked, headers=bearer).status_code,
            client.post(f"/api/v1/grants/{it.grant.id}/withdraw", json={}, headers=bearer).status_code,
            client.post("/api/v1/tokens", json={}, headers=bearer).status_code,
        ]
        world.gate.directory.actor("linus")
    assert answers == {"read": [200, 403, 403, 403], "request": [200, 201, 403, 403], "full": [200, 201, 200, 200]}


def test_the_store_keeps_no_secret_of_a_token(world: World, tmp_path: Path) -> None:
    secret = world.token("linus")
    client, _ = world.logged_in("linus")
    client.get("/bifrost/mine")
    kept = b"".join(f.read_bytes() for f in tmp_path.rglob("*") if f.is_file() and f.name != "portal")
    assert secret.rsplit(".", 1)[1].encode() not in kept and secret.split(".")[1].encode() in kept


def test_a_proxy_is_believed_at_its_address_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asgard.bifrost.web.site import Proxy

    with portal(tmp_path, monkeypatch, proxy=Proxy(("10.0.0.9",), "X-Person"), url="https://portal.example") as world:
        client = world.app.test_client()

        def call(address: str, **headers: str) -> int:
            told = {k.replace("_", "-"): v for k, v in headers.items()}
            environ = {"REMOTE_ADDR": address}
            answer = client.get(
                "/bifrost/mine", base_url="https://portal.example", headers=told, environ_overrides=environ
            )
            return int(answer.status_code)

        assert call("10.0.0.9", X_Person="linus") == 200
        assert call("10.0.0.9", X_Person="mallory") == 303
        assert call("10.0.0.8", X_Person="linus") == 303
        assert call("10.0.0.8", X_Person="linus", X_Forwarded_For="10.0.0.9") == 303
    with portal(tmp_path, monkeypatch) as world:
        assert world.app.test_client().get("/bifrost/mine", headers={"X-Person": "linus"}).status_code == 303


def test_the_api_does_not_believe_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asgard.bifrost.web.site import Proxy

    with portal(tmp_path, monkeypatch, proxy=Proxy(("10.0.0.9",), "X-Person"), url="https://portal.example") as world:
        client = world.app.test_client()
        name = "orders.forged"

        def post(**headers: str) -> int:
            answer = client.post(
                "/api/v1/requests",
                base_url="https://portal.example",
                json={"topics": [{"name": name}]},
                headers={"X-Person": "linus", **headers},
                environ_overrides={"REMOTE_ADDR": "10.0.0.9"},
            )
            return int(answer.status_code)

        assert post() == 401, "another site's form, sent by a browser that the proxy logged in"
        assert post(Authorization=f"Bearer {world.token('linus')}") == 201


def test_headers_and_cookies_are_those_of_a_careful_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with portal(tmp_path, monkeypatch, url="https://portal.example") as world:
        client = world.app.test_client()
        answer = client.get("/login?next=%0d%0aX-Evil:%201", base_url="https://portal.example")
        cookie = answer.headers["Set-Cookie"]
        assert (
            cookie.startswith("__Host-asgard=")
            and "Secure" in cookie
            and "HttpOnly" in cookie
            and "SameSite=Lax" in cookie
        )
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "unsafe" not in answer.headers["Content-Security-Policy"] and "X-Evil" not in answer.headers
        assert answer.headers["Strict-Transport-Security"] and answer.headers["Cache-Control"] == "no-store"
        assert client.get("/login", base_url="https://evil.example").status_code == 400, "another host's name"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/x\r\nX-Evil: 1", "javascript:alert(1)"])  # fmt: skip
def test_a_login_leads_nowhere_else(world: World, target: str) -> None:
    client = world.app.test_client()
    csrf = csrf_of(client.get("/login").text)
    answer = client.post(
        "/login", query_string={"next": target}, data={"token": world.token("linus"), "csrf_token": csrf}
    )
    assert answer.headers["Location"] == "/bifrost/mine" and "X-Evil" not in answer.headers


def test_logins_are_limited(world: World) -> None:
    client = world.app.test_client()
    csrf = csrf_of(client.get("/login").text)
    tried = [client.post("/login", data={"token": f"asgard.k.{i}", "csrf_token": csrf}).status_code for i in range(12)]
    assert tried[:10] == [403] * 10 and tried[10:] == [429] * 2


def test_no_way_takes_too_many_things_at_once(world: World) -> None:
    client, csrf = world.logged_in("linus")
    text = "topics:\n" + "".join(f"- {{name: orders.t{n}}}\n" for n in range(501))
    for path in ("", "/answer"):
        answer = client.post(f"/bifrost/ask/bundle{path}", data={"file": text, "csrf_token": csrf})
        assert "the request asks for 501 things; allowed are 500" in answer.text, path
    many = {"users": [{"name": "orders.u", "consume": [f"orders.t{n}" for n in range(500)]}]}
    bearer = {"Authorization": f"Bearer {world.token('linus')}"}
    for path in ("requests", "preview"):
        refused = world.app.test_client().post(f"/api/v1/{path}", json=many, headers=bearer)
        assert refused.status_code == 422 and "asks for 501 things" in refused.json["error"]


def test_a_grant_of_the_stack_file_has_no_button_to_withdraw_it(world: World) -> None:
    it = world.things("orders")
    client, _ = world.logged_in("ada")
    path = f"/bifrost/grants/{it.grant.id}"
    assert "Withdraw it" in client.get(path).text
    world.put(replace(it.grant, origin="adopted"))
    page = client.get(path).text
    assert "Withdraw it" not in page and "the stack file" in page


def test_the_nearest_request_is_one_click_away(world: World) -> None:
    client, csrf = world.logged_in("linus")
    sent = client.post("/bifrost/ask/topic", data={"name": "created", "partitions": "3", "csrf_token": csrf})
    page = client.get(sent.headers["Location"]).text
    assert "Rejected" in page and "Ask for this instead" in page
    from html import unescape

    nearest = unescape(re.search(r'name="request" value="([^"]+)"', page)[1])  # type: ignore[index]
    again = client.post("/bifrost/send", data={"request": nearest, "csrf_token": csrf})
    assert "Approved" in client.get(again.headers["Location"]).text
    waits = client.post("/bifrost/ask/topic", data={"name": "orders.big", "partitions": "48", "csrf_token": csrf})
    page = client.get(waits.headers["Location"]).text
    nearest = unescape(re.search(r'name="request" value="([^"]+)"', page)[1])  # type: ignore[index]
    instead = {"request": nearest, "instead_of": waits.headers["Location"].rsplit("/", 1)[1], "csrf_token": csrf}
    now = client.post("/bifrost/send", data=instead)
    assert "Approved" in client.get(now.headers["Location"]).text
    assert "Cancelled" in client.get(waits.headers["Location"]).text


def test_a_changed_bifrost_yaml_counts_at_once_and_a_broken_one_not_at_all(world: World, tmp_path: Path) -> None:
    client, _ = world.logged_in("linus")
    file = tmp_path / "bifrost.yaml"
    text = file.read_text()
    file.write_text("teams: [")
    assert client.get("/bifrost/mine").status_code == 200
    file.write_text(text.replace("- {name: linus}", ""))
    assert client.get("/bifrost/mine").status_code == 403
    file.write_text(text)
    assert client.get("/bifrost/mine").status_code == 200
    assert SHIPPED.is_dir()


@pytest.mark.parametrize("value", ["\ud83d", {"name": "\ud83d"}])
def test_a_sample_with_half_a_surrogate_pair_fits_on_a_page(value: object) -> None:
    record = {"timestamp": "2026-11-24T09:00:00.123Z", "partition": 0, "offset": 1, "key": "k", "value": value}
    sample = models.SampleAnswer(topic="t", environment="dev", masked=False, partitions=1, records=[record])
    ((*_, shown),) = show.records(sample).rows
    assert "\\ud83d" in str(shown) and str(shown).encode()
