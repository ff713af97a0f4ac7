"""Positions that are out of range, with librdkafka and its own mock broker: what archives and replays make of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Position

from asgard.kafka.connection import Connection
from asgard.kafka.model import Offsets
from asgard.thor.archive import location, run, verify
from asgard.thor.archive.model import fresh
from asgard.thor.archive.shards import ArchiveOptions, Shards
from asgard.thor.archive.source import Key, SourceTopics
from asgard.thor.replay.model import CutShort
from asgard.thor.replay.topics import TopicSource
from tests.unit.thor.test_thor_archive_files import FACTS, SHARD

KEY = (SHARD.topic, SHARD.partition)
COUNT, MOCK_KEEPS_BYTES = 80, 5 * 1024 * 1024


@dataclass(frozen=True)
class Log:
    """One partition of 80 records at a mock broker, which deleted the first of them: it keeps 5 MiB."""

    connection: Connection
    start: int

    def offsets(self, keys: Collection[Key]) -> dict[Key, Offsets]:
        return dict.fromkeys(keys, Offsets(self.start, COUNT))


@pytest.fixture(scope="module")
def log() -> Iterator[Log]:
    producer = Producer(
        {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "batch.num.messages": 1, "log_level": 0}
    )
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    connection = Connection(f"{broker.host}:{broker.port}")
    for n in range(COUNT):
        producer.produce(SHARD.topic, bytes(2 * MOCK_KEEPS_BYTES // COUNT), partition=0, timestamp=1000 + n)
        assert producer.flush(10) == 0
    consumer = Consumer({**connection.for_librdkafka(), "group.id": "g"})
    start, end = consumer.get_watermark_offsets(Position(*KEY), timeout=10)
    consumer.close()
    assert 0 < start < end == COUNT
    yield Log(connection, start)


def archived(log: Log, place: Path, position: int) -> Shards:
    """Archive the partition from that position."""
    topics = SourceTopics("cluster", {KEY: SHARD}, {SHARD.topic: FACTS}, {SHARD.topic: "delete"}, {})
    shards = Shards(location.open_storage(str(place)), topics, ArchiveOptions("deflate"), lambda key, offset: [])
    shards.claim({KEY: fresh(SHARD, "cluster", position)})
    progress = run._Progress(COUNT)
    run._read(run._Reading(log.connection, cast(Any, log), shards, {KEY: COUNT}, progress))
    return shards


def test_an_archive_passes_over_what_expired_before_it_was_read(log: Log, tmp_path: Path) -> None:
    done = archived(log, tmp_path, 0).done
    assert done.gaps == {"expired": log.start} and done.records == COUNT - log.start
    assert verify.verify(location.open_storage(str(tmp_path))).damaged == []


def test_an_archive_says_if_a_partition_ends_before_its_position(log: Log, tmp_path: Path) -> None:
    with pytest.raises(CutShort, match="orders-0 ends at offset 80, and offset 5000 comes next") as error:
        archived(log, tmp_path, 5000)
    assert "run it again" in str(error.value.hint)


def test_a_replay_passes_over_what_expired_before_it_was_read(log: Log) -> None:
    source = TopicSource(log.connection, {KEY: (0, COUNT)}, client_id="r")
    found = [record.offset for batch in source.read({KEY: 0}) for record in batch.records]
    assert found == list(range(log.start, COUNT)) and source.expired == {KEY: log.start}


def test_a_replay_says_if_a_partition_ends_before_its_position(log: Log) -> None:
    source = TopicSource(log.connection, {KEY: (5000, 6000)}, client_id="r")
    with pytest.raises(CutShort, match="orders-0 ends at offset 80, and offset 5000 comes next"):
        list(source.read({KEY: 5000}))
