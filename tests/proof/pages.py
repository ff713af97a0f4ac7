"""Are the pages fit to be shown, at their sizes and in both colour schemes? And how fast is a long table there?

Reports of loads and drills, charts of plans (1,000 brokers), and a page with every part, each text of which has 249 characters, are opened in Chromium at
390, 1280 and 1600 pixels, light and dark: console, requests, axe's rules, overflow, size. So are all pages of Heimdall's server. A table of
2,000 topics is drawn and sorted, and Heimdall's page of 2,000 topics is asked for and drawn.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from pathlib import Path
from typing import Any

from asgard.core.pages.parts import Cell, Column, Table
from asgard.core.pages.render import render
from asgard.heimdall.web.app import create_app
from asgard.loki.load.outcome import Row
from asgard.loki.load.page import page as load_page
from asgard.loki.load.verdict import judge
from asgard.thor.plan import planner
from asgard.thor.plan.chart import page as plan_page
from tests.benchmarks.thor_clusters import cluster_for
from tests.harness.chromium import SCHEMES, SIZES, browser, opened, serving, write
from tests.harness.heimdall_site import NOW, Site, picture
from tests.unit.loki import test_load_result as loads
from tests.unit.pages.test_heimdall_in_chromium import PATHS
from tests.unit.pages.test_pages import everything
from tests.unit.pages.test_reports_in_chromium import LONG, reports

MOST_BYTES = 1_500_000
LONG_BYTES, FIRST = 150_000, (SIZES[0], "light")
LONG_LOAD_ROWS = 100_000
TOPICS = 2_000
DRAWN_S = 1.0
FRAME = "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
TIMES = 7


def prove() -> tuple[dict[str, object], list[str]]:
    """Figures by page, and what is wrong with any of them."""
    looks, wrong, found = 0, [], {}
    pages = _pages()
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        for name, html in pages.items():
            url = write(Path(folder), name, html)
            found[name] = len(html.encode())
            if found[name] > MOST_BYTES:
                wrong.append(f"{name}: {found[name]:,} bytes")
            for size in (*SIZES, (1600, 1000)):
                for scheme in SCHEMES:
                    # axe takes a minute for ten thousand cells: a long page is gone through once.
                    axe = found[name] < LONG_BYTES or (size, scheme) == FIRST
                    wrong += _faults(chromium, name, url, size, scheme, axe=axe)
                    looks += 1
        served = _served(chromium, wrong)
        drawn, sorted_s = _table(chromium, Path(folder))
        topics_s, whole_s = _served_topics(chromium)
    for what, took in (("a table", drawn), ("Heimdall's page", topics_s)):
        if took >= DRAWN_S:
            wrong.append(f"{what} of {TOPICS:,} topics took {took} s to be drawn")
    figures = {
        "pages_bytes": found,
        "most_bytes": max(found.values()),
        "looks": looks,
        "rows_of_the_long_load": LONG_LOAD_ROWS,
        "looks_at_heimdalls_pages": served,
        f"heimdalls_page_of_{TOPICS}_topics": {
            "drawn_s": topics_s,
            "whole_s": whole_s,
            "times": TIMES,
            "of_them": "median",
        },
        f"table_of_{TOPICS}_topics": {"drawn_s": drawn, "sorted_s": sorted_s, "times": TIMES, "of_them": "median"},
    }
    return figures, wrong


def _faults(chromium: Any, name: str, url: str, size: tuple[int, int], scheme: str, *, axe: bool = True) -> list[str]:
    with opened(chromium, url, size, scheme) as seen:
        faults = [*seen.complaints, *seen.asked]
        faults += seen.violations() if axe else []
        faults += [f"{seen.overflow()} pixels too wide"] if seen.overflow() > 0 else []
    return [f"{name} at {size[0]} pixels, {scheme}: {fault}" for fault in faults]


def _served(chromium: Any, wrong: list[str]) -> int:
    """Look at all of Heimdall's pages; how many looks."""
    looks = [(path, size, scheme) for path in PATHS for size in (*SIZES, (1600, 1000)) for scheme in SCHEMES]
    with serving(create_app(Site(), now=lambda: NOW)) as url:
        for path, size, scheme in looks:
            wrong += _faults(chromium, f"heimdall /{path}", url + path, size, scheme)
    return len(looks)


def _served_topics(chromium: Any) -> tuple[float, float]:
    """Seconds from the request until Heimdall's page of 2,000 topics is drawn, and until its last row is laid out, which nobody sees yet."""
    whole: list[float] = []
    site, drawn = Site(picture([f"orders.{i}.created" for i in range(TOPICS)])), []
    with serving(create_app(site, now=lambda: NOW)) as url:
        for _ in range(TIMES):
            with opened(chromium, url + "topics") as seen:
                assert seen.page.locator("tbody tr").count() >= TOPICS
                drawn.append(seen.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") / 1000)
                seen.page.wait_for_selector("tr.later", state="detached")
                whole.append(seen.page.evaluate(FRAME) / 1000)
    return round(statistics.median(drawn), 2), round(statistics.median(whole), 2)


def _pages() -> dict[str, str]:
    snapshot, _ = cluster_for("balance", 1_000, 20_000)
    failed, _ = cluster_for("heal", 100, 10_000)
    rows = [
        Row(float(i), 500, 500, 0, 500, i % 40, 0.004, 0.02, 0.05, 9.4 if i == 70_001 else 0.1, 0.005, 0.03, 0.2)
        for i in range(LONG_LOAD_ROWS)
    ]
    long = dataclasses.replace(loads.result(), rows=rows, row_s=1.0, seconds=float(LONG_LOAD_ROWS))
    return {
        **reports(),
        "load-of-a-day": load_page(judge(long, [])),
        "plan-balance-1000-brokers": plan_page(planner.balance(snapshot)),
        "plan-heal-100-brokers": plan_page(planner.heal(failed)),
        "every-part-249-characters": render(LONG, everything(LONG)),
    }


def _table(chromium: Any, folder: Path) -> tuple[float, float]:
    """Seconds from the request until 2,000 topics are drawn, and until they are drawn in another order."""
    columns = [Column("topic"), Column("owner"), Column("records", number=True), Column("late by", number=True)]
    rows = [
        [
            Cell(f"orders.{i}.created", href=f"#{i}"),
            f"team-{i % 40}",
            Cell(f"{i * 7919 % 100_000:,}", i * 7919 % 100_000, share=i / TOPICS),
            Cell(f"{i % 90} s", i % 90, trend=[(i + hour) % 24 for hour in range(24)]),
        ]
        for i in range(TOPICS)
    ]
    url = write(folder, "table", render("Topics", [Table("Topics", columns, rows)]))
    drawn, ordered = [], []
    for _ in range(TIMES):
        with opened(chromium, url) as seen:
            load = "performance.getEntriesByType('navigation')[0].loadEventEnd"
            drawn.append(seen.page.evaluate(load) / 1000)
            before = seen.page.evaluate("performance.now()")
            seen.page.evaluate("document.querySelectorAll('th button')[2].click()")
            ordered.append((seen.page.evaluate(FRAME) - before) / 1000)
    return round(statistics.median(drawn), 2), round(statistics.median(ordered), 2)
