"""What a replay decides before and while it runs: windows, partitions, filters, loops, objections, pace, where progress stands."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.cluster.limits import Limits
from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.data import Read
from asgard.kafka.model import Broker, LogDir, Offsets, Partition, Topic
from asgard.thor.replay import care, checks, filters, header, plan, routes, slots, window
from asgard.thor.replay.filters import Filter
from asgard.thor.replay.model import Saved, To
from asgard.thor.replay.pace import CopyPace, Rate
from asgard.thor.replay.perform import Job, forgotten
from asgard.thor.replay.plan import ReplayPlan, TopicRoute
from asgard.thor.rewind.goal import Goal, OffsetChange, changes

DAY = 86_400_000
NOW = 1_800_000_000_000


def record(
    key: bytes | None = b"k", value: bytes | None = b"v", headers: list[tuple[str, bytes]] | None = None
) -> Read:
    return Read("a", 5, 7, 0, key, value, headers or [])


def a_plan(
    partitions: int = 6, to_partitions: int = 6, source: str = "c1", target: str = "c1", to: str = "b"
) -> ReplayPlan:
    held = {("a", p): (0, 100) for p in range(partitions)}
    return ReplayPlan("r1", "q", "a to b", source, target, (TopicRoute("a", to, partitions, to_partitions),), held)


def a_topic(name: str, partitions: int, *replicas: int) -> Topic:
    return Topic(
        name, "id", False, tuple(Partition(name, p, replicas, replicas, replicas[0]) for p in range(partitions))
    )


@pytest.mark.parametrize(
    ("text", "kind", "relative"),
    [
        (None, "start", False), ("start", "start", False), ("end", "end", True), ("2h", "time", True),
        ("2026-11-24T09:00", "time", False), ("0:12, 3:4", "offsets", False),
    ],
)  # fmt: skip
def test_bounds_as_people_write_them(text: str | None, kind: str, relative: bool) -> None:
    bound = window.parse(text, "start", "--from", lambda _: 1.5)
    assert (bound.kind, bound.relative) == (kind, relative)
    if kind == "time":
        assert bound.at_ms == 1500
    if kind == "offsets":
        assert bound.offsets == {0: 12, 3: 4}


@given(st.integers(0, 50), st.integers(0, 50), st.integers(-10, 60), st.integers(-10, 60))
def test_a_window_lies_in_what_there_is(start: int, more: int, first: int, last: int) -> None:
    held = {("a", 0): Offsets(start, start + more)}
    begin, stop = window.Bound("time", at_ms=1), window.Bound("time", at_ms=2)
    (found,) = window.between(held, begin, stop, lambda at: {("a", 0): first if at == 1 else last}).values()
    assert start <= found[0] <= found[1] <= start + more


def test_offsets_leave_other_partitions_out_and_must_exist() -> None:
    held = {("a", p): Offsets(0, 100) for p in range(3)}
    only = window.between(held, window.Bound("offsets", offsets={1: 20}), window.Bound("end"), lambda at: {})
    assert only == {("a", 1): (20, 100)}
    with pytest.raises(WrongUsage, match="partition 9"):
        window.between(held, window.Bound("offsets", offsets={9: 1}), window.Bound("end"), lambda at: {})


@pytest.mark.parametrize(
    ("wanted", "value", "matches"),
    [
        (Filter(keys=("x*", "k")), b"", True), (Filter(keys=("x*",)), b"", False), (Filter(headers=("h",)), b"", True),
        (Filter(headers=("h=a*",)), b"", True), (Filter(headers=("h=b",)), b"", False),
        (Filter(fields=("$.n=5",)), b'{"n": 5}', True), (Filter(fields=("$.ok=true",)), b'{"ok": true}', True),
        (Filter(fields=("$.a[*].b=x*",)), b'{"a": [{"b": "y"}, {"b": "xy"}]}', True), (Filter(fields=("$.n=5",)), b"no json", False),
        (Filter(keys=("k",), headers=("g",)), b"", False),
    ],
)  # fmt: skip
def test_filters(wanted: Filter, value: bytes, matches: bool) -> None:
    test = filters.matcher(wanted)
    assert test is not None
    assert test(record(value=value, headers=[("h", b"abc")])) is matches


def test_wrong_filters_say_what_is_allowed() -> None:
    for wanted in (Filter(fields=("$.a",)), Filter(fields=("a=1",)), Filter(headers=("=x",))):
        with pytest.raises(WrongUsage, match="allowed is"):
            filters.matcher(wanted)
    assert filters.matcher(Filter()) is None


def test_a_record_keeps_its_partition_where_the_counts_agree_and_its_key_decides_elsewhere() -> None:
    same, fewer = routes.replay(a_plan()), routes.replay(a_plan(to_partitions=4))
    to = same(record(headers=[("h", b"1")]))
    assert isinstance(to, To) and to.partition == 5
    assert to.headers == [("h", b"1"), (header.HEADER, b"1/r1/c1/a/5/7")]
    assert [fewer(record(key=key))[1] for key in (b"k", None)] == [-1, 1]


def test_a_record_never_goes_back_to_where_it_was_copied_from() -> None:
    way = [(header.HEADER, b"1/r0/c2/orders/1/2"), (header.HEADER, b"1/r9/c3/x/0/0")]
    assert routes.replay(a_plan(target="c2", to="orders"))(record(headers=way)) == routes.LOOP
    assert routes.replay(a_plan(target="c3", to="x"))(record(headers=way)) == routes.LOOP
    assert isinstance(routes.replay(a_plan(target="c1", to="orders"))(record(headers=way)), To)
    assert header.hops([(header.HEADER, b"2/what/else"), (header.HEADER, b"\xff"), ("h", b"1/a/b/c/1/2")]) == []


def facts(**configs: str) -> checks.TargetFacts:
    brokers = (Broker(1, log_dirs=(LogDir("/d", 1000, 700),)), Broker(2, log_dirs=(LogDir("/d", 1000, 100),)))
    older = {("a", checks.RETENTION): 5, ("a", checks.BEFORE_MAX): 3}
    held = {checks.RETENTION: "-1", **{name.replace("_", "."): value for name, value in configs.items()}}
    return checks.TargetFacts(
        {"b": a_topic("b", 6, 1, 2)}, {"b": held}, brokers, older, {("a", p): 10 for p in range(6)}
    )


@pytest.mark.parametrize(
    ("configs", "says", "loss"),
    [
        ({}, None, False),
        ({"retention_ms": str(DAY)}, "5 records of a are older than the 1 d that b keeps", True),
        ({"retention_ms": str(DAY), "cleanup_policy": "compact"}, None, False),
        ({"message_timestamp_before_max_ms": str(DAY)}, "3 records of a are older than the 1 d that b takes", False),
        ({"message_timestamp_type": "LogAppendTime"}, "gives every record the time at which it arrives", True),
        ({"retention_bytes": "9"}, "would arrive in a partition of b", True),
    ],
)
def test_what_would_eat_the_records_is_said(configs: dict[str, str], says: str | None, loss: bool) -> None:
    found = checks.object_to(a_plan(), facts(**configs), Limits(disk=0.9), NOW)
    assert ([says in o.text and o.loss == loss for o in found] == [True]) if says else found == []


def test_a_limit_that_is_smaller_than_the_sources_is_said_before_it_is_met() -> None:
    known = facts(max_message_bytes="1000")
    (said,) = checks.object_to(a_plan(), replace(known, largest={"a": 1001}), Limits(), NOW)
    assert "records of a may have 1001 B, and b takes 1000 B at most" in said.text and said.loss
    assert "to 1001 or more" in said.hint
    assert checks.object_to(a_plan(), replace(known, largest={"a": 1000}), Limits(), NOW) == []
    assert checks.object_to(a_plan(), replace(facts(), largest={"a": 9999}), Limits(), NOW) == [], "no limit is known"


def test_a_topic_that_is_created_follows_the_brokers_where_nothing_is_set_on_it() -> None:
    brokers = {"log.retention.ms": "", "log.retention.hours": "168", "message.max.bytes": "1000", "log.cleanup.policy": "delete"}  # fmt: skip
    found = checks.of_a_new_topic({checks.MAX_BYTES: "5"}, brokers)
    assert found == {checks.RETENTION: str(7 * DAY), checks.MAX_BYTES: "5", checks.CLEANUP: "delete"}
    assert checks.of_a_new_topic({}, {"log.retention.hours": "-1"}) == {checks.RETENTION: "-1"}


@pytest.mark.parametrize(
    ("saved", "idle_days", "kept_days", "known", "is_forgotten"),
    [
        ((), 5, 7, None, False),  # nothing was ever committed
        ((), 6.5, 7, None, True),
        ((), 1, 1, None, True),
        ((0,), 0, 7, None, True),  # the others were forgotten while this one went on
        ((0, 1), 99, 7, None, False),
        ((0,), 0, 7, {}, False),  # the journal knows the others
    ],
)
def test_what_kafka_forgot_is_not_begun_again(
    saved: tuple[int, ...],
    idle_days: float,
    kept_days: float,
    known: dict[tuple[str, int], Saved] | None,
    is_forgotten: bool,
) -> None:
    job = Job("replay", "r1", "n", "d", {}, {}, Rate(), last_at=1000.0, known=known)
    window, progress = {("a", p): (0, 9) for p in range(2)}, {("a", p): Saved(3) for p in saved}
    times = (idle_days * 86_400, kept_days * 86_400)
    assert forgotten(job, window, progress, *times) is is_forgotten
    assert not forgotten(replace(job, last_at=None), window, progress, *times)


def test_full_disks_loops_and_missing_topics_are_refused() -> None:
    (disk,) = checks.object_to(a_plan(), facts(), Limits(disk=0.75), NOW)
    assert disk.text.startswith("broker 1 would be 76% full: 60 B arrive, the limit is 75%") and not disk.loss
    assert "doesn't exist" in checks.object_to(a_plan(to="nowhere"), facts(), Limits(), NOW)[0].text
    assert "into itself" in checks.object_to(a_plan(to="a"), facts(), Limits(), NOW)[0].text
    assert "into itself" not in str(checks.object_to(a_plan(to="a", target="c2"), facts(), Limits(), NOW))


def test_the_same_words_are_the_same_replay_until_it_is_finished() -> None:
    assert plan.id_of("q", 0) == plan.id_of("q", 0) != plan.id_of("q", 1)
    assert plan.request_of("a", ("b",)) != plan.request_of("ab", ())
    made = a_plan()
    assert plan.read("r1", json.loads(json.dumps(made.document()))) == made


def test_targets_by_a_pattern() -> None:
    assert plan.targets_of(["a", "b"], "{topic}.again", same_cluster=True) == {"a": "a.again", "b": "b.again"}
    assert plan.targets_of(["a", "b"], None, same_cluster=False) == {"a": "a", "b": "b"}
    for to, same in ((None, True), ("one", False)):
        with pytest.raises(WrongUsage):
            plan.targets_of(["a", "b"], to, same_cluster=same)


@given(st.integers(1, 9), st.integers(1, 4))
def test_every_source_partition_has_a_slot_of_its_own(sources: int, places: int) -> None:
    keys = [("a", p) for p in range(sources)]
    found = slots.slots(keys, [("b", p) for p in range(places)])
    assert set(found) == set(keys) and len(set(found.values())) == sources
    assert slots.slots(keys, keys) == {key: slots.Slot(0, *key) for key in keys}
    grouped = slots.by_group(found, keys)
    assert sorted(key for group in grouped.values() for key in group) == keys


def test_progress_is_read_back_and_somebody_elses_is_refused() -> None:
    saved = Saved(12, 7, "a note")
    assert slots.parse(("a", 1), 12, slots.metadata(("a", 1), saved)) == saved
    assert slots.parse(("a", 1), 12, "a/1 7") == Saved(12, 7)
    for text in ("", "a/2 7", "a/1 x"):
        with pytest.raises(Refused):
            slots.parse(("a", 1), 12, text)


def test_the_pace_waits_for_what_was_sent_and_forgives_standstill() -> None:
    pace = CopyPace(Rate(100.0, 10.0), 0.0)
    assert pace.spend(0.0, 1, 50) == pytest.approx(0.5)
    assert pace.spend(0.5, 10, 50) == pytest.approx(1.0)
    assert pace.spend(99.0, 1, 0) == pytest.approx(0.1)
    assert Rate(100.0, 10.0).slower(0.1, 1e6) == Rate(10.0, 1.0)
    assert Rate().slower(0.1, 1e6) == Rate(1e5, None)
    assert Rate(None, 1.0).batch[0] == 1


def test_a_copy_goes_slowly_while_something_is_being_healed() -> None:
    up, down = Broker(1), Broker(2, state="fenced")
    behind = Topic("a", "id", False, (Partition("a", 0, (1, 2), (1,), 1), Partition("a", 1, (1,), (1,), 1)))
    assert care.trouble([up], [a_topic("a", 2, 1)], None) is None
    assert care.trouble([up, down], [], None) == "broker 2 is down"
    assert care.trouble([up], [behind], None) == "1 of 2 partitions are under-replicated"
    assert care.trouble([up], [], "thor heal is at work") == "thor heal is at work"


@pytest.mark.parametrize(
    ("goal", "after"),
    [
        (Goal("start", ""), {0: 5, 1: 0, 2: 0}), (Goal("end", ""), {0: 30, 1: 10, 2: 8}), (Goal("by", "", by=-20), {0: 5, 1: 0}),
        (Goal("by", "", by=100), {0: 30, 1: 10}), (Goal("offsets", "", offsets={("a", 1): 3}), {1: 3}), (Goal("time", "", at_ms=1), {0: 12, 1: 10, 2: 8}),
    ],
)  # fmt: skip
def test_where_a_group_goes_on(goal: Goal, after: dict[int, int]) -> None:
    holds = {("a", 0): Offsets(5, 30), ("a", 1): Offsets(0, 10), ("a", 2): Offsets(0, 8)}
    found = changes(goal, {("a", 0): 20, ("a", 1): 4}, holds, {("a", 0): 12})
    assert {c.partition: c.after for c in found} == after


def test_what_is_read_again_and_what_is_skipped() -> None:
    assert (OffsetChange("a", 0, 20, 12, 5, 30).read_again, OffsetChange("a", 0, 20, 12, 5, 30).skipped) == (8, 0)
    assert (OffsetChange("a", 0, 2, 12, 5, 30).skipped, OffsetChange("a", 0, None, 12, 5, 30).skipped) == (7, 0)
