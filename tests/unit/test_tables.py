"""Tables fit the terminal whatever names a cluster has; programs get the names whole."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.core import console
from asgard.core.console import ConsoleSettings, OutputFormat, Table
from asgard.core.widths import ELSEWHERE, shortened, widest_column

LONG = "orders." + "x" * 230 + ".v2-created-7"
assert len(LONG) == 250  # a topic's name and a partition's number


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("orders.created", 20, "orders.created"),
        ("orders.created", 14, "orders.created"),
        ("orders.created", 13, "orders…reated"),
        ("abcdefghij", 4, "ab…j"),
        ("lost: orders.created-11 twice", 10, "lost: order…d-11 twice"),
        ("/var/lib/asgard/loki/report.html", 10, "/var/lib/asgard/loki/report.html"),
        ("\033[31morders.created\033[0m", 10, "\033[31morders.created\033[0m"),
    ],
)
def test_the_middle_of_a_long_name_is_cut(text: str, most: int, shown: str) -> None:
    assert shortened(text, most) == shown


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.integers(1, 250), min_size=4, max_size=4), min_size=1, max_size=5), st.integers(80, 200))
def test_a_table_of_names_fits(lengths: list[list[int]], width: int) -> None:
    columns = ["a", "b", "c", "d"]
    rows = [["n" * n for n in row] for row in lengths]
    most = widest_column(columns, rows, width, between=2)
    found = [max(len(shortened(row[i], most)) for row in rows) for i in range(4)]
    assert sum(found) + 2 * 3 <= width
    needed = [max(row[i] for row in lengths) for i in range(4)]
    assert sum(needed) + 6 > width or found == needed, "nothing is cut without need"


TABLE = Table(
    ["producers", "loop", "sent", "acknowledged", "rate", "p99"],
    [[LONG, "open", "7,500", "7,500", "500/s", "97 ms"], ["short", "closed", "1", "1", "1/s", "1 ms"]],
    right=frozenset({"sent"}),
)


@pytest.mark.parametrize("width", [80, 120, 400])
def test_a_load_of_a_long_topic_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    console.begin(ConsoleSettings())
    lines = re.sub(r"\033\[[\d;]*m", "", console.render(TABLE)).splitlines()
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if line.strip()]) == 4, "no name is folded over lines"
    assert any(line.startswith(" orders.x") and "97 ms" in line for line in lines)
    assert (LONG in "".join(lines)) == (width == 400)


def test_elsewhere_names_are_cut_too_and_programs_get_them_whole(capsys: pytest.CaptureFixture[str]) -> None:
    for output in (OutputFormat.TABLE, OutputFormat.PLAIN, OutputFormat.MARKDOWN):
        console.begin(ConsoleSettings(output=output))
        assert max(len(line) for line in console.render(TABLE).splitlines()) < ELSEWHERE + 60
    console.begin(ConsoleSettings(output=OutputFormat.JSON))
    console.emit({"name": LONG}, TABLE)
    assert json.loads(capsys.readouterr().out) == {"name": LONG}
