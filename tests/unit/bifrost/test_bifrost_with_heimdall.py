"""Heimdall's pages in the portal: one login, one navigation, and of a cluster only what one's teams may see."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from asgard.bifrost.desired import GrantRow, TopicRow
from asgard.bifrost.store.requests import new_id
from asgard.compose import web_heimdall
from tests.harness.chromium import SCHEMES, SIZES, browser, opened
from tests.harness.heimdall_site import Site
from tests.unit.bifrost.portal_world import World, portal
from tests.unit.bifrost.test_bifrost_openapi import running
from tests.unit.bifrost.test_bifrost_portal_chromium import log_in

PICTURES = os.environ.get("ASGARD_PICTURES")
OWN = ("orders.created", "orders.shipped", "orders.returned")
SHARED = "payments.settled"
HIDDEN = ("payments.refunds", "clicks.web", "clicks.app", "search.queries", "inventory.levels", "clickstream", "search-index")  # fmt: skip
PAGES = ("", "topics", "topics/orders.created", "groups", "groups/orders-api", "incidents", "daily?date=2026-11-26")


class Watched(Site):
    """The made-up cluster, as the cluster of environment dev."""

    class environment:  # noqa: N801  (what a lookout has)
        name = "dev"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    blueprints, links = web_heimdall.beside([cast(Any, Watched())])
    with portal(tmp_path, monkeypatch, tuple(links), beside=blueprints) as made:
        grants = [("consume", SHARED, "payments"), ("groups", "orders-", "orders"), ("groups", "ledger", "orders")]
        made.put(*(TopicRow(name, "orders", partitions=2) for name in OWN))
        made.put(TopicRow(SHARED, "payments", partitions=2), TopicRow("payments.refunds", "payments", partitions=2))
        made.put(*(GrantRow("orders.api", field, name, new_id("g"), "orders", owner, None, None, "", "bifrost", 0.0, None) for field, name, owner in grants))  # type: ignore[arg-type]  # fmt: skip
        yield made


def test_a_member_sees_the_topics_and_groups_of_their_teams_and_not_a_name_of_the_others(world: World) -> None:
    client, _ = world.logged_in("linus")
    texts = {path: client.get(f"/heimdall/{path}") for path in PAGES}
    assert {answer.status_code for answer in texts.values()} == {200}
    for path, answer in texts.items():
        assert [name for name in HIDDEN if name in answer.text] == [], path
    for name in (*OWN, SHARED):
        assert name in texts["topics"].text
    assert "ledger" in texts["groups"].text and "Broker 2 killed" in texts["incidents"].text
    assert "Data expires in" in client.get("/heimdall/groups/ledger").text
    for path in ("brokers", "topics/clicks.web", "groups/clickstream", "topics/none", "groups/none"):
        assert client.get(f"/heimdall/{path}").status_code == 404, path
    told = {path: client.get(f"/heimdall/api/{path}").text for path in ("cluster", "topics", "groups", "brokers", "alerts", "daily")}  # fmt: skip
    assert [(path, name) for path, text in told.items() for name in HIDDEN if name in text] == []
    assert json.loads(told["brokers"]) == [] and len(json.loads(told["topics"])) == 4


@pytest.mark.parametrize("name", ["edgar", "audrey"])
def test_who_looks_after_all_teams_sees_the_whole_cluster(world: World, name: str) -> None:
    client, _ = world.logged_in(name)
    assert "clickstream" in client.get("/heimdall/groups").text and "rack-b" in client.get("/heimdall/brokers").text
    assert len(client.get("/heimdall/api/topics").get_json()) == 9


def test_nobody_comes_in_without_the_login(world: World) -> None:
    client = world.app.test_client()
    for path in (*PAGES, "brokers", "api/topics", "api/openapi.json"):
        answer = client.get(f"/heimdall/{path}")
        assert answer.status_code == 303 and answer.headers["Location"].startswith("/login"), path
    stranger = world.app.test_client()
    assert "heimdall" not in stranger.get("/login").text.lower()


def test_before_the_first_look_nothing_of_a_day_is_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watched, "picture", property(lambda self: None, lambda self, value: None), raising=False)
    client, _ = world.logged_in("linus")
    answer = client.get("/heimdall/daily?date=2026-11-26")
    assert answer.status_code == 200 and "payments.refunds" not in answer.text and "can&#39;t be counted" in answer.text


@pytest.mark.parametrize(("size", "scheme"), [*zip(SIZES, SCHEMES, strict=True)], ids=str)
def test_one_navigation_leads_from_the_portal_to_the_cluster_and_back(
    world: World, size: tuple[int, int], scheme: str
) -> None:
    with running(world) as url, browser() as chromium, opened(chromium, url + "/login", size, scheme) as seen:
        page = seen.page
        log_in(page, url, world.token("linus"))
        page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name="Cluster").click()
        assert page.get_by_role("link", name="My services").count() == 1, "the portal's navigation stays"
        assert page.get_by_role("button", name="Log out").count() == 1
        within = page.get_by_role("navigation", name="Cluster: its pages")
        assert within.get_by_role("link", name="Brokers").count() == 0
        for name in ("Topics", "Groups", "Incidents", "Overview"):
            page.get_by_role("navigation", name="Cluster: its pages").get_by_role("link", name=name).click()
            page.wait_for_load_state()
            assert (name, seen.overflow(), seen.violations()) == (name, 0, [])
            if PICTURES:
                page.screenshot(path=f"{PICTURES}/portal-cluster-{name.lower()}-{size[0]}-{scheme}.png", full_page=True)
        page.get_by_role("link", name="My services").click()
        page.wait_for_url("**/bifrost/mine")
        assert (seen.complaints, seen.asked) == ([], [])
