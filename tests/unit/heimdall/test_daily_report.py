"""The daily report: its answer comes first, gaps are named with owners, the files say the same, hostile names stay text."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, date
from types import SimpleNamespace

import pytest

from asgard.heimdall import incidents
from asgard.heimdall.report import files, gather, page
from asgard.heimdall.report.day import Day, topic_days
from asgard.heimdall.report.sentences import answer, headline
from asgard.heimdall.store.read import HourCount
from asgard.heimdall.volume import counts
from asgard.heimdall.volume.model import Count
from asgard.heimdall.volume.windows import TimeWindow, of_day, weeks_before
from tests.harness.heimdall_days import OWNERS, drilled, event, made

DAY = made()


def test_the_answer_names_topics_with_gaps_and_their_owners():
    said = answer(DAY)
    assert (said.word, said.tone) == ("Incomplete", "bad")
    assert headline(DAY).endswith("2 topics have gaps.")
    assert said.sentences[0] == "Gaps: payments.refunds (team-payments, 4 hours), search.queries (team-web, 1 hour)."
    assert "clickstream has not read, beginning in 7 h 30 m" in said.sentences[1]
    assert "1 drill broke things on purpose" in said.sentences[-1]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, "Incomplete"),
        ({"topics": tuple(t for t in DAY.topics if t not in DAY.wrong)}, "Complete"),
        ({"topics": tuple(t for t in DAY.topics if t not in DAY.wrong), "made_at": DAY.end - 1}, "So far"),
        ({"topics": ()}, "Not comparable"),
    ],
)
def test_the_word_fits_the_day(change, word):
    assert answer(replace(DAY, **change)).word == word


def test_the_files_say_the_same(tmp_path):
    written = files.write(DAY, tmp_path / "out")
    assert [p.name for p in written] == ["report.html", "report.md", "report.json", "topics.csv", "unusual.csv"]
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["format"] == "asgard.daily/v1" and document["headline"] == headline(DAY)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "topics.csv").read_text())))
    assert len(rows) == 24 * len(DAY.topics) and sum(int(r["records"]) for r in rows) == document["records"]
    unusual = list(csv.DictReader(io.StringIO((tmp_path / "out" / "unusual.csv").read_text())))
    assert {(r["topic"], r["verdict"]) for r in unusual} == {
        ("payments.refunds", "missing"),
        ("search.queries", "missing"),
    }
    chat = (tmp_path / "out" / "report.md").read_text()
    assert (
        chat.startswith("**orders-eu, Thursday 26 November 2026 (Europe/Berlin): Incomplete**")
        and chat.count("| missing |") == 5
    )
    html = (tmp_path / "out" / "report.html").read_text()
    assert len(html) < 300_000 and "broker 2 killed" in html and "https://" not in html


def test_hostile_names_stay_text():
    evil = "<img src=x onerror=alert(1)>|*_"
    topics = tuple(replace(t, topic=evil, owner=evil) for t in DAY.topics)
    day = replace(DAY, cluster=evil, topics=topics)
    assert "<img" not in page.page(day) and "<img" not in files.markdown(day).partition("\n")[2]


def test_a_day_that_knows_nothing_is_still_a_page():
    empty = Day("c", DAY.date, DAY.tz, DAY.begin, DAY.end, DAY.made_at, (), (), collected=False)
    html = page.page(empty)
    assert "Nothing was collected on this day" in html and "0 records in 0 topics arrived." in html


def test_what_kafka_has_forgotten_is_taken_from_the_store():
    week = 7 * 86400.0
    window = TimeWindow(100 * week, 100 * week + 3600, "now")
    earlier = [[TimeWindow(window.start - n * week, window.end - n * week, "then")] for n in range(1, 5)]
    gone = [Count("t", w[0], 5, None, (f"{counts.DELETED} records",)) for w in earlier]
    stored = [HourCount("t", int(w[0].start), 1000, 1, ()) for w in earlier[:3]]
    found = gather.judged([window], earlier, [Count("t", window, 10, None), *gone], stored, {}, window.end + 9e9)
    assert [(c.verdict, c.usual) for c in found] == [("low", 1000.0)]
    alone = gather.judged([window], earlier, [Count("t", window, 10, None), *gone], [], {}, window.end + 9e9)
    assert [c.verdict for c in alone] == ["unknown"]


def test_of_the_store_only_the_day_and_its_weekdays_before_are_read_one_after_the_other():
    asked, day = [], date(2026, 11, 26)
    store = SimpleNamespace(
        hours=lambda since, until: asked.append((since, until)) or [HourCount("t", int(since), 1, 1)]
    )
    days = [of_day(before, UTC) for before in (day, *weeks_before(day, 4))]
    found = gather.stored(store, days)
    assert asked == [], "not before it is needed"
    assert [hour.start for hour in found] == [int(hours[0].start) for hours in days]
    assert asked == [(hours[0].start, hours[0].start + 86400) for hours in days]


def test_a_topic_has_the_worst_verdict_of_its_hours():
    by_name = {t.topic: t for t in DAY.topics}
    assert by_name["payments.refunds"].verdict == "missing" and by_name["orders.created"].verdict == "as usual"
    assert topic_days([], OWNERS) == ()


def test_what_happened_has_a_beginning_and_an_end():
    found = incidents.happenings(drilled(1000.0), "c1", 0.0, 5000.0)
    assert [(h.kind, h.at, h.until) for h in found] == [
        ("drill", 1000.0, 1500.0),
        ("fault", 1060.0, 1420.0),
        ("fault", 1070.0, 1401.0),
        ("alert", 1080.0, 1410.0),
        ("healing", 1090.0, 1400.0),
    ]
    assert incidents.happenings(drilled(1000.0), "another", 0.0, 5000.0) == []
    assert [h.kind for h in incidents.happenings(drilled(1000.0), "c1", 1450.0, 5000.0)] == ["drill"]
    unended = incidents.happenings(drilled(1000.0)[:2], "c1", 0.0, 1100.0)
    assert [h.until for h in unended] == [None, None] and incidents.marks(unended, 0.0, 1100.0)[1].until == 1100.0
    failed = [event(1, 5.0, "thor.heal.started", "c", "i"), event(2, 9.0, "thor.heal.failed", "c", "i")]
    assert incidents.happenings(failed, "c1", 0, 10)[0].failed
