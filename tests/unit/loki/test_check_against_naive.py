"""The check in arrays and bits finds what a naive one finds, record by record, for histories with anything in them."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgard.loki.check import arrays, order
from asgard.loki.check.anomalies import EXAMPLES, Symptom
from asgard.loki.check.check import check
from asgard.loki.check.history import NO_OFFSET, HistoryFiles
from tests.harness.examples import examples
from tests.unit.loki.naive_check import Found, Reader, Sender, Story
from tests.unit.loki.naive_check import check as naive

SENT, OFFSETS, PARTITIONS = 8, 14, 2
offsets = st.integers(0, OFFSETS - 1)
partitions = st.integers(0, PARTITIONS - 1)
rows = st.tuples(offsets, st.integers(0, 3), st.integers(0, SENT), st.sampled_from([False] * 7 + [True]))


@st.composite
def senders(draw) -> Sender:
    sent = draw(st.integers(1, SENT))
    told = st.tuples(partitions, st.one_of(offsets, st.just(NO_OFFSET)))
    acks = draw(st.dictionaries(st.integers(0, SENT), told, max_size=sent))
    failed = draw(st.sets(st.integers(0, sent - 1), max_size=2))
    cuts = sorted(draw(st.sets(st.integers(0, sent), max_size=4)))
    outcomes = st.sampled_from(["committed", "aborted", "indeterminate"])
    transactions = [(draw(outcomes), first, until) for first, until in pairwise(cuts)]
    if cuts and draw(st.booleans()):
        transactions.append(("begun", cuts[-1], cuts[-1]))
    return Sender(sent, acks, failed, transactions)


@st.composite
def readers(draw) -> Reader:
    assigned = st.tuples(st.just("assigned"), st.lists(partitions, min_size=1, max_size=2, unique=True))
    messy = st.tuples(st.just("polled"), partitions, st.lists(rows, min_size=1, max_size=6))
    tidy = st.builds(
        lambda partition, start, names: (
            "polled",
            partition,
            [(start + step, producer, sequence, False) for step, (producer, sequence) in enumerate(names)],
        ),
        partitions,
        st.integers(0, 4),
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, SENT - 1)), min_size=1, max_size=6),
    )
    events = draw(st.lists(st.one_of(assigned, messy, tidy), max_size=5))
    isolation = draw(st.sampled_from(["read_committed", "read_uncommitted"]))
    return Reader(draw(st.sampled_from(["assign", "subscribe"])), isolation, events)


@st.composite
def stories(draw) -> Story:
    story = Story(draw(st.lists(senders(), min_size=1, max_size=3)), draw(st.lists(readers(), max_size=3)))
    if draw(st.booleans()):
        story.last = draw(st.dictionaries(partitions, st.lists(rows, min_size=1, max_size=12), max_size=PARTITIONS))
        bounds = st.tuples(st.integers(0, 4), st.integers(4, OFFSETS), st.booleans())
        story.bounds = draw(st.dictionaries(partitions, bounds, max_size=PARTITIONS))
    return story


def agree(story: Story, far: int = 0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story.write(Path(folder), far=far)
        result = check(HistoryFiles(Path(folder)))
    expected = naive(story)
    got = Found(
        **{name: getattr(result.counts, name) for name in Found.__dataclass_fields__ if name != "cases"}, cases=None
    )
    assert {case: result.cases.get(case, 0) for case in Symptom} == {case: expected.cases[case] for case in Symptom}
    expected.cases = None
    assert got == expected
    for case, count in result.cases.items():
        assert 0 < len(result.examples[case]) <= min(EXAMPLES, count)
    assert sum(len(m.sequences) for m in result.missing.values()) == result.cases.get(Symptom.LOST, 0)


@settings(max_examples=examples(60), deadline=None)
@given(stories())
def test_any_history_is_judged_as_a_naive_check_judges_it(story: Story) -> None:
    agree(story)


@settings(max_examples=examples(20), deadline=None)
@given(stories(), st.integers(1, 3))
def test_so_it_is_when_memory_is_worked_through_in_small_pieces(story: Story, chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(order, "_CHUNK", chunk)
        agree(story)


@settings(max_examples=examples(20), deadline=None)
@given(stories())
def test_so_it_is_among_other_peoples_records_and_with_great_numbers(story: Story) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_SPARE", -1)
        patch.setattr(arrays, "_TABLE", 1)
        agree(story, far=1 << 40)
