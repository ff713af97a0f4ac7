"""Logging in with a real OpenID provider: through its pages, and everything that may go wrong on the way."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.harness.chromium import browser, opened, serving
from tests.harness.openid import CLIENT, SECRET, OpenId, provider
from tests.unit.bifrost.portal_world import World, portal

PEOPLE = {
    "linus": {"preferred_username": "linus", "email": "linus@elsewhere.example", "email_verified": False},
    "ada-at-work": {"preferred_username": "a.lovelace", "email": "ada@example.org", "email_verified": True},
    "liar": {"preferred_username": "x", "email": "ada@example.org", "email_verified": False},
    "mallory": {"preferred_username": "mallory", "email": "mallory@example.org", "email_verified": True},
}
TRY_AGAIN = "the login did not work: try it again"


@pytest.fixture(scope="module")
def openid() -> Iterator[OpenId]:
    with provider(PEOPLE) as made:
        yield made


@pytest.fixture
def world(openid: OpenId, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    (tmp_path / "secret").write_text(SECRET + "\n")
    section = f"\nopenid: {{issuer: '{openid.url}', client_id: {CLIENT}, client_secret_file: secret}}\n"
    openid.tamper, openid.in_id_token = (lambda claims: None), False
    openid.other_key(on=False)
    with portal(tmp_path, monkeypatch, yaml=section) as made:
        file = tmp_path / "bifrost.yaml"
        file.write_text(file.read_text().replace("name: ada, role", "name: ada, email: ada@example.org, role"))
        openid.redirect_uris[:] = ["http://localhost/login/back"]
        yield made


def there(world: World, openid: OpenId, who: str, **changed: str) -> tuple[Any, str]:
    """A browser that has been at the provider as somebody, and the address that it was sent back to. `changed`: of the first redirect."""
    client = world.app.test_client()
    away = client.get("/login/provider?next=/bifrost/catalog")
    assert away.status_code == 302, away.text
    asked = {k: v[0] for k, v in parse_qs(urlsplit(away.headers["Location"]).query).items()}
    answer = requests.get(
        f"{openid.url}/authorize", {**asked, **changed, "who": who}, allow_redirects=False, timeout=10
    )
    assert answer.status_code == 302, answer.text
    return client, answer.headers["Location"].removeprefix("http://localhost")


def refused(answer: Any, why: str) -> None:
    assert answer.status_code == 403 and why in answer.text
    assert "Traceback" not in answer.text and SECRET not in answer.text


def test_people_are_found_by_name_and_by_verified_address(world: World, openid: OpenId) -> None:
    for openid.in_id_token in (False, True):
        for who, name in (("linus", "linus"), ("ada-at-work", "ada")):
            client, back = there(world, openid, who)
            answer = client.get(back)
            assert (answer.status_code, answer.headers["Location"]) == (303, "/bifrost/catalog"), answer.text
            assert re.search(rf">{name}</a>", client.get("/bifrost/mine").text)
            # A code works once, and only in the browser that asked for it.
            assert world.app.test_client().get(back).status_code == 403
            refused(client.get(back), TRY_AGAIN)


@pytest.mark.parametrize("who", ["mallory", "liar"])
def test_who_is_nobody_here_does_not_come_in(world: World, openid: OpenId, who: str) -> None:
    client, back = there(world, openid, who)
    refused(client.get(back), "no person here has that name or verified e-mail address")
    assert client.get("/bifrost/mine").status_code == 303


def test_what_is_sent_has_pkce_state_and_nonce_and_each_is_checked(world: World, openid: OpenId) -> None:
    client, back = there(world, openid, "linus")
    asked = openid.asked[-1]
    assert asked["code_challenge_method"] == "S256" and len(asked["state"]) > 20 and len(asked["nonce"]) > 15
    with client.session_transaction() as session:
        kept = next(v["data"] for k, v in session.items() if k.startswith("_state_"))
    digest = hashlib.sha256(kept["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
    # Another state: somebody else's code that was slipped in.
    refused(client.get(back.replace(asked["state"], "x" * 30)), TRY_AGAIN)
    # Another challenge: the code was stolen, and who has it lacks the verifier. It is the provider that refuses.
    client, back = there(world, openid, "linus", code_challenge="A" * 43)
    refused(client.get(back), TRY_AGAIN)
    # Another nonce: an ID token of another login is replayed.
    client, back = there(world, openid, "linus", nonce="of-another-login")
    refused(client.get(back), TRY_AGAIN)


def test_an_id_token_that_is_not_the_providers_for_us_now_is_refused(world: World, openid: OpenId) -> None:
    for claims in ({"iss": "https://evil.example"}, {"aud": "another-client"}, {"exp": 1}, {"sub": "somebody-else"}):
        openid.tamper = lambda told, claims=claims: told.update(claims)  # type: ignore[misc]
        client, back = there(world, openid, "linus")
        refused(client.get(back), TRY_AGAIN)
    openid.tamper = lambda told: None
    openid.other_key(on=True)
    client, back = there(world, openid, "linus")
    refused(client.get(back), TRY_AGAIN)


def test_a_provider_that_says_no_or_does_not_answer_gives_a_sentence(
    world: World, openid: OpenId, tmp_path: Path
) -> None:
    client, back = there(world, openid, "nobody-at-all")
    refused(client.get(back), TRY_AGAIN)
    client, back = there(world, openid, "linus")
    oauth, _ = world.app.extensions["asgard-oidc"]
    oauth.provider.server_metadata["token_endpoint"] = "http://127.0.0.1:9/"
    refused(client.get(back), "the OpenID provider does not answer")
    oauth.provider.server_metadata.clear()
    oauth.provider._server_metadata_url = "http://127.0.0.1:9/"
    answer = world.app.test_client().get("/login/provider")
    assert answer.status_code == 503 and "the OpenID provider does not answer" in answer.text


def test_an_issuer_without_tls_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asgard.core.errors import Refused

    (tmp_path / "secret").write_text(SECRET)
    section = "\nopenid: {issuer: 'http://id.example.org', client_id: x, client_secret_file: secret}\n"
    with pytest.raises(Refused, match="anybody"), portal(tmp_path, monkeypatch, yaml=section):
        pass


def test_through_both_sites_in_a_browser(world: World, openid: OpenId) -> None:
    with serving(world.app) as url, browser() as chromium:
        openid.redirect_uris[:] = [f"{url}login/back"]
        with opened(chromium, f"{url}login?next=/bifrost/grants") as seen:
            assert seen.violations() == []
            seen.page.get_by_role("link", name="Log in with your account").click()
            seen.page.get_by_role("link", name="I am linus").click()
            seen.page.wait_for_url("**/bifrost/grants")
            assert seen.page.get_by_role("link", name="linus").count() == 1 and seen.complaints == []
