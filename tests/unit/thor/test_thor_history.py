"""`thor history`: events of healings as one line for each."""

from __future__ import annotations

from asgard.journal.events import Event
from asgard.thor.heal.history import healings

START = 1_795_510_800.0


def event(number: int, kind: str, decision: str, cluster: str = "a", **more: object) -> Event:
    data = {"cluster_id": cluster, "decision": decision, "action": f"doing {decision}", "cause": "why", "brokers": [3]}
    return Event(number, START + number, "thor", f"thor.heal.{kind}", f"name-{cluster}", "ada", "i", {**data, **more})


def told(events: list[Event]) -> list[tuple[str, str, str, float | None]]:
    return [(h.decision, h.state, h.outcome, h.seconds) for h in healings(events)]


def test_a_healing_is_one_line_with_its_outcome_and_how_long_it_took() -> None:
    found = healings([event(1, "started", "restart"), event(13, "finished", "restart", outcome="back")])
    assert [(h.at, h.cluster, h.cause, h.action, h.brokers) for h in found] == [
        (START + 1, "name-a", "why", "doing restart", (3,))
    ]
    assert told([event(1, "started", "restart"), event(13, "finished", "restart", outcome="back")]) == [
        ("restart", "done", "back", 12.0)
    ]


def test_clusters_that_share_a_journal_are_not_mixed_up() -> None:
    events = [
        event(1, "started", "restart"),
        event(2, "started", "reassign", "b"),
        event(3, "failed", "restart", outcome="too slow"),
        event(5, "finished", "reassign", "b", outcome="moved"),
    ]
    assert told(events) == [("restart", "failed", "too slow", 2.0), ("reassign", "done", "moved", 3.0)]


def test_a_healing_that_was_cut_short_stays_without_an_end() -> None:
    events = [
        event(1, "started", "restart"),
        event(9, "started", "restart"),
        event(12, "finished", "restart", outcome="x"),
    ]
    assert told(events) == [("restart", "begun", "", None), ("restart", "done", "x", 3.0)]


def test_holding_still_and_failing_before_the_start_are_lines_too() -> None:
    events = [
        event(1, "held", "hold", key="outage"),
        event(2, "failed", "reassign", outcome="no lease"),
        event(3, "missed", ""),
    ]
    assert told(events) == [("hold", "held", "", None), ("reassign", "failed", "no lease", None)]


def test_a_drill_is_told_from_an_accident() -> None:
    assert [h.drill for h in healings([event(1, "started", "restart", drill="loki drill")])] == ["loki drill"]
