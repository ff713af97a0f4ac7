"""The status of a partition from a window of samples: Burrow's rules as cases, and where and why Heimdall differs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.cli.command import Which
from asgard.cli.heimdall import lag as cli_lag
from asgard.heimdall.lag import ask, times
from asgard.heimdall.lag.ask import retention
from asgard.heimdall.lag.evaluate import group_lags
from asgard.heimdall.lag.judge import judge_group
from asgard.heimdall.lag.model import GroupToJudge, LagReport, OffsetSample, Retention, Thresholds
from asgard.heimdall.store import recent
from asgard.kafka.groups import UNANSWERED, Layout, ListedGroup
from tests.harness.burrow import CASES, Case, judged, line, window
from tests.harness.heimdall_days import group_lag


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_status(case: Case):
    got = case.judge()
    assert got.status == case.heimdall, got.because
    assert case.differs == bool(case.why), "a difference has its reason"


def test_what_users_of_burrow_found_wrong_is_a_case_and_judged_otherwise():
    found = {number: [case for case in CASES if number in case.issues] for number in (223, 303, 453, 745)}
    assert all(found.values())
    assert all(case.differs for cases in found.values() for case in cases)


def test_two_samples_do_not_call_a_consumer_stalled_that_commits_every_five_seconds():
    got = judged(window([100, 100], [5000, 5000], every_s=2), age=400)
    assert got.status == "slow"
    assert "too short to call it stalled" in got.because


def test_time_to_catch_up_is_that_of_the_slowest_partition_and_not_the_mean():
    samples = [
        OffsetSample(
            n * 10.0,
            {"t": np.array([0, 0])},
            {"t": np.array([1000, 1000])},
            {"g": {"t": np.array([900 + n * 10, n])}},
        )
        for n in range(10)
    ]
    got = judged(samples, age=100)
    assert (got.catch_up_s, got.slowest, got.catching_up) == (pytest.approx(991 / 0.1), "t-1", True)
    samples[-1].committed["g"]["t"][1] = 0
    got = judged(samples, age=100)
    assert (got.catch_up_s, got.catching_up) == (None, False)


def test_what_retention_took_is_not_lag():
    got = judged(window([100, 100], [700, 700], start=500), age=10)
    assert (got.lag, got.expired_unread, got.loses_data_in_s) == (200, 400, 0.0)
    emptied = judged(window([100, 100], [700, 700], start=700))
    assert (emptied.lag, emptied.expired_unread, emptied.status) == (0, 600, "ok")
    assert "600 records were deleted" in emptied.because


def test_when_data_is_about_to_be_lost():
    got = judged(window([100, 100], [700, 700]), age=3000, keep_ms=3_600_000)
    assert got.loses_data_in_s == 600.0
    assert judged(window([100, 100], [700, 700]), age=3000).loses_data_in_s is None
    assert judged(window([700, 700], [700, 700]), keep_ms=3_600_000).loses_data_in_s is None
    assert retention({"cleanup.policy": "compact", "retention.ms": "1000"}) == Retention()
    assert retention({"cleanup.policy": "compact,delete", "retention.ms": "1000"}) == Retention(1000)
    assert retention({"cleanup.policy": "delete", "retention.ms": "-1"}) == Retention()


def test_what_was_not_measured_is_none_and_never_0():
    silent = judged(window([None, None], [700, 700]))
    assert (silent.lag, silent.time_lag_s, silent.uncommitted, silent.status) == (None, None, 1, "unknown")
    no_age = judged(window([100, 120], [700, 800]))
    assert (no_age.lag, no_age.time_lag_s, no_age.status) == (680, None, "unknown")
    assert "not measured" in no_age.because
    by_count = judged(window([100, 120], [700, 800]), thresholds=Thresholds(lag=500))
    assert by_count.status == "slow"


def two(ends: list[tuple[int, int]], commits: list[tuple[int, int]]) -> list[OffsetSample]:
    """Samples of a topic with two partitions, 10 s apart."""
    return [
        OffsetSample(n * 10.0, {"t": np.array([0, 0])}, {"t": np.array(end)}, {"g": {"t": np.array(commit)}})
        for n, (end, commit) in enumerate(zip(ends, commits, strict=True))
    ]


def test_an_age_that_could_not_be_read_is_not_0_seconds():
    samples = two([(700, 50)] * 2, [(90, 50), (100, 50)])
    got = judged(samples)
    assert (got.status, got.lag, got.time_lag_s, got.loses_data_in_s) == ("unknown", 600, None, None)
    assert got.unmeasured == {"age"} and "how old they are is not measured" in got.because
    (lag,) = group_lags(two([(700, 700)] * 2, [(90, 90), (100, 100)]), "g")
    lag = replace(lag, time_lag_s=np.array([np.nan, 7.0]))
    part = judge_group(GroupToJudge(ListedGroup("g", "classic", "Stable", 1), Thresholds()), [lag], 10.0, {})
    assert (part.status, part.time_lag_s, part.unmeasured) == ("unknown", 7.0, {"age"})
    by_count = judged(samples, thresholds=Thresholds(lag=5000))
    assert (by_count.status, by_count.unmeasured) == ("ok", {"age"}), "the status is by count, the alert is by age"


def test_a_partition_without_a_leader_is_not_read_to_its_end():
    got = judged(two([(700, 50), (UNANSWERED, 50)], [(100, 50)] * 2))
    assert (got.status, got.lag, got.time_lag_s, got.uncommitted) == ("unknown", 0, None, 0)
    assert got.unmeasured == {"lag"} and got.because.startswith("1 of its partitions have no leader that answers")
    slow = judged(two([(700, 900), (UNANSWERED, 2000)], [(100, 50), (100, 60)]), age=900)
    assert (slow.status, slow.time_lag_s, slow.unmeasured) == ("slow", 900.0, {"lag"})
    whole = judged(two([(UNANSWERED, UNANSWERED)] * 2, [(100, -1)] * 2))
    assert (whole.status, whole.lag, whole.uncommitted, whole.unmeasured) == ("unknown", None, 1, {"lag"})


def test_a_group_whose_offsets_are_refused_is_not_ok():
    idle = ListedGroup("g", "classic", "Empty", 1)
    got = judge_group(GroupToJudge(idle, Thresholds(), problem="not allowed"), [], 10.0, {})
    assert (got.status, got.because) == ("unknown", "its offsets could not be read: not allowed")
    assert got.lag is None and got.unmeasured == {"lag"}
    assert judge_group(GroupToJudge(idle, Thresholds()), [], 10.0, {}).status == "ok", "it has committed nothing"
    look = ask.Look(0.0, {"g": idle}, {}, Layout("c", 1, (), {}), {}, {}, {"g": "not allowed"})
    assert look.problem("g") == "not allowed" and replace(look, committed={"g": {}}).problem("g") is None


@pytest.mark.parametrize(
    ("samples", "active", "age", "status", "unmeasured"),
    [
        (1, False, 3600, "slow", {"pace"}),
        (1, False, 200, "unknown", {"pace"}),
        (1, True, 200, "unknown", {"pace"}),
        (1, False, 30, "ok", set()),
        (2, False, 3600, "stopped", set()),
        (2, True, 3600, "slow", {"pace"}),
        (9, True, 3600, "stalled", set()),
    ],
)
def test_too_few_samples_do_not_tell_whether_a_group_reads(samples, active, age, status, unmeasured):
    got = judged(window([100] * samples, [700] * samples), active=active, age=age)
    assert (got.status, got.unmeasured) == (status, unmeasured), got.because
    if samples == 1 and status != "ok":
        assert "one sample" in got.because or "how fast it reads is not measured" in got.because


def test_a_place_behind_which_there_is_no_record_has_nothing_unread():
    bulk = SimpleNamespace(
        first_records=lambda layout, positions: ({("t", 0): None, ("t", 1): 5_000, ("t", 2): -1}, {})
    )
    ages, _ = times.fetch(bulk, None, [("t", 0, 9), ("t", 1, 9), ("t", 2, 9), ("t", 3, 9)], 7.0)
    assert ages == {("t", 0, 9): 0.0, ("t", 1, 9): 2.0}


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("unknown", 1), ("slow", 1), (None, 1)])
def test_a_named_group_is_well_only_if_it_was_seen_to_be(monkeypatch, capsys, status, code):
    found = () if status is None else (group_lag("g", status),)
    report = LagReport(0.0, "two samples", 2.0, 2, found, {} if found else {"broker 1": "does not answer"})
    control = SimpleNamespace(close=lambda: None, cluster=lambda: SimpleNamespace(cluster_id="c"))
    monkeypatch.setattr(ask, "report", lambda *_, **__: report)
    monkeypatch.setattr(recent, "window", lambda *_: [])
    monkeypatch.setattr(Which, "pick", lambda self: SimpleNamespace(connect=lambda: control))
    assert cli_lag.lag("g", Which()) == code
    assert cli_lag.lag(None, Which()) == 0, "the list of all groups"


def test_a_commit_beyond_the_end_is_told():
    got = judged(window([1000, 1000], [10, 10]))
    assert (got.status, got.lag) == ("rewound", 0)
    assert "beyond the log's end 10" in got.because


def test_a_group_with_a_threshold_of_its_own():
    samples = window(line(0, 90), line(1000, 5000))
    assert judged(samples, age=200, thresholds=Thresholds(time_lag_s=60)).status == "slow"
    assert judged(samples, age=200, thresholds=Thresholds(time_lag_s=3600)).status == "ok"


def test_ages_are_bounded_by_the_time_index_from_both_sides():
    (lag,) = group_lags(window([100, 100], [700, 700]), "g")
    listed = [{"t": np.array([at])} for at in (-1, -1, 650, 300, 90, 0, 0, 0)]  # oldest of 10 s, 60 s, 5 min, 30 min, …
    (bounded,) = [times.bounded(lag, listed)]
    assert bounded.time_lag_s.tolist() == [1800.0]
    assert times.upper_bound([bounded]) == 7200.0
    assert times.oldest([bounded], 3) == [("t", 0, 100)]
    aged = times.aged(bounded, {("t", 0, 100): 2345.0})
    assert (aged.time_lag_s.tolist(), aged.exact.tolist()) == ([2345.0], [True])


def test_a_leader_that_does_not_answer_makes_no_record_old():
    (lag,) = group_lags(window([100, 100], [700, 700]), "g")
    whole = [{"t": np.array([at])} for at in (-1, -1, 650, 300, 90, 0, 0, 0)]
    for silent in (range(len(whole)), [0], [7]):
        listed = [{"t": np.array([UNANSWERED])} if n in silent else found for n, found in enumerate(whole)]
        bounded = times.bounded(lag, listed)
        assert np.isnan(bounded.time_lag_s).all() and times.upper_bound([bounded]) is None
        assert times.bounded(times.bounded(lag, whole), listed).time_lag_s.tolist() == [1800.0], "what was known stays"


def test_near_retention_the_index_is_asked_for_ages_just_before_it():
    (lag,) = group_lags(window([100, 100], [700, 700]), "g")
    day = 86400
    listed = [
        {"t": np.array([at])} for at in (-1, -1, -1, 650, 600, 500, 300, 0)
    ]  # older than two days, not than seven
    bounded = times.bounded(lag, listed)
    assert bounded.time_lag_s.tolist() == [2 * day]
    keeps = {"t": Retention(7 * day * 1000)}
    ((ages, topics),) = times.near_retention({"g": [bounded]}, keeps).items()
    assert (ages[0], ages[2], ages[-1], topics) == (6 * day, 7 * day - 21600, 7 * day - 900, {"t"})
    assert not times.near_retention({"g": [bounded]}, {"t": Retention(30 * day * 1000)}), "far from it"
    assert not times.near_retention({"g": [bounded]}, {"t": Retention()})
    listed = [{"t": np.array([at])} for at in (290, 200, 150, 80, 40, 10)]  # position 100 is older than 7 d less 6 h
    closer = times.bounded(bounded, listed, ages)
    assert closer.time_lag_s.tolist() == [7 * day - 21600]
    assert (
        judge_group(
            GroupToJudge(ListedGroup("g", "classic", "Stable", 1), Thresholds()), [closer], 10, keeps
        ).loses_data_in_s
        == 21600
    )


def test_a_round_of_fetches_has_each_partition_once():
    places = [("t", 0, 5), ("t", 0, 9), ("t", 1, 5), ("u", 0, 1)]
    assert times.rounds(places) == [{"t": {0: 5, 1: 5}, "u": {0: 1}}, {"t": {0: 9}}]


@given(
    st.lists(st.tuples(st.integers(-1, 100), st.integers(0, 100), st.integers(0, 50)), min_size=2, max_size=8),
    st.booleans(),
)
def test_figures_hold_together_whatever_the_samples(rows, active):
    samples = [
        OffsetSample(
            n * 10.0, {"t": np.array([start])}, {"t": np.array([start + end])}, {"g": {"t": np.array([commit])}}
        )
        for n, (commit, end, start) in enumerate(rows)
    ]
    got = judged(samples, active=active, age=100)
    commit, end, start = rows[-1]
    if commit < 0:
        assert got.lag is None
        return
    assert got.lag == max(start + end - max(commit, start), 0)
    assert got.expired_unread == max(start - commit, 0)
    assert got.status not in ("stalled", "stopped") or got.lag > 0
    assert not (active and got.status == "stopped")


def test_a_share_group_is_where_its_lag_says_and_not_where_its_start_offset_lingers() -> None:
    def settled(start: list[int], lag: list[int], ends: list[int] | None) -> list[int]:
        return list(ask.settled_at(*(None if x is None else np.array(x, np.int64) for x in (start, lag, ends))))  # type: ignore[arg-type]

    assert settled([0, 40, 0], [0, 10, 250], [1000, 100, 1250]) == [1000, 90, 1000]
    assert settled([7, 7], [-1, 3], [100, -1]) == [7, 7], "an older broker counts no lag; an end that is not known"
    assert settled([-1], [-1], [100]) == [-1], "it has settled nothing"
    assert settled([50], [90], [100]) == [50], "never before the start offset"
    assert settled([5], [0], None) == [5] and settled([5, 6], [0, 0], [9]) == [9, 6]
