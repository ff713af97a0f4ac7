"""Which config changes delete data, how much, and who has not read it."""

from __future__ import annotations

import pytest

from asgard.odin.resources.dataloss import Cut, Loss, PartitionFacts, assess, cuts, topic_defaults

WEEK = {"cleanup.policy": "delete", "retention.ms": "604800000", "retention.bytes": "-1"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({}, {}, []),
        ({}, {"retention.ms": "604800001"}, []),
        ({}, {"retention.ms": "-1"}, []),
        ({}, {"retention.ms": "1000"}, [("retention.ms 604800000 -> 1000", 1000, None)]),
        ({"retention.ms": "-1"}, {"retention.ms": "1000"}, [("retention.ms unlimited -> 1000", 1000, None)]),
        ({}, {"retention.bytes": "10"}, [("retention.bytes unlimited -> 10", None, 10)]),
        ({"retention.bytes": "10"}, {"retention.bytes": "20"}, []),
        ({"retention.bytes": "20"}, {"retention.bytes": "10"}, [("retention.bytes 20 -> 10", None, 10)]),
        ({"cleanup.policy": "compact"}, {"retention.ms": "1000", "cleanup.policy": "compact"}, []),
        (
            {"cleanup.policy": "compact"},
            {},
            [("cleanup.policy compact -> delete: retention.ms 604800000 now counts", 604800000, None)],
        ),
        ({}, {"segment.bytes": "14", "max.message.bytes": "1"}, []),
    ],
)
def test_less_retention_is_a_cut(
    old: dict[str, str], new: dict[str, str], expected: list[tuple[str, int, int]]
) -> None:
    assert [(c.why, c.keep_ms, c.keep_bytes) for c in cuts({**WEEK, **old}, {**WEEK, **new})] == expected


def test_compaction_that_is_new_may_remove_anything_older() -> None:
    (cut,) = cuts(WEEK, {**WEEK, "cleanup.policy": "compact,delete"})
    assert cut.compacts and cut.why == "cleanup.policy delete -> compact,delete: older records of a key go"


def test_remote_storage_that_is_switched_off_is_a_cut() -> None:
    (cut,) = cuts({**WEEK, "remote.storage.enable": "true"}, {**WEEK, "remote.storage.enable": "false"})
    assert "remote" in cut.why


def test_what_is_older_than_the_retention_goes_and_who_has_not_read_it() -> None:
    facts = {0: PartitionFacts(100, 200, 1000, {5: 150}), 1: PartitionFacts(0, 50, 500, {5: 0})}
    groups = {"slow": {0: 120}, "fast": {0: 150, 1: 3}, "elsewhere": {}, "done": {0: 200, 1: 50}}
    loss = assess("t", [Cut("shorter", keep_ms=5)], facts, groups)
    assert loss == Loss("t", 50, 500, ("slow",), ("shorter",))


def test_what_is_above_the_size_goes() -> None:
    facts = {0: PartitionFacts(0, 100, 1000), 1: PartitionFacts(0, 100, 200)}
    loss = assess("t", [Cut("smaller", keep_bytes=250)], facts, {"g": {0: 74}, "h": {0: 75}})
    assert loss == Loss("t", 75, 750, ("g",), ("smaller",))


def test_a_deleted_topic_loses_all_its_records() -> None:
    facts = {0: PartitionFacts(10, 30, 300), 1: PartitionFacts(5, 5, 0)}
    assert assess("t", [Cut("deleted")], facts, {}) == Loss("t", 20, 300, (), ("deleted",))


def test_sizes_that_were_not_measured_stay_unknown() -> None:
    loss = assess("t", [Cut("smaller", keep_bytes=5)], {0: PartitionFacts(0, 10)}, {})
    assert loss == Loss("t", 10, None, (), ("smaller",))


@pytest.mark.parametrize("facts", [{}, {0: PartitionFacts(7, 7, 0, {5: 7})}, {0: PartitionFacts(7, 9, 100, {5: 7})}])
def test_nothing_goes_where_nothing_is_old_enough(facts: dict[int, PartitionFacts]) -> None:
    assert assess("t", [Cut("shorter", keep_ms=5)], facts, {"g": {0: 0}}) is None


@pytest.mark.parametrize(
    ("broker", "retention"),
    [
        ({}, "604800000"),
        ({"log.retention.hours": "2"}, "7200000"),
        ({"log.retention.hours": "2", "log.retention.minutes": "1"}, "60000"),
        ({"log.retention.ms": "5", "log.retention.hours": "2"}, "5"),
        ({"log.retention.hours": "-1"}, "-1"),
    ],
)
def test_defaults_come_from_the_finest_unit(broker: dict[str, str], retention: str) -> None:
    assert topic_defaults(broker)["retention.ms"] == retention
