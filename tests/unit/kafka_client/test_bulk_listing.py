"""ListOffsets of many partitions: what is built and read once gives what a request and an answer of their own would."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
import pytest
from kafka.protocol.consumer import ListOffsetsRequest, ListOffsetsResponse

from asgard.core.errors import AsgardError
from asgard.kafka.admin import errors
from asgard.kafka.admin.bulk import Bulk
from asgard.kafka.admin.codecs import Fetched
from asgard.kafka.admin.listing import Places
from asgard.kafka.admin.raw import Reader
from asgard.kafka.admin.wire import Job
from asgard.kafka.groups import UNANSWERED, Layout, TopicLayout


def layout(**topics: list[int]) -> Layout:
    """Topics and the leaders of their partitions."""
    ones = {name: np.ones(len(leaders), np.int64) for name, leaders in topics.items()}
    found = {
        name: TopicLayout(name, "", False, np.array(leaders, np.int64), ones[name], ones[name])
        for name, leaders in topics.items()
    }
    return Layout("c", 1, (1, 2), found)


LAYOUT = layout(a=[1, 2, 1], none=[], b=[2, -1], c=[1])


class Wire:
    """Brokers that decode requests and encode answers with kafka-python: an offset is partition * 1000 + time."""

    def __init__(self, **faults: dict[tuple[str, int], int]) -> None:
        self.faults, self.asked, self.down = faults.get("faults", {}), [], set[int]()

    def ask_each(self, jobs):
        return [self._answer(request, node) for request, node in jobs]

    def _answer(self, request, node):
        if node in self.down:
            return errors.BrokerDown(f"broker {node} is down")
        request.with_header(1, "test")
        asked = ListOffsetsRequest.decode(request.encode()[4 + 10 + 4 + 1 :], version=7)
        self.asked.append(
            (node, asked.isolation_level, {t.name: [p.partition_index for p in t.partitions] for t in asked.topics})
        )
        topic = ListOffsetsResponse.ListOffsetsTopicResponse
        row = topic.ListOffsetsPartitionResponse
        topics = [
            topic(
                name=t.name,
                partitions=[
                    row(
                        partition_index=p.partition_index,
                        error_code=self.faults.pop((t.name, p.partition_index), 0),
                        timestamp=p.timestamp,
                        offset=p.partition_index * 1000 + p.timestamp,
                        leader_epoch=3,
                    )
                    for p in t.partitions
                ],
            )
            for t in reversed(asked.topics)  # brokers answer in an order of their own
        ]
        answer = ListOffsetsResponse(throttle_time_ms=len(self.asked), topics=topics).encode(version=7)
        return request._decode(Reader(bytes(answer)))

    def outcome(self, code, message, doing, needs=None):
        return AsgardError(f"{code}: {doing}") if code else None


def test_each_leader_is_asked_once_for_each_time_and_partitions_without_a_leader_are_not_known() -> None:
    wire = Wire()
    first, second = Bulk(wire).list_offsets_at(LAYOUT, [7, 9], read_committed=True)
    assert wire.asked == 2 * [(1, 1, {"a": [0, 2], "c": [0]}), (2, 1, {"a": [1], "b": [0]})]
    assert {name: found.tolist() for name, found in first.offsets.items()} == {
        "a": [7, 1007, 2007], "none": [], "b": [7, UNANSWERED], "c": [7]}  # fmt: skip
    assert second.offsets["a"].tolist() == [9, 1009, 2009]
    assert second.times["b"].tolist() == [9, -1]
    assert first.problems == second.problems == {}


def test_some_partitions_of_some_topics() -> None:
    wire = Wire()
    wanted = {"a": np.array([2, 9]), "gone": np.array([0]), "c": np.array([0])}
    (found,) = Bulk(wire).list_offsets_at(LAYOUT, [-1], wanted)
    assert wire.asked == [(1, 0, {"a": [2], "c": [0]})]
    assert {name: o.tolist() for name, o in found.offsets.items()} == {
        "a": [UNANSWERED, UNANSWERED, 1999],
        "c": [-1],
        "gone": [],
    }


def test_a_leader_that_moved_is_looked_for_and_only_its_partitions_are_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wire = Wire(faults={("a", 2): 6, ("b", 0): 29})
    bulk = Bulk(wire)
    monkeypatch.setattr(bulk, "layout", lambda names: layout(a=[1, 2, 2]))
    first, second = bulk.list_offsets_at(LAYOUT, [7, 9])
    assert wire.asked[4:] == [(2, 0, {"a": [2]})], "of the time that failed only"
    assert first.offsets["a"].tolist() == [7, 1007, 2007]
    assert first.offsets["b"].tolist() == [UNANSWERED, UNANSWERED] and list(first.problems) == ["b"]
    assert second.offsets["b"].tolist() == [9, UNANSWERED] and not second.problems


def test_what_a_dead_leader_led_stays_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    wire = Wire()
    wire.down = {2}
    bulk = Bulk(wire)
    monkeypatch.setattr(bulk, "layout", lambda names: layout(**{n: LAYOUT.topics[n].leaders.tolist() for n in names}))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (found,) = bulk.list_offsets_at(LAYOUT, [7])
    assert {name: o.tolist() for name, o in found.offsets.items()} == {
        "a": [7, UNANSWERED, 2007], "none": [], "b": [UNANSWERED, UNANSWERED], "c": [7]}  # fmt: skip


def batch(base: int, count: int, attributes: int = 0) -> bytes:
    """A batch of format 2 without its records; all of them have the same time."""
    return struct.pack(">qiibIhiqqqhii", base, 49, 0, 2, 0, attributes, max(count, 1) - 1, 5, 5, -1, -1, -1, count)


@pytest.mark.parametrize(
    ("records", "found"),
    [
        (batch(10, 2), {("c", 0): 5}),
        (batch(10, 1, 0x30) + batch(11, 1), {("c", 0): 5}),
        (batch(10, 1, 0x30) + batch(11, 1, 0x30), {("c", 0): None}),
        (batch(11, 0), {("c", 0): None}),
        (batch(10, 1, 0x30), {}),
        (batch(10, 1, 0x30) + batch(11, 1, 0x30)[:40], {}),
        (b"", {}),
    ],
    ids=["a record", "after a marker", "markers alone", "compacted away", "more may follow", "cut off", "nothing"],
)
def test_where_only_markers_are_left_there_is_no_record(
    records: bytes, found: dict[tuple[str, int], int | None]
) -> None:
    class Fetching:
        def ask_each(self, jobs: Iterable[Job]) -> list[list[Fetched]]:
            return [[Fetched("c", 0, 0, 12, 0, records)] for _ in jobs]

    assert Bulk(Fetching()).first_records(LAYOUT, {"c": {0: 10}}) == (found, {})  # type: ignore[arg-type]


def test_only_a_few_answers_with_batches_are_held_at_a_time_and_all_brokers_are_busy() -> None:
    asked: list[list[int]] = []

    class Fetching:
        def ask_each(self, jobs: Iterable[Job]) -> list[list[Fetched]]:
            asked.append([node for _, node in jobs])
            return [[Fetched(f"t{len(asked)}", 0, 0, 12, 0, batch(10, 1, 0x10))] for _ in asked[-1]]

    topics = layout(**{f"t{n}": [1 + n % 2] * 4 for n in range(5000)})
    found = Bulk(Fetching()).batch_signs(topics, {name: dict.fromkeys(range(4), 5) for name in topics.topics})  # type: ignore[arg-type]
    assert asked == [[1, 2] * 4] * 5 and found == {f"t{n}": (True, False) for n in range(1, 6)}


def test_sums_and_names_of_places() -> None:
    places = Places(LAYOUT, None)
    assert places.summed(np.arange(6)) == {"a": 3, "none": 0, "b": 7, "c": 5}
    assert {name: p.tolist() for name, p in places.named(np.array([5, 0, 2, 4])).items()} == {
        "a": [0, 2], "b": [1], "c": [0]}  # fmt: skip
