"""The portal in a real browser, without a cluster: nothing that people wrote runs, forms work without a mouse and on a telephone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asgard.bifrost import service
from asgard.bifrost.desired import TopicRow
from asgard.bifrost.read import request_of
from tests.harness.chromium import browser, opened
from tests.unit.bifrost.portal_world import World, portal
from tests.unit.bifrost.test_bifrost_openapi import running

EVIL = "</code></script><img src=x onerror=alert(1)>\"'&{{7*7}}"
PICTURES = os.environ.get("ASGARD_PICTURES")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with portal(tmp_path, monkeypatch) as made:
        yield made


def log_in(page: Any, url: str, secret: str) -> None:
    page.goto(url + "/login")
    page.get_by_label("Token").fill(secret)
    page.keyboard.press("Enter")
    page.wait_for_url("**/bifrost/mine")


def fit(seen: Any, name: str) -> None:
    assert (seen.violations(), seen.complaints, seen.asked) == ([], [], []), name
    for width, height in ((390, 844), (1280, 800)):
        seen.page.set_viewport_size({"width": width, "height": height})
        assert seen.overflow() == 0, (name, width)
        if PICTURES:
            seen.page.screenshot(path=f"{PICTURES}/{name}-{width}.png")


def test_what_people_wrote_is_shown_and_never_run(world: World) -> None:
    linus = world.gate.directory.actor("linus")
    it = world.things("orders")
    world.put(TopicRow("orders.evil", "orders", description=EVIL, tags=(EVIL,)))
    asked = request_of(
        {"topics": [{"name": "orders.big", "partitions": 48, "description": EVIL, "tags": [EVIL]}], "reason": EVIL}
    )
    waits = service.submit(world.gate, linus, asked).request
    done = service.submit(
        world.gate, linus, replace(asked, topics=(replace(asked.topics[0], name="orders.bigger"),))
    ).request
    service.decide(world.gate, world.gate.directory.actor("edgar"), done.id, approve=False, reason=EVIL)
    paths = ("/mine", "/catalog?search=" + "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "/topics/orders.evil", "/approvals",
             f"/requests/{waits.id}", f"/requests/{done.id}", "/audit", "/requests", "/grants", f"/grants/{it.grant.id}",
             f"/users/{it.user}", "/policy", "/run", "/tokens", "/teams/orders",
             "/topics/%3Cimg%20src=x%20onerror=alert(1)%3E", "/requests/..%2f..%2fetc", "/topics/..")  # fmt: skip
    with running(world) as url, browser() as chromium, opened(chromium, url + "/login") as seen:
        page = seen.page
        page.on("dialog", lambda dialog: seen.complaints.append(f"a script ran: {dialog.message}"))
        log_in(page, url, world.token("edgar"))
        for path in paths:
            there = page.goto(f"{url}/bifrost{path}")
            assert there is not None and there.status in (200, 404), path
            seen.complaints[:] = [c for c in seen.complaints if "404" not in c]
            assert page.locator("img").count() == 0 and "49" not in page.locator("main").inner_text().split(EVIL), path
            fit(seen, "edgar" + path.replace("/", "-").partition("?")[0][:24])
        page.goto(f"{url}/bifrost/requests/{waits.id}")
        page.get_by_label("Reason").fill(EVIL)
        page.get_by_role("button", name="Approve").click()
        page.locator(".verdict .word", has_text="Approved").wait_for()
        assert page.locator("img").count() == 0 and seen.complaints == []


def test_another_site_cannot_send_a_form_of_ours(world: World, tmp_path: Path) -> None:
    it = world.things("orders")
    with running(world) as url, browser() as chromium, opened(chromium, url + "/login") as seen:
        log_in(seen.page, url, world.token("edgar"))
        forged = f"<form method=post action='{url}/bifrost/requests/{it.request.id}/approve'><button>x</button></form>"
        evil = tmp_path / "evil.html"
        evil.write_text(forged)
        seen.page.goto(evil.as_uri())
        with seen.page.expect_response("**/approve") as answer:
            seen.page.get_by_role("button").click()
        assert answer.value.status in (303, 400), "sent to the login without the cookie, or refused without the token"
        request, _ = service.view(world.gate, world.gate.directory.actor("edgar"), it.request.id)
        assert request.state == "pending"
