"""From what workers saw to a result, a verdict, a page and a test report."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import pytest

from asgard.core.pages.parts import Chart
from asgard.journal.events import Event
from asgard.loki.load import faults
from asgard.loki.load.junit import junit
from asgard.loki.load.outcome import LoadOutcome, Rows, Worker
from asgard.loki.load.page import charts, page
from asgard.loki.load.result import Judged, LoadResult, Mark, measured
from asgard.loki.load.scenario import Consumers, Producers, Scenario, Slo, Stage
from asgard.loki.load.tally import Part
from asgard.loki.load.verdict import judge, milliseconds


def part(**counts: int) -> Part:
    made = Part(**counts)  # type: ignore[arg-type]
    made.latency.add([2_000] * 98 + [300_000] * 2)
    made.measured = made.latency.count
    return made


def result(
    slo: Slo = Slo(), *, open_loop: bool = True, workers: list[Worker] | None = None, **counts: int
) -> LoadResult:
    stages = (Stage(10, 10, 10),) if open_loop else ()
    load = Scenario("peak", 10, (Producers("p", "t", stages=stages),), (Consumers("t"),), slo=slo)
    counts = {"sent": 100, "acked": 100, "first_us": 0, "last_us": 10_300_000, **counts}
    rows = Rows()
    rows.add(0, "producers/0", "a", part(**counts))
    reads = Part(read=100, lag=7)
    reads.end_to_end.add([5_000] * 100)
    rows.add(2, "consumers/0", "a", reads)
    outcome = LoadOutcome(
        1_700_000_000_000_000, 10.5, 1.0, False, workers or [Worker(0, "h", 1)], rows.totals, rows.close()
    )
    return measured(load, outcome, run=bytes(16), cluster_id="c", topics={"t": "loki-t"}, group="loki-g")


def missed(slo: Slo, **how: object) -> str | None:
    return judge(result(slo, **how), []).reason  # type: ignore[arg-type]


def test_figures_are_those_of_the_parts() -> None:
    made = result()
    sends, reads = made.sending[0], made.reading[0]
    assert (sends.loop, sends.sent, sends.rate_per_s) == ("open", 100, 10.0)
    assert sends.latency.p50_s == pytest.approx(0.002, rel=0.01)
    assert (sends.latency.p99_s, sends.latency.max_s) == (pytest.approx(0.3, rel=0.01), 0.3)
    assert (reads.group, reads.read, reads.lag) == ("loki-g", 100, 7)
    assert made.began_at == "2023-11-14T22:13:20.000000Z"
    assert [row.at_s for row in made.rows] == [0, 1, 2], "an interval in which nothing came has a row too"
    assert [row.acked for row in made.rows] == [100, 0, 0]


def test_the_rate_of_an_open_loop_is_the_planned_one_unless_the_last_answers_were_late() -> None:
    assert result(last_us=10_900_000).sending[0].rate_per_s == 10
    assert result(last_us=20_000_000).sending[0].rate_per_s == 5
    assert result(open_loop=False, first_us=0, last_us=5_000_000).sending[0].rate_per_s == 20


@pytest.mark.parametrize(
    ("slo", "how", "reason"),
    [
        (Slo(), {}, None),
        (Slo(p50_s=0.01, p99_s=0.5, errors=0, rate_per_s=10, end_to_end_s=0.01), {}, None),
        (Slo(p99_s=0.25), {}, "p99 was 300 ms, the goal is at most 250 ms"),
        (Slo(rate_per_s=11), {}, "rate was 10/s, the goal is at least 11/s"),
        (Slo(end_to_end_s=0.001), {}, "end-to-end p99 of loki-g was 5 ms, the goal is at most 1 ms"),
        (Slo(errors=0), {"failed": 1}, "errors was 1 of 100, the goal is none"),
        (Slo(errors=0.05), {"failed": 3, "unknown": 2}, None),
        (Slo(), {"acked": 0, "failed": 100}, "acknowledged was none, the goal is some records"),
        (Slo(), {"unsent": 3}, "sending was 3 records too late to be sent at all, the goal is all that was due"),
    ],
)
def test_a_goal_that_is_missed_is_told_in_one_line(slo: Slo, how: dict[str, int], reason: str | None) -> None:
    assert missed(slo, **how) == reason
    assert judge(result(slo, **how), []).passed is (reason is None)


def test_a_lost_worker_fails_the_load_and_is_named() -> None:
    lost = Worker(1, "h2", 77, "lost", 40, 0, None, 4.2, "stopped sending heartbeats")
    judged = judge(result(workers=[Worker(0, "h", 1, "done"), lost]), [])
    assert judged.reason == "workers was worker 1 (pid 77 on h2) lost after 4.2 s, the goal is 2 to the end"
    assert judged.marks == [Mark(4.2, "worker 1 lost")]


def test_a_late_part_goes_into_a_row_that_is_still_open_and_nothing_is_lost() -> None:
    rows = Rows()
    for second in range(40):
        rows.add(second, "producers/0", "a", Part(sent=1))
        rows.add(max(second - 30, 0), "producers/0", "b", Part(sent=1))
    assert sum(row.sent for row in rows.close()) == rows.totals["producers/0"].sent == 80


def test_lags_of_workers_add_up() -> None:
    rows = Rows()
    rows.add(0, "consumers/0", "a", Part(lag=5))
    rows.add(0, "consumers/0", "b", Part(lag=7))
    rows.add(1, "consumers/0", "a", Part(lag=1))
    assert rows.totals["consumers/0"].lag == 8


def test_faults_in_the_journal_are_marked_with_their_end() -> None:
    def event(at: float, verb: str, subject: str, cluster: str = "c", run: str | None = "r") -> Event:
        data = {"cluster_id": cluster, "text": f"{subject} killed"}
        return Event(0, at, "loki", f"loki.fault.{verb}", subject, "me", run, data)

    found = faults.marks(
        [
            event(90, "injected", "broker 9"),
            event(95, "ended", "broker 9"),
            event(98, "injected", "broker 1"),
            event(103, "ended", "broker 1"),
            event(104, "injected", "broker 2"),
            event(105, "injected", "broker 2", cluster="another"),
            event(106, "ended", "broker 2", run="another"),
            event(130, "injected", "broker 3"),
        ],
        "c",
        began_s=100,
        seconds=20,
    )
    assert found == [Mark(0, "broker 1 killed", 3), Mark(4, "broker 2 killed", 20)]


def test_only_what_was_measured_is_drawn() -> None:
    assert titles(result()) == ["Throughput", "Producer latency", "End-to-end latency", "Consumer lag"]
    failed = result(failed=3)
    assert titles(failed)[2] == "Errors" and sum(v or 0 for v in drawn(failed)[2].series[0].values) == 3
    alone = dataclasses.replace(result(), reading=[])
    assert titles(alone) == ["Throughput", "Producer latency"]
    assert [s.name for s in drawn(alone)[0].series] == ["sent", "acknowledged"]


def drawn(made: LoadResult) -> list[Chart]:
    return [part for part in charts(made) if isinstance(part, Chart)]


def titles(made: LoadResult) -> list[str]:
    return [chart.title for chart in drawn(made)]


def test_peaks_of_catching_up_do_not_flatten_the_throughput() -> None:
    chart = drawn(result())[0]
    assert chart.top == 20 and "catch-up peaks of up to 100/s are cut off" in chart.subtitle
    steady = dataclasses.replace(
        result(), rows=[dataclasses.replace(row, sent=10, acked=10, read=10) for row in result().rows]
    )
    assert drawn(steady)[0].top is None


def test_the_page_opens_with_the_answer_and_marks_what_happened() -> None:
    made = dataclasses.replace(result(Slo(p99_s=0.25)), marks=[Mark(3, "broker 2 <killed>", 6), Mark(7, "worker lost")])
    text = page(judge(made, [Judged("lost", "none", "3", False)]))
    places = [text.index(words) for words in ("Load test on t ", ">Failed<", "Latency p99 was 300 ms; the goal is at most 250 ms. 1 more of 2 goals", "of 100 sent", "What happened", "Throughput")]  # fmt: skip
    assert places == sorted(places)
    assert "broker 2 &lt;killed&gt;" in text and "<killed>" not in text
    assert text.count("<figure") == 4 and text.count("</b> worker lost <") == 4, "each chart has the marks"
    assert "<title>Failed: 10 records/s to t for 10 s</title>" in text
    assert "src=" not in text and len(text) < 200_000


def test_a_load_that_passed_says_what_the_cluster_took() -> None:
    text = page(judge(result(Slo(p99_s=0.5, errors=0)), []))
    assert "The cluster took 10 records/s. All 2 goals were met." in text and ">Passed<" in text


def test_each_goal_is_a_case_of_the_test_report() -> None:
    judged = judge(result(Slo(p99_s=0.25, errors=0)), [])
    root = ElementTree.fromstring(junit(judged))
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    failures = {case.get("name"): case.find("failure") is not None for case in root.iter("testcase")}
    assert failures == {"p99": True, "errors": False}


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.000321, "0.321 ms"), (0.00321, "3.21 ms"), (0.25, "250 ms"), (2.5, "2.50 s"), (125, "2 m 5 s"), (None, "-")],
)
def test_latencies_as_people_read_them(seconds: float | None, words: str) -> None:
    assert milliseconds(seconds) == words
