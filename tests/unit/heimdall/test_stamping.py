"""The headers that the wrappers write: numbers without gaps, traces that go on, and what is malformed is nobody's."""

from __future__ import annotations

import os

import pytest

from asgard.heimdall.stamp import StampedProducer, Stamper, TraceParent, forwarded, seen
from asgard.heimdall.stamp.traceparent import parse
from asgard.kafka import stamp


def headers(stamper: Stamper, topic: str, value: bytes | None = b"v", given=(), due: int | None = None):
    with stamper.stamped(topic, value, given, due) as made:
        return made


def test_records_of_a_topic_are_numbered_without_gaps_and_each_topic_has_a_producer_of_its_own():
    stamper = Stamper()
    found = [stamp.find(headers(stamper, topic)) for topic in ("a", "b", "a", "a", "b")]
    assert [(s.producer, s.sequence) for s in found] == [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1)]
    assert {s.run for s in found} == {stamper.run}


def test_a_record_that_the_client_did_not_take_takes_no_number():
    class Full:
        def produce(self, *_: object, **__: object) -> None:
            raise BufferError

    producer = StampedProducer(Full())
    with pytest.raises(BufferError):
        producer.produce("a", b"v")
    assert stamp.find(headers(producer.stamper, "a")).sequence == 0


def test_a_forked_child_is_another_run():
    stamper = Stamper()
    headers(stamper, "a")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = stamp.find(headers(stamper, "a"))
        os.write(write, found.run + bytes([found.sequence]))
        os._exit(0)
    os.waitpid(pid, 0)
    told = os.read(read, 17)
    os.close(read), os.close(write)
    assert told[:16] != stamper.run and told[16] == 0


def test_a_trace_that_is_there_stays_and_an_old_stamp_goes():
    trace = TraceParent("ab" * 16, "cd" * 8)
    made = headers(Stamper(), "a", given=[("traceparent", trace.encode()), (stamp.HEADER, b"old"), ("x", b"1")])
    assert seen(made, b"v").trace == trace and [name for name, _ in made] == ["traceparent", "x", stamp.HEADER]


def test_a_forwarded_record_keeps_its_stamp_and_trace_and_its_new_value_is_intact():
    made = headers(Stamper(), "a", b"old", due=7)
    again = forwarded(made, b"new")
    first, second = seen(made, b"old"), seen(again, b"new")
    assert (second.stamp.run, second.stamp.sequence, second.stamp.intended_us) == (first.stamp.run, 0, 7)
    assert second.intact and not seen(made, b"new").intact
    assert second.trace.trace_id == first.trace.trace_id and second.trace.span_id != first.trace.span_id


def test_what_has_no_headers_is_forwarded_without_any():
    assert forwarded(None, b"v") == [] and seen(None, b"v").stamp is None
    assert forwarded([(stamp.HEADER, b"bad"), ("traceparent", b"bad")], b"v") == [
        (stamp.HEADER, b"bad"),
        ("traceparent", b"bad"),
    ]


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        (b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", True),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", False),
        (b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        (b"00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        (b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        (b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(value, valid):
    found = parse(value)
    assert (found is not None) is valid
    if found and value.startswith(b"00"):
        assert found.encode() == value


def test_a_value_that_is_not_bytes_is_refused_before_it_is_stamped():
    with pytest.raises(TypeError, match="serialize"):
        StampedProducer(object()).produce("a", {"not": "bytes"})
