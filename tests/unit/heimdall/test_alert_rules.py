"""Alerts as tables: where each kind of rule holds, when an alert is raised and cleared, who is told, and in which words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.heimdall.alerts import conditions, messages
from asgard.heimdall.alerts.evaluate import evaluate, receivers_of
from asgard.heimdall.alerts.model import AlertRule, Seen, Subscription, Volume
from asgard.heimdall.audit.missing import MissingRecords
from asgard.heimdall.lag.model import GroupLag
from asgard.heimdall.volume.model import Compared, Count
from asgard.heimdall.volume.windows import TimeWindow
from tests.harness.heimdall_days import OWNERS, group_lag

HOUR = TimeWindow(0.0, 3600.0, "2026-11-27T09:00Z")
GIB = 1024**3


def seen(at: float = 1000.0, **what: object) -> Seen:
    return replace(Seen(at, "c1", "orders"), **what)  # type: ignore[arg-type]


def growing(per_hour: float, hours: int = 24, capacity: float = 100) -> list[Volume]:
    return [Volume(h * 3600.0, int((40 + per_hour * h) * GIB), int(capacity * GIB)) for h in range(hours + 1)]


def groups(*found: GroupLag) -> tuple[GroupLag, ...]:
    return found


def compared(topic: str, verdict: str, records: int | None = 0) -> Compared:
    return Compared(Count(topic, HOUR, records, None), verdict, 100.0, 20.0, (), "why")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "what", "holds", "unknown"),
    [
        (AlertRule("r", "time-lag", above=300), {"groups": groups(group_lag("a", lag=5, time_lag_s=301.0), group_lag("b", time_lag_s=299.0, lag=1))}, ["a"], []),
        (AlertRule("r", "time-lag", groups=("b*",)), {"groups": groups(group_lag("a", lag=5, time_lag_s=9e9))}, [], []),
        (AlertRule("r", "time-lag"), {"groups": groups(group_lag("a", "unknown", lag=None), group_lag("b", lag=3, unmeasured=["age"]))}, [], ["a", "b"]),
        (AlertRule("r", "time-lag"), {"groups": groups(group_lag("a", lag=5, time_lag_s=301.0, unmeasured=["age"]), group_lag("b", lag=3, time_lag_s=9.0, unmeasured=["lag"]), group_lag("c", lag=3, time_lag_s=9.0, unmeasured=["pace"]))}, ["a"], ["b"]),
        (AlertRule("r", "data-loss", within_s=3600), {"groups": groups(group_lag("a", lag=5, loses_data_in_s=3600.0), group_lag("b", lag=5, loses_data_in_s=3601.0))}, ["a"], []),
        (AlertRule("r", "data-loss"), {"groups": groups(group_lag("a", lag=0, loses_data_in_s=0.0))}, [], []),
        (AlertRule("r", "data-loss", within_s=3600), {"groups": groups(group_lag("a", lag=5, loses_data_in_s=60.0, unmeasured=["age"]), group_lag("b", lag=5, loses_data_in_s=9e9, unmeasured=["age"]), group_lag("c", unmeasured=["lag"]), group_lag("d", lag=5, loses_data_in_s=9e9, unmeasured=["pace"]))}, ["a"], ["b", "c"]),
        (AlertRule("r", "group-stopped"), {"groups": groups(group_lag("a", "stopped"), group_lag("b", "stalled"), group_lag("c", "slow"), group_lag("d", "unknown", lag=None))}, ["a", "b"], ["d"]),
        (AlertRule("r", "group-stopped"), {"groups": groups(group_lag("a", "stopped", unmeasured=["lag"]), group_lag("b", "slow", unmeasured=["pace"]), group_lag("c", unmeasured=["lag"]), group_lag("d", "unknown", lag=5, unmeasured=["age"]))}, ["a"], ["b", "c"]),
        (AlertRule("r", "volume-missing", topics=("o*",)), {"volume": (compared("o1", "missing"), compared("p", "missing"), compared("o2", "as usual"), compared("o3", "high"), compared("o4", "unknown"), compared("o5", "late"))}, ["o1", "o5"], ["o4"]),
        (AlertRule("r", "under-replicated"), {"under_replicated": 0, "offline": 0}, [], []),
        (AlertRule("r", "under-replicated", above=5), {"under_replicated": 5, "offline": 0}, [], []),
        (AlertRule("r", "under-replicated", above=5), {"under_replicated": 2, "offline": 1}, ["cluster"], []),
        (AlertRule("r", "disk-full", within_s=86400), {"disks": {"full": growing(0, capacity=40), "grows": growing(1.0), "slowly": growing(0.1), "shrinks": growing(-1.0), "new": growing(9, hours=0)}}, ["full"], ["new"]),
        (AlertRule("r", "disk-full", within_s=2 * 86400), {"disks": {"grows": growing(1.0), "slowly": growing(0.1)}}, ["grows"], []),
        (AlertRule("r", "audit-loss", above=2), {"losses": (MissingRecords("a", "t", 0, 60, 3), MissingRecords("a", "u", 0, 60, 2))}, ["a/t"], []),
        (AlertRule("r", "canary"), {"canary": {"broker 1": "", "broker 2": "clients can't produce"}}, ["broker 2"], []),
    ],
)  # fmt: skip
def test_where_a_rule_holds(rule, what, holds, unknown):
    found = conditions.judge(rule, seen(**what), OWNERS)
    assert [f.subject for f in found.holds] == holds and sorted(found.unknown) == unknown
    assert all(f.text for f in found.holds)


@pytest.mark.parametrize(
    "kind", ["time-lag", "volume-missing", "under-replicated", "disk-full", "audit-loss", "canary"]
)
def test_what_was_not_measured_changes_nothing(kind):
    assert conditions.judge(AlertRule("r", kind), seen(), OWNERS).unknown is None


def test_when_a_disk_is_full_by_its_trend():
    assert conditions.full_in_s(growing(1.0)) == pytest.approx(36 * 3600)
    assert conditions.full_in_s(growing(-1.0)) == float("inf") and conditions.full_in_s([]) is None


LATE, WELL, UNKNOWN = (
    {"groups": groups(group_lag("orders-api", lag=9, time_lag_s=900.0))},
    {"groups": groups(group_lag("orders-api", lag=1, time_lag_s=1.0))},
    {"groups": groups(group_lag("orders-api", "unknown", lag=None))},
)
GONE, SILENT = {"groups": ()}, {"groups": (), "unknown_groups": True}
RULE = AlertRule("late", "time-lag", for_s=60, clear_s=120, severity="critical", labels={"runbook": "r1"})


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ([(0, LATE), (59, LATE)], []),
        ([(0, LATE), (60, LATE), (70, LATE), (500, LATE)], ["60 raised"]),
        ([(0, LATE), (30, WELL), (60, LATE), (119, LATE)], []),
        ([(0, LATE), (60, LATE), (70, WELL), (189, WELL)], ["60 raised"]),
        ([(0, LATE), (60, LATE), (70, WELL), (190, WELL)], ["60 raised", "190 cleared"]),
        ([(0, LATE), (60, LATE), (70, WELL), (100, LATE), (110, WELL), (220, WELL)], ["60 raised"]),
        ([(0, LATE), (60, LATE), (70, UNKNOWN), (900, UNKNOWN)], ["60 raised"]),
        ([(0, LATE), (30, UNKNOWN), (60, LATE)], ["60 raised"]),
        ([(0, LATE), (60, LATE), (70, GONE), (190, GONE)], ["60 raised", "190 cleared"]),
        ([(0, LATE), (60, LATE), (70, SILENT), (900, SILENT)], ["60 raised"]),
        ([(0, LATE), (60, LATE), (70, {}), (900, {})], ["60 raised"]),
        ([(0, LATE), (60, LATE), (61, WELL), (181, WELL), (182, LATE), (242, LATE)], ["60 raised", "181 cleared", "242 raised"]),
    ],
)  # fmt: skip
def test_an_alert_is_raised_once_and_cleared_once(steps, changes):
    states, told = {}, []
    for at, what in steps:
        done = evaluate([RULE], seen(float(at), **what), states, OWNERS, float(at))
        states = done.states
        told += [f"{c.at:.0f} {c.what}" for c in done.transitions]
    assert told == changes


@given(st.lists(st.tuples(st.integers(1, 90), st.sampled_from([LATE, WELL, UNKNOWN, GONE, SILENT])), max_size=40))
def test_raised_and_cleared_take_turns_and_nothing_is_raised_that_did_not_hold(steps):
    states, at, told = {}, 0.0, []
    for later, what in steps:
        at += later
        done = evaluate([RULE], seen(at, **what), states, OWNERS, at)
        for change in done.transitions:
            told.append(change.what)
            assert change.what == ("cleared" if what in (WELL, GONE) else "raised")
        states = done.states
        again = evaluate([RULE], seen(at, **what), states, OWNERS, at)
        assert not again.transitions and again.states == states, "looking twice changes nothing"
    assert told == ["raised", "cleared"] * (len(told) // 2) + ["raised"] * (len(told) % 2)


def test_a_drill_keeps_a_rule_silent_that_wants_it_and_what_still_holds_is_raised_after_it():
    rules = [replace(RULE, silent_in_drills=True, for_s=0)]
    during = evaluate(rules, seen(0.0, drill="broker 2 killed", **LATE), {}, OWNERS, 0.0)
    assert not during.transitions and [s.subject for s in during.silenced] == ["orders-api"]
    after = evaluate(rules, seen(10.0, **LATE), during.states, OWNERS, 10.0)
    assert [c.what for c in after.transitions] == ["raised"]
    told = evaluate([replace(RULE, for_s=0)], seen(0.0, drill="x", **LATE), {}, OWNERS, 0.0)
    assert [c.what for c in told.transitions] == ["raised"]


def test_an_alert_whose_rule_is_gone_is_cleared():
    raised = evaluate([replace(RULE, for_s=0)], seen(0.0, **LATE), {}, OWNERS, 0.0)
    gone = evaluate([], seen(1.0, **LATE), raised.states, OWNERS, 1.0)
    assert [(c.what, c.because) for c in gone.transitions] == [("cleared", "its rule is gone")] and not gone.states


def test_an_alert_that_goes_further_ends_the_one_before_it():
    rule, states, told = AlertRule("audit", "audit-loss"), {}, []
    for at, lost in ((0.0, 10), (600.0, 20), (700.0, 15), (900.0, 0)):
        losses = (MissingRecords("a", "t", 0, 600, lost),) if lost else ()
        done = evaluate([rule], seen(at, losses=losses), states, OWNERS, at)
        states = done.states
        told += [(c.what, c.state.id) for c in done.transitions]
    first, second = "audit/a/t/0.000", "audit/a/t/600.000"
    assert told == [("raised", first), ("cleared", first), ("raised", second), ("cleared", second)]


def raised(what=LATE):
    return evaluate([replace(RULE, for_s=0)], seen(5.0, **what), {}, OWNERS, 5.0).transitions


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({}, True),
        ({"owner": ("team-orders",)}, True),
        ({"owner": ("team-*",), "severity": ("critical", "warning")}, True),
        ({"owner": ("team-payments",)}, False),
        ({"topic": ("orders.*",), "runbook": ("r1",)}, True),
        ({"region": ("eu",)}, False),
    ],
)
def test_who_is_told(where, told):
    subscriptions = [Subscription("pager", where), Subscription("pager", where, cleared=False)]
    assert receivers_of(raised()[0], subscriptions) == (["pager"] if told else [])


def test_a_subscription_may_leave_out_what_is_cleared():
    cleared = replace(raised()[0], what="cleared")
    assert receivers_of(cleared, [Subscription("a", cleared=False), Subscription("b")]) == ["b"]


def test_messages_have_the_form_that_each_receiver_knows():
    many = {"groups": groups(*(group_lag(f"orders-{n}", lag=9, time_lag_s=900.0 + n) for n in range(40)))}
    changes, now = raised(many), seen(5.0)
    assert [len(messages.bodies(kind, changes, now)) for kind in ("slack", "webhook", "email", "alertmanager")] == [
        1
    ] * 4
    assert [len(messages.bodies(kind, changes, now)) for kind in ("pagerduty", "command", "journal")] == [40] * 3
    slack = messages.bodies("slack", changes, now)[0].content
    assert set(slack) == {"text"} and slack["text"].count("\n") == 31 and slack["text"].endswith("and 10 more")
    one = messages.bodies("alertmanager", changes[:1], now)[0].content[0]
    assert (
        one["labels"]["alertname"] == "late"
        and one["labels"]["owner"] == "team-orders"
        and one["startsAt"] == "1970-01-01T00:00:05Z"
    )
    page = messages.bodies("pagerduty", changes[:1], now)[0].content
    ended = messages.bodies("pagerduty", [replace(changes[0], what="cleared")], now)[0].content
    assert page["event_action"] == "trigger" and page["payload"]["severity"] == "critical"
    assert ended == {"event_action": "resolve", "dedup_key": page["dedup_key"]}
    event = messages.bodies("journal", changes[:1], now)[0].content
    assert event["kind"] == "heimdall.alert.raised" and event["data"]["topic"] == "orders.created"
    assert messages.subject(changes, now) == "orders: 40 alerts raised"
