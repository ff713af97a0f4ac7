"""The reports of loads and drills and the charts of plans, as a browser shows them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asgard.loki.drill.page import page as drill_page
from asgard.loki.drill.verdict import added_up
from asgard.loki.load.page import page as load_page
from asgard.loki.load.result import Mark
from asgard.loki.load.scenario import Slo
from asgard.loki.load.verdict import judge
from tests.harness.chromium import SIZES, browser, opened, write
from tests.unit.loki import test_drill_report as drills
from tests.unit.loki import test_load_result as loads

LONG = "orders." + "x" * 242


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


def reports() -> dict[str, str]:
    """A drill, three drills of which one lost records, and a load whose topic has the longest name that Kafka allows."""
    runs = [drills.drill(seed=7), drills.drill(seed=8, lost=5, outcome="broken"), drills.drill(seed=9)]
    load = loads.result(Slo(p99_s=0.25), failed=2)
    load = dataclasses.replace(load, topics={LONG: f"loki-{LONG}"[:249]}, marks=[Mark(3, "broker 2 killed", 6)])
    return {
        "drill": drill_page(added_up([drills.drill()], "orders", drills.COMMAND)),
        "drills": drill_page(added_up(runs, "orders", drills.COMMAND)),
        "load": load_page(judge(load, [])),
    }


@pytest.mark.parametrize(("size", "scheme"), [(SIZES[0], "light"), (SIZES[1], "dark")], ids=str)
def test_reports_are_fit_to_be_shown(chromium: Any, tmp_path: Path, size: tuple[int, int], scheme: str) -> None:
    for name, html in reports().items():
        with opened(chromium, write(tmp_path, name, html), size, scheme) as seen:
            assert (name, seen.complaints, seen.asked, seen.overflow(), seen.violations()) == (name, [], [], 0, [])


def test_a_drill_answers_without_scrolling(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, write(tmp_path, "drill", reports()["drill"]), SIZES[0]) as seen:
        for words in (
            "Nothing was lost. The cluster healed itself in 13 s.",
            "broker 3 killed 4.0 s after the start",
            "of 2,500 acknowledged",
            "Producers blocked",
            "Consumers blocked",
            "Time to heal",
            "Thor notices",
        ):
            box = seen.page.get_by_text(words).first.bounding_box()
            assert box["y"] + box["height"] <= SIZES[0][1], words


def test_nothing_of_a_report_is_lost_in_print(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, write(tmp_path, "drill", reports()["drill"]), (794, 1123)) as seen:
        seen.page.emulate_media(media="print")
        assert (
            seen.overflow() == 0 and seen.page.get_by_role("columnheader", name="consumers blocked").first.is_visible()
        )
        assert not seen.page.get_by_role("button", name="Copy").count()
        assert len(seen.page.pdf(format="A4")) > 10_000
