"""`heimdall top` on a recorded picture: what is shown, sorted, filtered and opened; what can't be reached is said."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from textual.widgets import DataTable, Input, Static

from asgard.cli.main import main
from asgard.core.pages.parts import Cell
from asgard.heimdall import views
from asgard.heimdall.owners import Owners
from asgard.heimdall.picture import Picture
from asgard.heimdall.top import sheets
from asgard.heimdall.top.app import Top
from asgard.heimdall.top.sheets import SortOrder, TopSnapshot
from asgard.kafka.model import Partition
from tests.harness.heimdall_days import OWNERS
from tests.harness.heimdall_site import Site, picture

PICTURES = os.environ.get("ASGARD_PICTURES")


class Feed:
    """What a test says was seen."""

    def __init__(self, known: TopSnapshot | None, problem: str = "") -> None:
        self.known, self.problem = known, problem


def known(now: Picture | None = None) -> TopSnapshot:
    return TopSnapshot(now or picture(), Site().raised(), OWNERS)


def moving() -> Picture:
    now = picture()
    part = Partition("orders.created", 0, (1, 2, 3), (1, 2), 1, adding=(3,), removing=(2,), size_bytes=5 * 1024**2)
    return replace(now, moving=(part,))


def texts(table: Any, column: int = 0) -> list[str]:
    return [cell.text if isinstance(cell, Cell) else cell for cell in (row[column] for row in table.rows)]


def test_the_views_have_the_figures_of_the_pages() -> None:
    now = known()
    (page,) = views.topics(now.picture, OWNERS, sheets.LINKS)
    assert sheets.sheet(now, "topics").table.rows == page.rows  # type: ignore[union-attr]
    assert texts(sheets.sheet(now, "groups").table) == ["clickstream", "ledger", "orders-api", "search-index"]
    cluster = sheets.sheet(now, "cluster")
    assert cluster.title == "orders-eu: 1 broker down, 1 partition under-replicated, 2 groups behind."
    assert texts(cluster.table) == ["1", "2", "3"] and [t.caption for t in cluster.more] == ["Alerts", "Groups behind"]
    assert texts(sheets.sheet(known(moving()), "reassignments").table) == ["orders.created-0"]


def test_rows_are_sorted_by_value_and_what_was_not_measured_comes_last() -> None:
    now = known()
    lag = sheets.sheet(now, "groups", SortOrder(4, descending=True)).table
    assert texts(lag, 4) == ["81,000", "500", "80", "0"]
    late = texts(sheets.sheet(now, "topics", SortOrder(7, descending=True)).table, 7)
    assert late[0] == "1 h 30 m" and late[-1] == "-"
    assert texts(sheets.sheet(now, "topics", SortOrder(0, descending=True)).table)[0] == "search.queries"


def test_a_filter_keeps_rows_with_every_word_and_says_when_there_is_none() -> None:
    now = known()
    assert texts(sheets.sheet(now, "topics", wanted="team-pay SETTLED").table) == ["payments.settled"]
    assert sheets.sheet(now, "groups", wanted="xyzzy").table.rows == []


def test_many_rows_are_cut_and_that_is_said() -> None:
    many = known(picture([f"t{n:04}" for n in range(sheets.ROWS + 20)], 1))
    table = sheets.sheet(many, "topics").table
    assert len(table.rows) == sheets.ROWS and table.note.startswith("500 of 520 are shown")
    assert texts(sheets.sheet(many, "topics", wanted="t0519").table) == ["t0519"]


def test_what_was_opened_and_is_gone_is_none() -> None:
    assert sheets.about(known(), "topic:none") is None
    group = sheets.about(known(), "group:clickstream")
    assert group is not None and group.title == "group clickstream" and "No commit moved in 9 m" in group.lines[0]


def driven(feed: Feed, steps: Callable[[Top, Any], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        app = Top(feed, "orders-eu")
        async with app.run_test(size=(140, 40)) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(run())


def column(app: Top, at: int = 0) -> list[str]:
    table = app.query_one("#table", DataTable)
    return [table.get_row_at(n)[at].plain for n in range(table.row_count)]


def heading(app: Top, name: str = "#heading") -> str:
    return str(app.query_one(name, Static).render())


def test_keys_lead_through_the_views_sort_filter_open_and_go_back() -> None:
    async def steps(app: Top, pilot: Any) -> None:
        assert column(app) == ["1", "2", "3"] and "1 broker down" in heading(app)
        await pilot.press("2")
        await pilot.pause()
        assert len(column(app)) == 9 and "9 topics" in heading(app)
        await pilot.press("s", "s", "s", "s", "s")
        assert column(app, 4)[0] == "687 MiB"
        await pilot.press("r")
        assert column(app, 4)[0] == "76.3 MiB"
        await pilot.press("slash", *"clicks", "enter")
        assert sorted(column(app)) == ["clicks.app", "clicks.web"]
        await pilot.press("enter")
        await pilot.pause()
        assert heading(app).startswith("topic clicks.") and app.query_one(Input).value == ""
        await pilot.press("escape", "3")
        await pilot.pause()
        assert column(app)[0] == "clickstream"
        await pilot.press("enter")
        await pilot.pause()
        assert ("group clickstream" in heading(app) and column(app) == ["clicks.web-0"]) or column(app)[0].endswith(
            "-0"
        )
        await pilot.press("enter")
        await pilot.pause()
        assert heading(app).startswith("topic "), "from a group's partition to its topic"
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert "groups, 2 behind" in heading(app)
        await pilot.press("tab")
        await pilot.pause()
        assert "are being moved" in heading(app) and column(app) == ["Nothing is being moved."]

    driven(Feed(known()), steps)


def test_it_is_live_keeps_its_row_and_can_be_held() -> None:
    feed = Feed(known())

    async def steps(app: Top, pilot: Any) -> None:
        await pilot.press("3", "down", "down")
        table = app.query_one("#table", DataTable)
        assert column(app)[table.cursor_row] == "orders-api"
        now = picture()
        feed.known = known(replace(now, groups={n: g for n, g in now.groups.items() if n != "ledger"}))
        await pilot.pause(0.6)
        assert column(app) == ["clickstream", "orders-api", "search-index"]
        assert column(app)[table.cursor_row] == "orders-api", "the cursor stays on its row"
        await pilot.press("space")
        feed.known = known(replace(now, groups={}))
        await pilot.pause(0.6)
        assert len(column(app)) == 3 and "held" in heading(app, "#state")
        await pilot.press("space")
        await pilot.pause(0.6)
        assert column(app) == ["There is none."] or column(app) == ["No group matches."]

    driven(feed, steps)


def test_what_can_not_be_reached_is_said_and_what_is_known_stays() -> None:
    feed = Feed(None)

    async def steps(app: Top, pilot: Any) -> None:
        assert "first look is under way" in heading(app)
        feed.known = known(replace(picture(), problems={"broker 2": "does not answer", "broker 3": "neither"}))
        await pilot.pause(0.6)
        assert "not reached: broker 2: does not answer (and 1 more)" in heading(app, "#state")
        feed.problem = "no broker of orders-eu answers"
        await pilot.pause(0.6)
        assert "no broker of orders-eu answers" in heading(app, "#state") and column(app) == ["1", "2", "3"]

    driven(feed, steps)


def test_names_are_text_and_never_markup() -> None:
    evil = "[bold red]x[/] [link=http://evil]"
    now = picture()
    feed = Feed(known(replace(now, cluster=evil, groups={evil: replace(now.groups["ledger"], name=evil)})))

    async def steps(app: Top, pilot: Any) -> None:
        assert evil in heading(app)
        await pilot.press("3")
        await pilot.pause()
        assert column(app) == [evil]
        await pilot.press("enter")
        await pilot.pause()
        assert evil in heading(app)

    driven(feed, steps)


def test_without_a_terminal_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["heimdall", "top", "--bootstrap-server", "127.0.0.1:1"]) == 2
    assert "heimdall top needs a terminal" in capsys.readouterr().err


def test_without_the_extra_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "textual", None)
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "asgard.heimdall.top.app", raising=False)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["heimdall", "top", "--bootstrap-server", "127.0.0.1:1"]) == 2
    assert "asgard-kafka[top]" in capsys.readouterr().err


@pytest.mark.skipif(not PICTURES, reason="pictures are asked for by ASGARD_PICTURES")
def test_pictures_for_the_docs() -> None:
    async def steps(app: Top, pilot: Any) -> None:
        for key, name in (("1", "cluster"), ("2", "topics"), ("3", "groups"), ("enter", "group")):
            await pilot.press(key)
            await pilot.pause(0.3)
            app.save_screenshot(f"{PICTURES}/top-{name}.svg")

    driven(Feed(known(moving())), steps)


def test_owners_are_nobody_by_default() -> None:
    assert sheets.sheet(TopSnapshot(picture()), "topics").table.rows[0][1] == Owners().of_topic("x")
