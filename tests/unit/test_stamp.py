"""The record header: what is written is read back, and what is no stamp is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.kafka import stamp
from asgard.kafka.stamp import InvalidStamp, Stamp

DOC = Path(__file__).parents[2] / "docs" / "record-header.md"
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
STAMPS = st.builds(Stamp, st.just(1), st.binary(min_size=16, max_size=16), U32, U64, U64, U32)


@given(STAMPS)
def test_a_stamp_reads_back_as_it_was_written(written: Stamp) -> None:
    assert stamp.decode(stamp.encode(written)) == written
    assert len(stamp.encode(written)) == 41


@given(STAMPS)
def test_many_stamps_of_one_producer_are_the_same_bytes(written: Stamp) -> None:
    stamped = stamp.stamper(written.run, written.producer)
    crc = written.crc32c.to_bytes(4, "big")
    assert stamped(written.sequence, written.intended_us, crc) == stamp.encode(written)


@given(st.binary(max_size=200), st.data())
def test_damage_to_a_value_shows(value: bytes, data: st.DataObject) -> None:
    made = stamp.decode(stamp.make(bytes(16), 0, 0, 0, value))
    assert made.matches(value)
    if value:
        at = data.draw(st.integers(0, len(value) - 1))
        bit = data.draw(st.integers(0, 7))
        damaged = bytearray(value)
        damaged[at] ^= 1 << bit
        assert not made.matches(bytes(damaged))


def test_the_checksum_is_crc32c_of_rfc_3720() -> None:
    # The test vectors of RFC 3720, appendix B.4.
    assert stamp.checksum(bytes(32)) == 0x8A9136AA
    assert stamp.checksum(b"\xff" * 32) == 0x62A8AB43
    assert stamp.checksum(bytes(range(32))) == 0x46DD794E
    assert stamp.checksum(b"") == stamp.checksum(None) == 0


def test_the_worked_example_of_the_docs_is_what_the_code_writes() -> None:
    block = re.search(r"```hex\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert block is not None
    header = bytes.fromhex("".join(block[1].split()))
    run = bytes.fromhex("00112233445566778899aabbccddeeff")
    due_us = 1_795_510_800_000_001  # 2026-11-24T09:00:00.000001Z
    assert stamp.make(run, 7, 258, due_us, b"Hello, Kafka") == header
    assert stamp.decode(header).matches(b"Hello, Kafka")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"", "empty"),
        (b"\x02" + bytes(40), "version 2"),
        (b"\x01" + bytes(39), "41 bytes, not 40"),
        (b"\x01" + bytes(41), "41 bytes, not 42"),
    ],
)
def test_what_is_no_stamp_is_refused_with_the_reason(header: bytes, says: str) -> None:
    with pytest.raises(InvalidStamp, match=says):
        stamp.decode(header)


@pytest.mark.parametrize(
    "wrong",
    [
        Stamp(1, bytes(15), 0, 0, 0, 0),
        Stamp(2, bytes(16), 0, 0, 0, 0),
        Stamp(1, bytes(16), 2**32, 0, 0, 0),
        Stamp(1, bytes(16), 0, -1, 0, 0),
        Stamp(1, bytes(16), 0, 0, 2**64, 0),
    ],
)
def test_numbers_that_do_not_fit_are_refused(wrong: Stamp) -> None:
    with pytest.raises(InvalidStamp):
        stamp.encode(wrong)


def test_the_last_of_several_stamps_counts_and_other_headers_do_not() -> None:
    first, last = stamp.make(bytes(16), 0, 1, 0, b"v"), stamp.make(bytes(16), 0, 2, 0, b"v")
    found = stamp.find([("traceparent", b"00"), ("asgard", first), ("asgard", last)])
    assert found is not None and found.sequence == 2
    assert stamp.find([("traceparent", b"00")]) is None
    assert stamp.find(None) is None
    with pytest.raises(InvalidStamp):
        stamp.find([("asgard", None)])
