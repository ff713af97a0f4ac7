"""Parts to HTML: everything is escaped, empty charts are left out, and positions and ticks are right."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.pages import scale
from asgard.core.pages.draw import draw, thinned, trend
from asgard.core.pages.parts import (
    Cell,
    Chart,
    Column,
    Command,
    Evidence,
    Facts,
    Field,
    Figure,
    Figures,
    Link,
    Mark,
    Moment,
    Notice,
    Part,
    Prose,
    Section,
    Series,
    Table,
    Timeline,
    Unit,
    Verdict,
)
from asgard.core.pages.render import environment, render

EVIL = "</script><img src=x onerror=alert(1)>\"'&"


def chart(*values: float | None, **more: object) -> Chart:
    return Chart("Rate", list(range(len(values))), [Series("sent", list(values))], "per_s", **more)  # type: ignore[arg-type]


def everything(text: str) -> list[Part]:
    """Every part, with this text wherever text can stand."""
    return [
        Verdict(text, text, "good", [text]),
        Figures([Figure(text, text, text, "bad")]),
        Notice(text, "bad"),
        Timeline(text, [Moment(text, text, "warn", text)]),
        Chart(text, [0, 1], [Series(text, [1, 2]), Series(text, [2, None])], "count", marks=[Mark(0.5, text, 0.7)]),
        Chart(text, [text], [Series(text, [1])], "bytes", kind="bar", x_is="category", subtitle=text, summary=text),
        Section(
            text,
            [
                Table(text, [Column(text), Column(text, number=True)], [[text, Cell(text, 1, tone="bad", share=0.5, trend=[1, None, 2])]], text),
                Table(text, [Column(text)], [], empty=text),
                Facts(text, [(text, text)]),
                Prose(text, [text], "bad"),
            ],
            text,
        ),
        Evidence([text], [Link(text, "result.json")]),
        Command(text, text),
    ]  # fmt: skip


def test_all_text_is_escaped() -> None:
    page = render(EVIL, everything(EVIL), eyebrow=EVIL, links=[Link(EVIL, "a")])
    assert "<img" not in page and "onerror" in page
    assert page.count("</script>") == 3, "two charts' values and the page's own script"
    forms = environment().from_string(
        '{% import "asgard/forms.html" as f %}{{ f.field(one) }}{{ f.button(t) }}{{ f.errors([t]) }}'
    )
    kinds = ("text", "password", "select", "textarea", "checkbox")
    for kind in kinds:
        one = Field("n", EVIL, kind, EVIL, EVIL, EVIL, options=[(EVIL, EVIL)], pattern=EVIL)  # type: ignore[arg-type]
        assert "<img" not in forms.render(one=one, t=EVIL)


def test_a_field_names_its_help_and_its_error_and_a_password_is_never_sent_back() -> None:
    template = environment().from_string('{% import "asgard/forms.html" as f %}{{ f.field(one) }}')
    text = template.render(
        one=Field("topic", "Topic", value="a b", help="Letters.", error="has a blank", required=True)
    )
    assert 'aria-describedby="topic-help topic-error"' in text and 'aria-invalid="true"' in text
    assert 'for="topic"' in text and " required" in text and 'id="topic-error">has a blank<' in text
    assert "s3cret" not in template.render(one=Field("p", "Password", "password", "s3cret"))


def test_a_page_names_its_style_and_script_in_its_policy_and_nothing_else() -> None:
    page = render("A", everything("text"), made_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
    assert re.search(r"default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; img", unescape(page))
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.S)
    assert not re.search(r"<[^>]+ (style|on\w+)=", markup), "no style attribute and no handler"
    assert "https:" not in page and "src=" not in page and "2026-01-02 03:04 UTC" in page
    assert len(page) < 200_000


def test_empty_charts_and_sections_are_left_out() -> None:
    page = render("A", [chart(None, None), Section("Nothing here", [chart()]), Section("Rates", [chart(1, 2)])])
    assert page.count("<figure") == 1 and "Nothing here" not in page and "Rates" in page


@pytest.mark.parametrize(
    ("values", "unit", "ticks"),
    [
        ([0, 200.4], "per_s", ["0", "100", "200", "300"]),
        ([3], "count", ["0", "1", "2", "3"]),
        ([0.0123], "seconds", ["0", "5 ms", "10 ms", "15 ms"]),
        ([700], "seconds", ["0", "5 min", "10 min", "15 min"]),
        ([3 * 1024**3], "bytes", ["0", "1 GiB", "2 GiB", "3 GiB"]),
        ([0.93], "percent", ["0", "50%", "100%"]),
        ([1_250_000], "count", ["0", "500k", "1M", "1.5M"]),
        ([0, 0], "count", ["0", "0.5", "1"]),
    ],
)
def test_ticks_are_few_round_and_have_a_unit(values: list[float], unit: Unit, ticks: list[str]) -> None:
    assert [scale.short(tick, unit) for tick in scale.linear(values, unit).ticks] == ticks


@given(st.lists(st.floats(0, 1e15), min_size=1), st.sampled_from(["count", "per_s", "seconds", "bytes", "percent"]))
def test_every_value_lies_within_its_axis(values: list[float], unit: Unit) -> None:
    for axis in (scale.linear(values, unit), scale.logarithmic(values)):
        assert 1 <= len(axis.ticks) <= 7
        assert all(-1e-6 <= axis.place(value) <= 1 + 1e-6 for value in values)
        assert all(-1e-6 <= axis.place(tick) <= 1 + 1e-6 for tick in axis.ticks)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
def test_a_day_has_its_hours_also_where_the_clock_changes(day: str, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    low = datetime.fromisoformat(day).replace(tzinfo=zone).timestamp()
    axis = scale.clock(low, low + hours * 3600, zone)
    words = scale.clock_words(low, low + hours * 3600, zone)
    assert [words(tick) for tick in axis.ticks] == ["00:00", "06:00", "12:00", "18:00", "00:00"]


def test_thinning_keeps_every_peak_and_every_gap() -> None:
    values: list[float | None] = [1.0] * 10_000
    values[7_123], values[3_210] = 99.0, -5.0
    kept = thinned([Series("a", values)], 250)
    assert {0, 3_210, 7_123, 9_999} <= set(kept) and len(kept) <= 502
    assert thinned([Series("a", [1, None, 3])], 250) == [0, 1, 2]
    shape = draw(chart(1, 2, None, 4, None, 5, 6)).shapes[0]
    assert shape.line.count("M") == 3 and shape.line.count("h2") == 1, "gaps stay gaps, a single point is seen"


def test_marks_lie_where_their_time_is_and_their_letters_do_not_overlap() -> None:
    marks = [Mark(5, "later", 20, "fault"), Mark(4.9, "first", None, "note"), Mark(5, "third")]
    bands = draw(chart(*[1] * 11, marks=marks)).bands
    assert [(b.letter, b.text, b.at, b.width) for b in bands] == [
        ("A", "first", 49, 0),
        ("B", "later", 50, 50),
        ("C", "third", 50, 0),
    ]
    letters = [b.letter_at for b in bands]
    assert all(after - before >= 3 for before, after in itertools.pairwise(letters))
    assert (bands[0].when, bands[1].when) == ("4.9 s", "5 s to 20.0 s")


def test_a_chart_says_in_words_what_it_shows() -> None:
    found = draw(chart(10, 30, 20, marks=[Mark(1, "broker 3 killed")]))
    assert found.summary == "sent: from 10/s to 30/s, highest at 1 s; marked: broker 3 killed at 1 s."
    assert found.rows == [["0 s", "10/s"], ["1 s", "30/s"], ["2 s", "20/s"]]


def test_bars_stand_beside_each_other_and_a_histogram_fills_its_buckets() -> None:
    bars = Chart("Disk", ["1", "2"], [Series("before", [1, 2]), Series("after", [2, 0])], "count", "bar", "category")
    before, after = draw(bars).shapes
    assert before.fill == "M60.00 1000.0V500.0h190.00V1000.0zM560.00 1000.0V0.0h190.00V1000.0z"
    assert after.fill == "M250.00 1000.0V0.0h190.00V1000.0z", "nothing is drawn for zero"
    buckets = Chart("Waits", [0, 0.001, 0.01], [Series("n", [4, 2])], "count", "histogram", "value")
    found = draw(buckets)
    assert found.shapes[0].fill.startswith("M0.00 1000.0V0.0h100.00")
    assert found.rows == [["0 s to 1 ms", "4"], ["1 ms to 10 ms", "2"]]


def test_many_names_are_thinned_and_cut() -> None:
    names = [f"orders.created.by.region.{i}" for i in range(100)]
    ticks = draw(Chart("T", names, [Series("n", [1.0] * 100)], "count", "bar", "category")).x_ticks
    assert len(ticks) == 10 and ticks[0].text == "orders…ion.0" and any(t.spare for t in ticks)


def test_the_small_line_of_a_cell_keeps_its_gaps() -> None:
    assert trend([0, 10, None, 5, 10]) == "M0.0 19.0h.5L25.0 1.0M75.0 10.0h.5L100.0 1.0"
    assert trend([None, None]) == "" and trend([0, 0]) == "M0.0 19.0h.5L100.0 19.0"


def test_the_example_of_the_docs_is_a_page() -> None:
    example = (Path(__file__).parents[3] / "docs" / "pages.md").read_text().split("```python\n")[1].partition("```")[0]
    made: dict[str, Any] = {}
    exec(example, made)
    assert "The cluster took 800 records/s." in made["html"] and "</b> broker 3 killed" in made["html"]
