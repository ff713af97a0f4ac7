"""Windows, watermarks, losses, gaps and duplicates, as tables and as properties against a count by hand."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.heimdall.audit import judge
from asgard.heimdall.audit.columns import Columns, of_stamps
from asgard.heimdall.audit.count import AuditCounts, Key
from asgard.heimdall.audit.ids import Ids
from asgard.heimdall.audit.judge import rows
from asgard.heimdall.audit.plan import AuditPlan, Tier
from asgard.heimdall.audit.sketch import Sketch
from asgard.kafka import stamp
from tests.harness.examples import examples

RUN = bytes(range(16))
PLAN = AuditPlan("a", (Tier("raw", ("r",)), Tier("enriched", ("e1", "e2"))))
S = 1_000_000


def columns(*records: tuple[int, int, float], partition: int = 0, delay_s: float = 1) -> Columns:
    """Records as (producer, sequence, due in seconds); producer -1: without a stamp."""
    at_us = np.array([int((due + delay_s) * S) // 1000 * 1000 for _, _, due in records], np.int64)
    stamps = b"".join(
        stamp.make(RUN, producer, sequence, int(due * S), b"") if producer >= 0 else bytes(stamp.SIZE)
        for producer, sequence, due in records
    )
    return of_stamps(np.full(len(records), partition, np.int64), at_us, stamps)


def row(found: list[judge.Row], topic: str) -> judge.Row:
    return next(row for row in found if row.topic == topic)


def test_a_record_counts_in_the_window_of_its_intended_time_and_one_without_stamp_in_that_of_its_own():
    counts = AuditCounts(PLAN)
    counts.add("r", columns((0, 0, 599), (0, 1, 600), (-1, 0, 1199), delay_s=1))
    assert {key.start_s: w.records for key, w in counts.windows.items()} == {0: 1, 600: 1, 1200: 1}
    assert counts.windows[Key(1200, 0, "r")].unstamped == 1


def test_lost_is_what_no_topic_of_the_next_tier_has_and_unmatched_what_the_tier_before_lacks():
    counts = AuditCounts(PLAN)
    counts.add("r", columns(*((0, i, i) for i in range(10))))
    counts.add("e1", columns(*((0, i, i) for i in range(5)), (5, 0, 3)))
    counts.add("e2", columns(*((0, i, i) for i in range(5, 8))))
    found = rows(counts, 0, "open")
    assert row(found, "r").lost == 2 and row(found, "r").gaps == 0 and row(found, "r").unmatched is None
    assert row(found, "r").examples == (f"{RUN.hex()}:0:8", f"{RUN.hex()}:0:9")
    assert row(found, "e1").unmatched == 1 and row(found, "e2").unmatched == 0 and row(found, "e1").lost is None


def test_a_gap_of_the_first_tier_is_what_a_producer_numbered_and_nobody_got_also_at_the_edge_of_a_window():
    counts = AuditCounts(AuditPlan("a", (Tier("raw", ("r",)),)))
    counts.add("r", columns((0, 7, 10), (0, 9, 20), (1, 3, 30)))
    counts.add("r", columns((0, 12, 610), (0, 11, 611), (1, 4, 612)))
    assert [row(rows(counts, start, "open"), "r").gaps for start in (0, 600)] == [1, 1]
    judge.close(counts, 600)
    assert row(rows(counts, 600, "open"), "r").gaps == 1, "what closed windows reached is remembered"


def test_records_that_come_out_of_order_over_a_window_s_edge_are_no_gap():
    counts = AuditCounts(AuditPlan("a", (Tier("raw", ("r",)),)))
    counts.add("r", columns((0, 0, 1), (0, 2, 2), (0, 1, 601), (0, 3, 602)))
    assert [row(rows(counts, start, "open"), "r").gaps for start in (0, 600)] == [0, 0]


@pytest.mark.parametrize(
    ("newest", "unread", "until_s"),
    [
        pytest.param({("r", 0): 1900, ("e1", 0): 1900, ("e2", 0): 1900}, set(), 1200, id="all have passed"),
        pytest.param({("r", 0): 1900, ("e1", 0): 700, ("e2", 0): 700}, set(), 0, id="a tier stands still"),
        pytest.param({("r", 0): 1900, ("e1", 0): 700, ("e2", 0): 1900}, set(), 1200, id="an idle topic of a tier"),
        pytest.param({("r", 0): 1900, ("e1", 0): 700, ("e2", 0): 1900}, {("e1", 0)}, 0, id="a partition is behind"),
        pytest.param({("r", 0): 1900}, set(), 0, id="a tier has seen nothing"),
        pytest.param(
            {("r", 0): 3000, ("e1", 0): 3000}, {("e2", 0)}, 0, id="nothing was ever read of one without a leader"
        ),
        pytest.param({}, set(), 0, id="nothing at all"),
    ],
)
def test_windows_close_when_the_watermark_of_every_tier_has_passed_them(newest, unread, until_s):
    counts = AuditCounts(PLAN)
    for (topic, partition), due in newest.items():
        counts.add(topic, columns((0, 0, due), partition=partition, delay_s=0))
    assert counts.due(unread) == until_s


def test_a_clock_that_is_ahead_closes_nothing():
    counts = AuditCounts(AuditPlan("a", (Tier("raw", ("r",)),)))
    counts.add("r", columns((0, 0, 100_000), delay_s=-99_000))
    assert counts.due(set()) == 0


def test_what_comes_after_its_window_was_closed_is_late_and_nothing_else():
    counts = AuditCounts(PLAN)
    counts.add("r", columns((0, 0, 1)))
    closed = judge.close(counts, 600)
    counts.add("r", columns((0, 0, 1), (0, 1, 2), (0, 2, 601)))
    assert row(closed, "r").records == 1 and row(closed, "r").state == "closed" and row(closed, "r").lost == 1
    assert counts.late == {Key(0, 0, "r"): 2} and set(counts.windows) == {Key(600, 0, "r")}


def test_a_lost_record_that_comes_late_is_lost_no_more():
    counts = AuditCounts(PLAN)
    counts.add("r", columns(*((0, i, i) for i in range(10)), (1, 3, 5)))
    counts.add("e1", columns(*((0, i, i) for i in range(6))))
    assert row(judge.close(counts, 600), "r").lost == 5
    key = Key(0, 0, "r")
    counts.add("e2", columns((0, 7, 7), (0, 7, 7), (0, 2, 2), (-1, 0, 3), (2, 9, 4)))
    counts.add("e1", columns((1, 3, 5), (0, 601, 601)))
    assert counts.recovered == {key: 2} and len(counts.missing[key]) == 3
    assert counts.missing[key].found_nowhere_in([], 5) == [((RUN, 0), s) for s in (6, 8, 9)]
    counts.add("r", columns((0, 8, 8)))
    assert len(counts.missing[key]) == 3, "what comes again in the tier itself is missing in the next one all the same"


def test_windows_older_than_what_could_be_read_are_not_judged():
    counts = AuditCounts(PLAN)
    counts.add("r", columns((0, 0, 1), (0, 5, 700)))
    counts.progress["r", 0].since_us = 650 * S
    assert {r.lost for r in rows(counts, 0, "closed")} == {None} and rows(counts, 0, "closed")[0].state == "partial"
    assert not any(r.troubled for r in rows(counts, 600, "closed") if r.start_s < 650)


IDS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20_000)), max_size=60)


@settings(max_examples=examples(30), deadline=None)
@given(first=IDS, second=IDS, cut=st.integers(0, 60))
def test_counts_are_those_of_sets_however_the_records_are_dealt_to_batches(first, second, cut):
    counts = AuditCounts(AuditPlan("a", (Tier("raw", ("r",)), Tier("next", ("n",)))))
    for topic, ids in (("r", first), ("n", second)):
        for part in (ids[:cut], ids[cut:]):
            if part:
                counts.add(topic, columns(*((p, s, 5) for p, s in part)))
    found = rows(counts, 0, "open")
    assert row(found, "r").lost == len(set(first) - set(second))
    assert row(found, "n").unmatched == len(set(second) - set(first))
    assert row(found, "r").duplicates == len(first) - len(set(first))
    spans = {p: [s for q, s in first if q == p] for p, _ in first}
    assert row(found, "r").gaps == sum(max(s) - min(s) + 1 - len(set(s)) for s in spans.values())


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.integers(0, 100_000), min_size=1), st.lists(st.integers(0, 100_000)))
def test_a_set_from_the_store_is_the_set(one, other):
    ids, again, there = Ids(), Ids(), Ids()
    doubled = ids.add((RUN, 1), np.array(one, np.int64))
    for who, number, bits in ids.items():
        again.put(who, number, bits)
    if other:
        there.add((RUN, 1), np.array(other, np.int64))
    assert doubled == len(one) - len(set(one)) and len(again) == len(set(one))
    assert again.missing_in([there]) == len(set(one) - set(other))
    assert again.spans() == {(RUN, 1): (min(one), max(one))}
    named = again.found_nowhere_in([there], 3)
    assert [n for _, n in named] == sorted(set(one) - set(other))[:3]


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=200), st.integers(0, 200))
def test_percentiles_are_within_one_percent_also_when_merged_and_stored(values, cut):
    whole, part = Sketch(), Sketch()
    whole.add(np.array(values[:cut]))
    part.add(np.array(values[cut:]))
    whole.merge(Sketch.load(part.dump()))
    assert whole.count == len(values) and whole.largest_ms == max(values)
    ordered = sorted(values)
    for share, found in zip((0.5, 0.95, 0.99), whole.quantiles(0.5, 0.95, 0.99), strict=True):
        rank = share * (len(values) - 1)
        low, high = ordered[int(rank)], ordered[min(int(rank) + 1, len(values) - 1)]
        assert found is not None and low * 0.989 - 0.002 <= found <= high * 1.011 + 0.002


def test_producers_of_a_batch_are_told_apart_by_run_and_number():
    runs = [bytes([i % 3]) + bytes(15) for i in range(50)]
    stamps = b"".join(stamp.make(run, i % 5, i, 0, b"") for i, run in enumerate(runs))
    found = of_stamps(np.zeros(50, np.int64), np.zeros(50, np.int64), stamps)
    assert [found.names[code] for code in found.who.tolist()] == [(run, i % 5) for i, run in enumerate(runs)]
    assert Counter(found.names) == Counter(set(found.names))


def test_stamps_whose_numbers_no_clock_shows_count_as_missing():
    stamps = stamp.make(RUN, 0, 0, 1 << 63, b"") + stamp.make(RUN, 0, 1 << 63, 0, b"")
    found = of_stamps(np.zeros(2, np.int64), np.array([7, 8], np.int64), stamps)
    assert found.stamped.tolist() == [False, False] and found.event_us.tolist() == [7, 8]
