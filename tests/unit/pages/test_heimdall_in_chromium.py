"""Heimdall's pages in a real browser: no complaint, no request elsewhere, axe's rules, a telephone, dark, live without a reload."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from asgard.heimdall.report import page
from asgard.heimdall.web.app import create_app
from tests.harness.chromium import SCHEMES, SIZES, browser, opened, serving, write
from tests.harness.heimdall_days import made
from tests.harness.heimdall_site import NOW, Site

PATHS = (
    "",
    "topics",
    "topics/orders.created",
    "groups",
    "groups/clickstream",
    "brokers",
    "incidents",
    "daily?date=2026-11-26&tz=UTC",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.mark.parametrize(("size", "scheme"), [*zip(SIZES, SCHEMES, strict=True)], ids=str)
def test_every_page_is_fit_to_be_shown(chromium: Any, size: tuple[int, int], scheme: str) -> None:
    with serving(create_app(Site(), now=lambda: NOW)) as url:
        for path in PATHS:
            with opened(chromium, url + path, size, scheme) as seen:
                assert (path, seen.complaints, seen.asked, seen.overflow()) == (path, [], [], 0)
                assert (path, seen.violations()) == (path, [])


@pytest.mark.parametrize(("size", "scheme"), [*zip(SIZES, SCHEMES, strict=True)], ids=str)
def test_the_daily_report_is_fit_to_be_shown(chromium: Any, tmp_path: Any, size: tuple[int, int], scheme: str) -> None:
    with opened(chromium, write(tmp_path, "day", page.page(made())), size, scheme) as seen:
        assert (seen.complaints, seen.asked, seen.overflow(), seen.violations()) == ([], [], 0, [])


def test_a_page_is_live_and_a_search_is_in_its_address(chromium: Any) -> None:
    from playwright.sync_api import expect

    site = Site()
    app = create_app(site, now=lambda: NOW)
    with serving(app) as url, opened(chromium, url + "groups") as seen:
        expect(seen.page.locator("tbody tr")).to_have_count(4)
        assert site.picture is not None
        site.picture = replace(site.picture, groups={"ledger": site.picture.groups["ledger"]})
        expect(seen.page.locator("tbody tr")).to_have_count(1, timeout=25_000)
        seen.page.get_by_role("searchbox").fill("nothing like it")
        seen.page.keyboard.press("Enter")
        expect(seen.page.get_by_text("No group matches.")).to_be_visible()
        assert "q=nothing+like+it" in seen.page.url and seen.complaints == []
