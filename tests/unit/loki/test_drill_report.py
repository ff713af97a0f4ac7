"""What a stakeholder reads after a drill: the verdict, the story, the page, and the files for programs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from asgard.compose.drill import DrillOrder, command
from asgard.core.contexts import Context
from asgard.kafka.connection import Connection
from asgard.kafka.model import Broker
from asgard.kafka.target import Target
from asgard.loki.check.check import RecordCounts
from asgard.loki.drill import report, tables
from asgard.loki.drill.page import page, verdict
from asgard.loki.drill.result import Drill, Struck
from asgard.loki.drill.scenarios import KINDS, DrilledCluster, load_of, plan
from asgard.loki.drill.verdict import added_up, judged
from asgard.loki.load.outcome import LoadOutcome, Row, Worker
from asgard.loki.load.result import CheckSummary, FindingSummary, LoadResult, Mark, measured
from asgard.loki.load.tally import Part

THREE = DrilledCluster(tuple(Broker(i, f"r{i}") for i in (1, 2, 3)), controller=2)
KILLED = Struck(
    "kill_broker", "broker 3 killed", (3,), 4.0, 9.0, 9.3, 13.2, "restarting the node of broker 3: it is back"
)
COMMAND = "asgard loki drill broker-dies --seed 7 --context orders"


def load(
    lost: int = 0,
    duplicates: int = 0,
    unknown: int = 0,
    outcome: str = "kept",
    name: str = "broker-dies",
    **rows: float,
) -> LoadResult:
    """A load of 25 s in which a record waited for 9.4 s until 14 s, and came to a consumer at the same time."""
    drawn = load_of(plan(name, 7, THREE, 100))
    series = [Row(i * 0.25, sent=25, acked=25, read=25, max_s=0.01, end_to_end_max_s=0.02) for i in range(100)]
    series[56] = dataclasses.replace(series[56], max_s=9.4, end_to_end_max_s=9.5)
    parts = {"producers/0": Part(sent=2500, acked=2500 - unknown, unknown=unknown), "consumers/0": Part(read=2500)}
    parts["producers/0"].latency.add([9_400_000])
    parts["consumers/0"].end_to_end.add([9_500_000])
    seen = LoadOutcome(1_700_000_000_000_000, 25.0, 0.25, True, [Worker(0, "h", 1, "done")], parts, series)
    made = measured(drawn, seen, run=bytes(16), cluster_id="c", topics={"drill": "loki-drill"}, group="g")
    findings = (
        [FindingSummary(f"lost-write: {lost:,} records", lost, "an acknowledged record is kept", "")] if lost else []
    )
    counts = RecordCounts(sent=2500, acknowledged=2500 - unknown, read_back=2500 - lost)
    check = CheckSummary(
        outcome, "What the check says.", "acks=all", counts, lost, duplicates, 0, findings, ["A note."]
    )
    return dataclasses.replace(made, check=check, marks=[Mark(4.0, "broker 3 killed", 17.2)])


def drill(*faults: Struck, name: str = "broker-dies", seed: int = 7, **how: object) -> Drill:
    return judged(plan(name, seed, THREE, 100), faults or (KILLED,), load(name=name, **how), COMMAND)  # type: ignore[arg-type]


def broken(run: Drill) -> set[str]:
    assert run.passed == all(p.kept for p in run.promises)
    return {p.name for p in run.promises if not p.kept}


def test_a_drill_that_was_stood_says_so_in_words_for_anybody() -> None:
    run = drill()
    assert broken(run) == set()
    assert run.verdict == (
        "Nothing was lost: all 2,500 records that the cluster had acknowledged are still there, each of them once. "
        "The cluster healed itself."
    )
    story = " ".join(run.story)
    assert (
        "4.0 s after the start: broker 3 killed. Noticed after 9.3 s. Everything had recovered 13 s after it began"
        in story
    )
    assert "some producers were blocked for 9.4 s and some consumers got nothing new for 9.5 s" in story
    assert "the slowest record took 9.40 s to be acknowledged and 9.50 s to be read" in story
    assert "What the check says." in story and "A note." in story
    assert (run.worst_s, run.worst_end_to_end_s) == (9.4, 9.5)
    (fault,) = run.faults
    assert (fault.producers_waited_s, fault.consumers_waited_s) == (9.4, 9.5)


def test_lost_records_come_first() -> None:
    run = drill(lost=12, outcome="broken")
    assert broken(run) == {"kept"}
    assert run.verdict == "12 of 2,500 records that the cluster had acknowledged are lost for good."
    run = drill(lost=1, name="acks1-unclean")
    assert not run.passed and run.verdict.startswith(
        "1 of 2,500 records that the cluster had acknowledged is lost for good."
    )
    assert "That is what this scenario is made to show" in run.verdict
    assert any("unclean leader election" in line and "acks=all" in line for line in run.story)


def test_a_scenario_made_to_lose_that_loses_nothing_proves_nothing() -> None:
    assert drill(name="acks1-unclean").verdict.endswith("did not this time, so the run proves nothing.")


@pytest.mark.parametrize(
    ("how", "promise", "words"),
    [
        ({"duplicates": 3}, "once", "but this does not hold: no record is duplicated (3 duplicated)"),
        ({"unknown": 4}, "answered", "every record that was sent was acknowledged in the end (4 were not)"),
    ],
)
def test_what_else_did_not_hold_is_named(how: dict[str, int], promise: str, words: str) -> None:
    run = drill(**how)  # type: ignore[arg-type]
    assert broken(run) == {promise} and words in run.verdict
    assert any("issue 4953" in line for line in run.story) == (promise == "once")


def test_what_could_not_be_looked_for_is_not_called_safe() -> None:
    run = drill(outcome="undecided")
    assert {"kept", "once"} <= broken(run) and "It is unknown whether all" in run.verdict


def test_any_other_promise_of_kafkas_counts_too() -> None:
    run = drill()
    assert run.load.check is not None
    skipped = FindingSummary("poll-skip within an assignment: 4 records", 4, "a consumer receives every record", "")
    check = dataclasses.replace(run.load.check, outcome="broken", findings=[skipped])
    run = judged(plan("broker-dies", 7, THREE, 100), [KILLED], dataclasses.replace(run.load, check=check), COMMAND)
    assert broken(run) == {"order"} and "poll-skip within an assignment: 4 records" in run.verdict


def test_the_page_of_the_docs_names_every_scenario_and_promise() -> None:
    text = (Path(__file__).parents[3] / "docs" / "loki-drill.md").read_text()
    for name in KINDS:
        assert f"`{name}`" in text, name
    for promise in drill().promises:
        assert f"- {promise.words}\n".replace("3 m of", "three minutes of") in text, promise.words


def test_a_cluster_that_the_drill_had_to_mend_did_not_heal_itself() -> None:
    run = drill(dataclasses.replace(KILLED, healed_s=None, by_hand=True, healing="it would not start"))
    assert broken(run) == {"healed"}
    assert "Not healed within 3 m (it would not start); the drill put it back." in run.story[0]


def test_what_passes_by_itself_needs_no_healing() -> None:
    rolling = Struck("rolling_restart", "brokers 1, 2, 3 restarted", (), 4.0, healed_s=20.0, heals=False)
    run = drill(rolling)
    assert run.passed and "healed itself" not in run.verdict and "Noticed" not in run.story[0]
    assert tables.faults(added_up([run], "orders", COMMAND)).rows[0][4] == "it passed"


def test_waiting_belongs_to_the_fault_before_it() -> None:
    second = dataclasses.replace(KILLED, at_s=10.0, healed_s=10.0)
    first, other = drill(KILLED, second).faults
    assert (first.producers_waited_s, other.producers_waited_s) == (5.15, 4.25)


def test_several_drills_tell_how_often_each_promise_was_kept() -> None:
    runs = [drill(seed=7), drill(seed=8, lost=5, outcome="broken"), drill(seed=9)]
    series = added_up(runs, "orders", COMMAND)
    assert not series.passed
    assert series.verdict.startswith("1 of 3 drills did not pass: 5 of 7,500 records")
    assert "one had seed 8: 5 of 2,500" in series.verdict
    kept = {o.name: o.share for o in series.often}
    assert (kept["kept"].kept, kept["kept"].of, kept["healed"].kept) == (2, 3, 3)
    assert added_up(runs[::2], "orders", COMMAND).verdict == (
        "All 2 drills passed: nothing was lost of 5,000 records that the cluster had acknowledged."
    )


def test_the_page_answers_first_and_needs_no_network() -> None:
    text = page(added_up([drill()], "orders", COMMAND))
    order = [
        "<title>Passed: broker-dies on orders, nothing lost</title>",
        "Disaster drill broker-dies on orders · 2023-11-14 22:13 UTC",
        "Nothing was lost. The cluster healed itself in 13 s.",
        "What broke: broker 3 killed 4.0 s after the start, while 100 records/s were produced and consumed.",
        "Records lost",
        "of 2,500 acknowledged",
        "Producers blocked",
        "9.4 s",
        "Time to heal",
        "What happened",
        "Producers are blocked for 9.4 s, consumers for 9.5 s",
        "Thor notices",
        "Recovered",
        "Throughput",
        "Promises",
        "How this is known",
        "Repeat this drill",
        COMMAND,
        "orders (c)",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places), order[next(i for i, at in enumerate(places) if at < max(places[: i + 1]))]
    assert "src=" not in text and "https:" not in text and len(text) < 200_000
    assert text.count("<figure") == text.count("</b> Thor heals <") == 3, "faults and healings are marked in each chart"


@pytest.mark.parametrize(
    ("how", "word", "headline"),
    [
        ({"lost": 12, "outcome": "broken"}, "Failed", "12 of 2,500 acknowledged records were lost."),
        ({"lost": 1, "outcome": "broken"}, "Failed", "1 of 2,500 acknowledged records was lost."),
        ({"outcome": "undecided"}, "Failed", "It could not be determined whether records were lost."),
        ({"duplicates": 3}, "Failed", "Nothing was lost, but 1 of 6 promises did not hold."),
        ({"unknown": 2500}, "Failed", "The cluster acknowledged no records."),
        ({"name": "acks1-unclean"}, "Failed", "Nothing was lost this time, so this drill proves nothing."),
    ],
)
def test_the_headline_says_the_worst_first(how: dict[str, object], word: str, headline: str) -> None:
    found = verdict(added_up([drill(**how)], "orders", COMMAND))  # type: ignore[arg-type]
    assert (found.word, found.headline) == ("Passed" if how.get("name") and found.word == "Passed" else word, headline)


def test_a_fault_that_passes_by_itself_is_no_healing() -> None:
    rolling = Struck("rolling_restart", "brokers 1, 2, 3 restarted", (), 4.0, healed_s=20.0, heals=False)
    assert verdict(added_up([drill(rolling)], "orders", COMMAND)).headline == "Nothing was lost."


def test_the_page_of_several_drills_shows_the_worst_one() -> None:
    text = page(added_up([drill(seed=7), drill(seed=8, lost=5, outcome="broken"), drill(seed=9)], "orders", COMMAND))
    assert "in the run with seed 8" in text and "2 of 3" in text and "20.8% to 93.9%" in text
    assert "5 of 7,500 acknowledged records were lost in 3 drills." in text and 'class="verdict bad"' in text


def test_programs_and_ci_get_the_same(tmp_path: Path) -> None:
    series = added_up([drill(seed=7), drill(seed=8, lost=5, outcome="broken")], "orders", COMMAND)
    assert report.write(series, tmp_path / "out") == tmp_path / "out" / "report.html"
    document = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (document["format"], document["passed"], len(document["runs"])) == ("asgard.drill/v1", False, 2)
    run = document["runs"][1]
    assert (run["lost"], run["seed"], run["faults"][0]["noticed_s"], run["producers_waited_s"]) == (5, 8, 9.3, 9.4)
    suites = ElementTree.parse(tmp_path / "out" / "junit.xml").getroot()
    assert {s.get("name"): s.get("failures") for s in suites} == {
        "drill broker-dies, seed 7": "0",
        "drill broker-dies, seed 8": "1",
    }
    assert "5 lost" in suites[1].findall("testcase")[0].find("failure").get("message")  # type: ignore[union-attr,operator]


def test_the_command_that_repeats_a_drill_names_what_was_not_the_default() -> None:
    target = Target(Connection("h:1"), Context("orders", "h:1"))
    assert command(target, DrillOrder("rack-lost", 7)) == "asgard loki drill rack-lost --seed 7 --context orders"
    order = DrillOrder("rack-lost", 7, runs=3, rate_per_s=50, policy_file=Path("thor.yaml"), allow_data_loss=True)
    options = "--seed 7 --runs 3 --rate 50/s --policy thor.yaml --allow-data-loss --bootstrap-server h:1"
    assert command(Target(Connection("h:1")), order) == f"asgard loki drill rack-lost {options}"
