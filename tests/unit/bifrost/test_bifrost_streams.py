"""Server-sent events: a page hears at once that its request moved, few are served at a time, and without them pages ask as before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgard.bifrost import service
from asgard.bifrost.store import requests as stored
from asgard.bifrost.web import streams
from asgard.bifrost.web.site import EXTENSION
from asgard.bifrost.web.streams import MOST, Streams
from tests.harness.chromium import browser, opened
from tests.unit.bifrost.portal_world import World, portal
from tests.unit.bifrost.test_bifrost_openapi import running
from tests.unit.bifrost.test_bifrost_portal_chromium import log_in


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with portal(tmp_path, monkeypatch) as made:
        yield made


def test_each_move_is_one_line_and_the_last_one_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(streams, "BEAT_S", 1e9)
    seen = iter([(1, True), (1, True), (2, True), (2, True), (4, True), (5, False)])
    told = list(Streams(1).events(lambda: next(seen)))
    assert told == ["retry: 1000\n\n", "data: 2\n\n", "data: 4\n\n", "event: end\ndata: \n\n"]


def test_a_stream_ends_by_itself_and_when_the_server_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LASTS_S", 0.05)
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0.01)
    assert list(Streams(1).events(lambda: (1, True))) == ["retry: 1000\n\n"]
    monkeypatch.setattr(streams, "LASTS_S", 1e9)
    monkeypatch.setattr(streams, "BEAT_S", 0.0)
    few = Streams(1)
    told = few.events(lambda: (1, True))
    assert [next(told), next(told)] == ["retry: 1000\n\n", ": still here\n\n"]
    assert few.take() and not few.take()
    few.give_back()
    few.end()
    assert [line for line in told if "here" not in line] == [] and not few.take()


def stream(client: Any, request_id: str) -> Any:
    return client.get(f"/bifrost/requests/{request_id}/events", buffered=False)


def test_a_stream_is_for_those_who_may_see_the_request_and_few_at_a_time(world: World) -> None:
    it = world.things("orders")
    client, _ = world.logged_in("linus")
    stranger, _ = world.logged_in("grace")
    assert stream(stranger, it.request.id).status_code == 404
    open_ones = [stream(client, it.request.id) for _ in range(MOST)]
    assert {a.status_code for a in open_ones} == {200} and open_ones[0].mimetype == "text/event-stream"
    assert stream(client, it.request.id).status_code == 503
    lines = iter(open_ones[0].response)
    assert next(lines) == b"retry: 1000\n\n"
    service.decide(world.gate, world.gate.directory.actor("edgar"), it.request.id, approve=False)
    assert next(lines) == b"event: end\ndata: \n\n"
    for answer in open_ones:
        answer.close()
    assert stream(client, it.request.id).status_code == 200, "those that ended are free again"


@pytest.mark.parametrize("free", [True, False])
def test_a_page_changes_when_its_request_moves(world: World, free: bool) -> None:
    from playwright.sync_api import expect

    it = world.things("orders")
    held = world.app.extensions[EXTENSION].streams
    if not free:
        assert all(held.take() for _ in range(MOST))
    edgar = world.gate.directory.actor("edgar")
    with running(world) as url, browser() as chromium, opened(chromium, url + "/login") as seen:
        page, asked = seen.page, []
        log_in(page, url, world.token("linus"))
        page.on("request", lambda r: asked.append(r.url) if re.search(r"/parts$", r.url) else None)
        page.goto(f"{url}/bifrost/requests/{it.request.id}")
        expect(page.locator(".verdict .word")).to_have_text("Pending")
        page.wait_for_timeout(3500)
        assert (len(asked) <= 1) is free, asked
        service.decide(world.gate, edgar, it.request.id, approve=True)
        expect(page.locator(".verdict .word")).to_have_text("Approved")
        with world.gate.store.write() as connection:
            moving = stored.move(connection, stored.get(connection, it.request.id), "applying", actor="x", now=1.0)
            stored.move(connection, moving, "ready", actor="x", now=2.0)
        expect(page.locator(".verdict .word")).to_have_text("Ready")
        assert [c for c in seen.complaints if "503" not in c] == []
    held.end()
