"""Log segments read by Asgard and by kafka-python's `DefaultRecordBatch`: the same records, the same damage; and why both are here.

kafka-python wants a whole batch in memory, decompresses lz4, snappy and zstd only with packages of its own, and computes checksums in
Python where another package is missing. Asgard reads files that a broker is writing or has left: what is torn is the end.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka import codec
from kafka.errors import CorruptRecordError, UnsupportedCodecError
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from asgard.kafka import segments
from asgard.kafka.segments import Damaged

HEAD = 61
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
BYTES = st.none() | st.binary(max_size=20)
RECORDS = st.lists(
    st.tuples(BYTES, BYTES, st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3)), min_size=1, max_size=8
)
Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def written(records: list[Record], compression: int = 0) -> bytes:
    """A batch as kafka-python writes it."""
    builder = DefaultRecordBatchBuilder(2, compression, 0, -1, -1, -1, 1 << 20)
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, 1000 + offset, key, value, headers)
    return bytes(builder.build())


def ours(folder: Path, data: bytes) -> list[tuple[object, ...]]:
    (folder / "0.log").write_bytes(data)
    found = [record for batch in segments.batches(folder / "0.log") for record in batch.records()]
    return [(r.offset, r.timestamp_ms, r.key, r.value, list(r.headers)) for r in found]


def theirs(data: bytes) -> list[tuple[object, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in DefaultRecordBatch(data)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(RECORDS, st.sampled_from([0, GZIP]), st.data())
def test_both_read_the_same_records_and_find_the_same_damage(
    tmp_path: Path, records: list[Record], compression: int, data: st.DataObject
) -> None:
    batch = written(records, compression)
    assert ours(tmp_path, batch) == theirs(batch) and len(theirs(batch)) == len(records)
    assert all(found.intact for found in segments.batches(tmp_path / "0.log"))
    if compression:
        return  # gzip has a checksum of its own
    at = data.draw(st.integers(HEAD, len(batch) - 1))
    damaged = batch[:at] + bytes([batch[at] ^ (1 << data.draw(st.integers(0, 7)))]) + batch[at + 1 :]
    try:
        expected = theirs(damaged)
    except CorruptRecordError:
        try:
            found = ours(tmp_path, damaged)
        except Damaged:
            pass
        else:  # the unused attributes of a record: a byte in Kafka's protocol, which kafka-python reads as a varint
            assert found == theirs(batch)
    else:
        assert ours(tmp_path, damaged) == expected
    assert not any(read.intact for read in segments.batches(tmp_path / "0.log"))


@pytest.mark.parametrize("cut", [5, 30, HEAD, HEAD + 1, -1])
def test_a_torn_batch_is_not_there_yet_here_and_an_error_there(tmp_path: Path, cut: int) -> None:
    whole = written([(b"key", b"value", [])] * 3)
    assert ours(tmp_path, whole + whole[:cut]) == theirs(whole)
    with pytest.raises((CorruptRecordError, struct.error)):
        theirs(whole[:cut])


@pytest.mark.parametrize(("kind", "has"), [(SNAPPY, codec.has_snappy), (LZ4, codec.has_lz4), (ZSTD, codec.has_zstd)])
def test_what_producers_compress_with_is_read_here_without_further_packages(kind: int, has: object) -> None:
    assert callable(has)
    if has():
        pytest.skip("kafka-python finds a package for this compression here")
    compressed = bytearray(written([(b"key", b"value", [])]))
    compressed[22] |= kind
    with pytest.raises(UnsupportedCodecError):
        theirs(bytes(compressed))
