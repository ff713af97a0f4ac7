"""What lies in a broker's log segments, against what a consumer of the same topic is given."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from confluent_kafka import Producer

from asgard.kafka import segments
from asgard.kafka.admin import connect
from asgard.kafka.data import Read, read
from asgard.kafka.model import NewTopic
from asgard.kafka.segments import Damaged, LogRecord, RecordBatch
from tests.harness import RealCluster

pytestmark = pytest.mark.kafka
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")


def create(cluster: RealCluster, name: str, **config: str) -> None:
    with connect(cluster.connection) as control:
        given = {"retention.ms": "-1", **{k.replace("_", "."): v for k, v in config.items()}}  # times here are old
        assert control.create_topics([NewTopic(name, 1, 1, given)]) == {name: None}
        until = time.monotonic() + 20
        while name not in control.topics([name]) and time.monotonic() < until:
            time.sleep(0.05)


def producer(cluster: RealCluster, **config: object) -> Producer:
    return Producer({**cluster.connection.for_librdkafka(), "linger.ms": 50, "log_level": 2, **config})


def write(writer: Producer, topic: str, count: int, size: int = 100, first: int = 0) -> None:
    for n in range(first, first + count):
        headers = [("n", b"%d" % n), ("null", None), ("ü", b"")] if n % 3 else None
        key = b"key %d" % n if n % 2 else None
        writer.produce(
            topic, (b"%d " % n) * (size // 5) if n % 7 else None, key, 0, headers=headers, timestamp=1000 + n
        )
        writer.poll(0)
    assert writer.flush(30) == 0


def given(cluster: RealCluster, topic: str) -> list[Read]:
    with connect(cluster.connection) as control:
        ends = control.offsets([(topic, 0)])
    return [record for batch in read(cluster.connection, ends) for record in batch]


def partition(cluster: RealCluster, topic: str) -> Path:
    found = cluster.run_dir(1).partition_dir(topic, 0)
    assert found is not None
    return found


def stored(directory: Path) -> tuple[list[RecordBatch], list[LogRecord], list[bool | None]]:
    """Batches, records, and whether each marker commits."""
    batches, records, markers = [], [], []
    for segment in segments.segments(directory):
        for batch in segments.batches(segment):
            assert batch.intact
            batches.append(batch)
            if batch.control:
                markers.append(batch.commits)
            else:
                records += batch.records()
    return batches, records, markers


def same(found: list[LogRecord], expected: list[Read]) -> bool:
    return [(r.offset, r.timestamp_ms, r.key, r.value, r.headers) for r in found] == [
        (r.offset, r.timestamp_ms, r.key, r.value, tuple(r.headers)) for r in expected
    ]


@pytest.mark.parametrize("by", ["the producer", "the broker"])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_records_are_read_as_a_consumer_reads_them(
    compression: str, by: str, plain_broker: RealCluster, topic_name: str
) -> None:
    config = {"compression_type": "uncompressed" if compression == "none" else compression}
    create(plain_broker, topic_name, **(config if by == "the broker" else {}))
    writer = producer(plain_broker, **({"compression.type": compression} if by == "the producer" else {}))
    write(writer, topic_name, 2000)
    batches, records, markers = stored(partition(plain_broker, topic_name))
    assert markers == []
    assert {batch.compression for batch in batches} == {compression}
    assert len(records) == 2000 and same(records, given(plain_broker, topic_name))


def test_transactions_show_their_markers_and_what_they_took_back(plain_broker: RealCluster, topic_name: str) -> None:
    create(plain_broker, topic_name)
    writer = producer(plain_broker, **{"transactional.id": topic_name, "compression.type": "zstd"})
    writer.init_transactions(20)
    for number, end in enumerate((writer.commit_transaction, writer.abort_transaction, writer.commit_transaction)):
        writer.begin_transaction()
        write(writer, topic_name, 10, first=10 * number)
        end(20)
    until = time.monotonic() + 20
    while len(given(plain_broker, topic_name)) < 20 and time.monotonic() < until:
        time.sleep(0.05)
    batches, records, markers = stored(partition(plain_broker, topic_name))
    assert markers == [True, False, True]
    assert {batch.transactional for batch in batches} == {True}
    assert len({(batch.producer_id, batch.producer_epoch) for batch in batches if not batch.control}) <= 3
    assert [record.timestamp_ms - 1000 for record in records] == list(range(30))
    committed = [record for record in records if not 10 <= record.timestamp_ms - 1000 < 20]
    assert same(committed, given(plain_broker, topic_name))


def test_only_segments_that_may_hold_an_offset_are_opened(plain_broker: RealCluster, topic_name: str) -> None:
    create(plain_broker, topic_name, segment_bytes=str(1024 * 1024))
    write(producer(plain_broker), topic_name, 3000, size=1500)
    directory = partition(plain_broker, topic_name)
    files = segments.segments(directory)
    assert len(files) >= 3
    first = {path: next(iter(segments.batches(path))).base_offset for path in files}
    assert [int(path.stem) for path in files] == list(first.values())
    middle = first[files[1]]
    assert segments.segments(directory, middle, middle) == [files[1]]
    assert segments.segments(directory, middle - 1, middle) == files[:2]
    assert segments.segments(directory, 10**9) == [files[-1]]
    assert len(stored(directory)[1]) == 3000


def test_a_cut_off_tail_is_left_out_and_damage_is_seen(
    plain_broker: RealCluster, topic_name: str, tmp_path: Path
) -> None:
    create(plain_broker, topic_name)
    for first in (0, 10, 20):
        write(producer(plain_broker), topic_name, 10, first=first)
    (original,) = segments.segments(partition(plain_broker, topic_name))
    copy = tmp_path / original.name
    shutil.copy(original, copy)
    whole = copy.read_bytes()
    *_, last = [(batch.position, batch.size) for batch in segments.batches(copy)]
    assert sum(last) == len(whole)
    for cut in (1, last[1] - 61, last[1] - 60, last[1] - 1):
        copy.write_bytes(whole[:-cut])
        assert len(stored(tmp_path)[1]) == 20
    copy.write_bytes(whole + bytes(4096))  # preallocated
    assert len(stored(tmp_path)[1]) == 30
    copy.write_bytes(whole[: last[0] + 80] + b"\xff" + whole[last[0] + 81 :])
    assert [batch.intact for batch in segments.batches(copy)] == [True, True, False]
    copy.write_bytes(whole[: last[0] + 16] + b"\x01" + whole[last[0] + 17 :])
    with pytest.raises(Damaged, match=f"batch of format 1 at byte {last[0]}"):
        list(segments.batches(copy))
    copy.unlink()
    assert list(segments.batches(copy)) == []


def test_a_batch_can_be_read_only_while_its_file_is(plain_broker: RealCluster, topic_name: str) -> None:
    create(plain_broker, topic_name)
    write(producer(plain_broker), topic_name, 10)
    (segment,) = segments.segments(partition(plain_broker, topic_name))
    (batch,) = list(segments.batches(segment))
    with pytest.raises(ValueError, match="closed file"):
        list(batch.records())
