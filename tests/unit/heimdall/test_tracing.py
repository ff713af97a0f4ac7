"""Where a key is, what is looked for, and the way of an event."""

from __future__ import annotations

import pytest

from asgard.core.errors import WrongUsage
from asgard.heimdall.tail.decode import Decoder
from asgard.heimdall.trace import otlp, partitioners, query
from asgard.heimdall.trace.way import ways
from asgard.kafka import stamp
from asgard.kafka.data import Read

RUN = bytes(range(16))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("key", "signed"),  # from the tests of Kafka's own Utils.murmur2
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_that_of_kafka(key, signed):
    assert partitioners.murmur2(key) == signed & 0xFFFFFFFF


def test_an_empty_key_can_be_anywhere_and_another_one_in_two_places_at_most():
    assert partitioners.candidates(b"", 5) == set(range(5))
    assert len(partitioners.candidates(b"k", 5000)) == 2


def read(topic: str, at_ms: int, sequence: int | None, trace: str | None = None, key: bytes = b"k") -> Read:
    headers = []
    if sequence is not None:
        headers.append((stamp.HEADER, stamp.make(RUN, 1, sequence, 900_000, b'{"a": {"b": 7}}')))
    if trace is not None:
        headers.append(("traceparent", f"00-{trace}-00f067aa0ba902b7-01".encode()))
    return Read(topic, 0, at_ms, at_ms, key, b'{"a": {"b": 7}}', tuple(headers))


@pytest.mark.parametrize(
    ("text", "by", "kind", "fits"),
    [
        ("k", None, "key", True),
        ("j", None, "key", False),
        (f"{RUN.hex()}:1:5", None, "event", True),
        (f"{RUN.hex()}:1:6", None, "event", False),
        (TRACE, None, "trace", True),
        (f"00-{TRACE}-00f067aa0ba902b7-01", None, "trace", True),
        (TRACE[::-1], None, "trace", False),
        (TRACE, "key", "key", False),
        ("7", "field:a.b", "field", True),
        ("8", "field:$.a.b", "field", False),
        (f"00-{TRACE}-00f067aa0ba902b7-01", "header:traceparent", "header", True),
    ],
)
def test_what_is_looked_for_is_known_by_its_looks_or_told(text, by, kind, fits):
    found = query.parse(text, by)
    assert found.kind == kind and (found.key is not None) == (kind == "key")
    assert found.matcher(Decoder())(read("t", 1000, 5, TRACE)) is fits


@pytest.mark.parametrize(("text", "by"), [("k", "event"), ("k", "trace"), ("k", "colour"), ("k", "header:")])
def test_an_id_that_is_none_is_refused(text, by):
    with pytest.raises(WrongUsage):
        query.parse(text, by)


def test_the_way_of_an_event_is_its_records_by_time_from_when_it_was_due():
    first, second = ways([read("b", 1500, 5), read("a", 1000, 5), read("a", 1200, 6)])
    assert [(hop.topic, hop.after_ms) for hop in first.hops] == [("a", 100.0), ("b", 500.0)]
    assert first.event == f"{RUN.hex()}:1:5" and first.total_ms == 600 and all(hop.intact for hop in first.hops)
    assert [hop.topic for hop in second.hops] == ["a"]


def test_without_stamps_records_of_a_trace_belong_together_and_others_stand_alone():
    found = ways([read("a", 10, None, TRACE), read("b", 30, None, TRACE), read("a", 20, None), read("b", 25, None)])
    assert [len(way.hops) for way in found] == [2, 1, 1]
    assert found[0].trace == TRACE and found[0].due_ms is None and found[0].total_ms == 20
    assert [hop.after_ms for hop in found[0].hops] == [None, 20.0]


@pytest.mark.parametrize(
    ("ms", "ns"), [(1.5, 1_500_000), (-1, 0), (1_790_000_000_000_000, 2**64 - 1), (1 << 62, 2**64 - 1)]
)
def test_the_time_of_a_span_fits_into_otlp_whatever_a_producer_wrote(ms, ns):
    assert otlp.nanoseconds(ms) == ns
