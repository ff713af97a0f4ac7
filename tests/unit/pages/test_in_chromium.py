"""Pages in a real browser: no complaint, no request to anybody else, axe's rules pass, nothing wider than a telephone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgard.core.pages.parts import Cell, Chart, Column, Field, Link, Mark, Notice, Section, Series, Table, Verdict
from asgard.core.pages.render import install, render
from tests.harness.chromium import SCHEMES, SIZES, browser, opened, serving, write
from tests.unit.pages.test_pages import EVIL, everything

LONG = "orders." + "x" * 242


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_part_is_fit_to_be_shown(chromium: Any, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    url = write(tmp_path, "page", render("All parts", [*everything("Some text"), *everything(EVIL), *everything(LONG)]))
    with opened(chromium, url, size, scheme) as seen:
        assert (seen.complaints, seen.asked, seen.overflow()) == ([], [], 0)
        assert seen.violations() == []
        background = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(245, 246, 248)" if scheme == "light" else "rgb(18, 22, 28)")


def test_the_browser_and_axe_do_see_faults(chromium: Any, tmp_path: Path) -> None:
    bad = "<!doctype html><title>x</title><img src='http://127.0.0.1:9/x.png'><p style='width:2000px'>x</p><script>throw 1</script>"
    with opened(chromium, write(tmp_path, "bad", bad)) as seen:
        assert seen.asked == ["http://127.0.0.1:9/x.png"] and seen.complaints and seen.overflow() > 0
        assert any(v.startswith("image-alt") for v in seen.violations())


def test_no_text_runs_as_a_script(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, write(tmp_path, "evil", render(EVIL, everything(EVIL)))) as seen:
        assert seen.page.locator("img").count() == 0 and seen.complaints == []


def rows(page: Any) -> list[str]:
    return page.locator("tbody tr:not([hidden]) td:first-child").all_inner_texts()  # type: ignore[no-any-return]


def test_a_table_sorts_by_keyboard_and_filters(chromium: Any, tmp_path: Path) -> None:
    cells = [["t-10", Cell("1.5 s", 1.5)], ["t-9", Cell("250 ms", 0.25)], ["t-1", "never"]]
    more = [[f"u-{i}", Cell(f"{i} min", i * 60)] for i in range(1, 2001)]
    columns = [Column("topic"), Column("late", number=True)]
    parts = [Table("Topics", columns, cells), Table("Many", columns, more)]
    with opened(chromium, write(tmp_path, "table", render("Topics", parts))) as seen:
        page = seen.page
        first = page.locator("table").first
        first.get_by_role("button", name="topic").focus()
        page.keyboard.press("Enter")
        assert rows(first) == ["t-1", "t-9", "t-10"], "numbers in names count as numbers"
        first.get_by_role("button", name="late").focus()
        page.keyboard.press("Enter")
        assert (
            rows(first) == ["t-1", "t-10", "t-9"]
            and first.locator("th").nth(1).get_attribute("aria-sort") == "descending"
        )
        page.keyboard.press("Enter")
        assert rows(first) == ["t-9", "t-10", "t-1"], "by their values, not by their text"
        page.get_by_role("searchbox").fill("u-199")
        assert (
            len(rows(page.locator("table").nth(1))) == 11 and page.get_by_role("status").inner_text() == "11 of 2,000"
        )
        assert seen.complaints == []


def test_values_are_read_off_a_chart_under_the_pointer(chromium: Any, tmp_path: Path) -> None:
    chart = Chart(
        "Rate", [0, 1, 2], [Series("sent", [10, 30, 20]), Series("read", [5, None, 20])], "per_s", marks=[Mark(1, "x")]
    )
    with opened(chromium, write(tmp_path, "chart", render("A", [chart])), SIZES[1]) as seen:
        plot = seen.page.locator(".plot")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        seen.page.mouse.move(box["x"] + box["width"] * 0.52, box["y"] + 40)
        assert seen.page.locator(".tip").inner_text().splitlines() == ["1 s", "sent: 30/s", "read: -"]
        assert (seen.overflow(), seen.complaints) == (0, [])


def test_served_pages_look_the_same_and_run_nothing_inline(chromium: Any) -> None:
    flask = pytest.importorskip("flask")
    app = flask.Flask("served")
    install(app)
    page = (
        '{% extends "asgard/served.html" %}{% import "asgard/components.html" as ui %}{% import "asgard/forms.html" as forms %}'
        "{% block content %}{{ ui.part(verdict) }}{{ ui.part(section) }}"
        '<form method="post">{% for one in fields %}{{ forms.field(one) }}{% endfor %}{{ forms.button("Create", "info") }}'
        '{{ forms.button("Delete", "bad") }}</form>{{ more }}{% endblock %}{% block heading %}{% endblock %}'
    )
    fields = [
        Field("topic", "Topic", help="Letters.", error="is taken", required=True),
        Field("owner", "Team", "select", options=[("a", "A"), ("b", "B")]),
        Field("why", "Why", "textarea"),
        Field("sure", "I am sure", "checkbox"),
        Field("password", "Password", "password"),
    ]
    section = Section(
        "Now", [Chart("Rate", [0, 1], [Series("sent", [1, 2])], "per_s"), Table("T", [Column("a")], [["1"]])]
    )

    @app.get("/")
    def index() -> Any:
        return flask.render_template_string(
            page,
            title="Topics",
            product="Bifrost",
            who="ada <admin>",
            nav=[Link("Topics", "/", current=True), Link("Groups", "/groups")],
            notices=[Notice("Created.", "good")],
            verdict=Verdict("OK", "All is well", "good"),
            section=section,
            fields=fields,
            more="<script>alert(1)</script>",
        )

    with serving(app) as url:
        for size, scheme in zip(SIZES, SCHEMES, strict=True):
            with opened(chromium, url, size, scheme) as seen:
                assert (seen.complaints, seen.asked, seen.overflow()) == ([], [], 0)
                assert seen.violations() == []
                seen.page.evaluate(
                    "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)"
                )
                assert seen.page.evaluate("window.ran") is None and "Content Security Policy" in seen.complaints[0]


def test_a_live_table_keeps_how_it_is_sorted_and_filtered(chromium: Any) -> None:
    from playwright.sync_api import expect

    flask = pytest.importorskip("flask")
    app = flask.Flask("live")
    install(app)
    turns = itertools.count()
    fragment = '{% import "asgard/components.html" as ui %}{{ ui.part(table) }}'

    @app.get("/rows")
    def lags() -> Any:
        turn = next(turns)
        lag = [[f"group-{i}", str((i * 7) % 20 + turn)] for i in range(20)]
        table = Table("Lag", [Column("group"), Column("lag", number=True)], lag)
        return flask.render_template_string(fragment, table=table)

    @app.get("/")
    def index() -> Any:
        page = '{% extends "asgard/served.html" %}{% block content %}<div data-live="/rows" data-every="0.3"></div>{% endblock %}'
        return flask.render_template_string(page, title="Lag", product="Heimdall")

    with serving(app) as url, opened(chromium, url) as seen:
        seen.page.get_by_role("button", name="lag").click()
        seen.page.get_by_role("searchbox").fill("group-1")
        assert seen.page.get_by_role("status").inner_text() == "11 of 20"
        first = seen.page.locator("tbody tr:not([hidden]) td.n").first
        assert seen.page.locator("tbody tr:not([hidden]) td").first.inner_text() == "group-17"
        before = first.inner_text()
        seen.page.get_by_role("button", name="lag").focus()
        expect(first).not_to_have_text(before)
        assert seen.page.locator("tbody tr:not([hidden]) td").first.inner_text() == "group-17"
        assert seen.page.get_by_role("searchbox").input_value() == "group-1"
        assert seen.page.evaluate("document.activeElement.textContent") == "lag", "the focus stays, too"
        assert len(rows(seen.page)) == 11 and seen.complaints == []
