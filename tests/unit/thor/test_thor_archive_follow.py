"""How shards are archived without a cluster: storage that fails, other writers, positions that are gone."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError
from confluent_kafka import TopicPartition as Position

from asgard.core.errors import Unreachable
from asgard.kafka.model import Broker, ClusterInfo, Offsets, Partition, Topic
from asgard.thor.archive import ledger, location, source, verify
from asgard.thor.archive.follow import _Follower
from asgard.thor.archive.model import Head, Shard, fresh
from asgard.thor.archive.shards import ArchiveOptions, Rolling, Shards
from asgard.thor.archive.source import Key, SourceTopics
from asgard.thor.archive.storage import Storage
from asgard.thor.replay.model import CutShort
from tests.unit.thor.test_thor_archive_files import FACTS, SHARD, Message, messages

KEY, OTHER = (SHARD.topic, 0), (SHARD.topic, 1)
TOPICS = SourceTopics("cluster", {KEY: SHARD}, {SHARD.topic: FACTS}, {SHARD.topic: "delete"}, {})


def shards(place: Storage) -> Shards:
    return Shards(place, TOPICS, ArchiveOptions("deflate"), lambda key, offset: [])


def test_a_file_that_a_manifest_names_is_not_overwritten_if_the_answer_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = location.open_storage(str(tmp_path))
    own = shards(place)
    own.claim({KEY: fresh(SHARD, "cluster", 0)})
    own.append(KEY, messages(100))

    def silent(storage: Storage, shard: object) -> list[int]:
        raise Unreachable("the storage does not answer")

    with monkeypatch.context() as failing:
        failing.setattr(ledger, "index_of", silent)
        with pytest.raises(Unreachable):
            own.close(KEY, own.position(KEY))
    assert own.position(KEY) == 0, "it is read again"
    own.append(KEY, messages(150))
    with pytest.raises(ledger.Fenced):
        own.close(KEY, own.position(KEY))
    assert verify.verify(place).damaged == []
    own.claim(own.heads([KEY]))
    assert own.position(KEY) == 100
    assert (verify.verify(place).damaged, verify.verify(place).strays) == ([], [])


@dataclass(frozen=True)
class Fetched(Message):
    """A message of a partition, as a consumer gives it."""

    of_partition: int = 0

    def topic(self) -> str:
        return SHARD.topic

    def partition(self) -> int:
        return self.of_partition

    def error(self) -> None:
        return None


def fetched(key: Key, start: int, end: int) -> list[Fetched]:
    """Records that compression doesn't make smaller: a hundred of them fill a file."""
    noise = random.Random(start)
    return [Fetched(n, 1000 + n, b"k", noise.randbytes(200), None, key[1]) for n in range(start, end)]


@dataclass
class Cluster:
    """A topic with two partitions, as the control plane shows it; `down` fails the next calls."""

    held: dict[Key, Offsets] = field(default_factory=lambda: {KEY: Offsets(0, 999), OTHER: Offsets(0, 999)})
    topic_id: str = SHARD.topic_id
    down: int = 0

    def cluster(self) -> ClusterInfo:
        return ClusterInfo("cluster", (Broker(1),))

    def topics(self, names: object = None, *, moves: bool = True) -> dict[str, Topic]:
        parts = tuple(Partition(SHARD.topic, p, (1,), (1,), 1) for _, p in (KEY, OTHER))
        return {SHARD.topic: Topic(SHARD.topic, self.topic_id, False, parts)}

    def topic_configs(self, names: object) -> dict[str, dict[str, str]]:
        return {}

    def effective_topic_configs(self, names: object, keys: object) -> dict[str, dict[str, str]]:
        return {}

    def group_offsets(self) -> dict[str, dict[Key, int]]:
        return {}

    def bulk(self) -> None:
        return None

    def offsets(self, keys: Collection[Key]) -> dict[Key, Offsets]:
        if self.down:
            self.down -= 1
            raise Unreachable("no broker answers in time")
        return {key: self.held[key] for key in keys if key in self.held}


@dataclass
class Reader:
    """A member of the group: where it reads each assigned partition from. Like librdkafka, it gives up only what is assigned."""

    at: dict[Key, int] = field(default_factory=dict)

    def subscribe(self, topics: list[str], **callbacks: object) -> None: ...

    def assignment(self) -> list[Position]:
        return [Position(*key) for key in self.at]

    def incremental_assign(self, partitions: list[Position]) -> None:
        assert not self.at.keys() & {(p.topic, p.partition) for p in partitions}
        self.at |= {(p.topic, p.partition): p.offset for p in partitions}

    def incremental_unassign(self, partitions: list[Position]) -> None:
        for p in partitions:
            del self.at[p.topic, p.partition]

    def committed(self, partitions: list[Position], timeout: float) -> list[Position]:
        return partitions

    def commit(self, offsets: list[Position], *, asynchronous: bool) -> None: ...


@dataclass
class Desk:
    """A follower that was given both partitions, its archive, cluster and consumer."""

    place: Storage
    cluster: Cluster
    reader: Reader
    follower: _Follower

    def give(self, *keys: Key) -> None:
        self.follower.assigned(cast(Any, self.reader), [Position(*key) for key in keys])

    def end(self, key: Key) -> int:
        """The offset up to which a partition is archived."""
        shard = Shard(SHARD.topic, self.cluster.topic_id, key[1])
        return ledger.read(self.place, shard, ledger.index_of(self.place, shard)).end

    def taken_by_another(self, key: Key) -> None:
        """Another process, not of the group, adds a manifest, as a prune does."""
        shard = Shard(SHARD.topic, self.cluster.topic_id, key[1])
        head = ledger.read(self.place, shard, ledger.index_of(self.place, shard))
        ledger.claim(self.place, head, "another", 2.0, FACTS, {})


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    cluster, reader, place = Cluster(), Reader(), location.open_storage(str(tmp_path / "a"))
    monkeypatch.setattr(source, "consumer", lambda connection, **options: reader)
    options = ArchiveOptions("deflate", Rolling(bytes=4000))
    return Desk(place, cluster, reader, _Follower(cast(Any, cluster), cast(Any, None), [SHARD.topic], place, options))


def test_a_writer_in_between_costs_other_partitions_no_record_while_the_cluster_is_down(desk: Desk) -> None:
    desk.give(KEY, OTHER)
    assert desk.reader.at == {KEY: 0, OTHER: 0}
    desk.taken_by_another(KEY)
    desk.cluster.down = 1
    desk.follower.take([*fetched(KEY, 0, 100), *fetched(OTHER, 0, 100)])
    with pytest.raises(Unreachable):
        desk.follower.start()
    desk.follower.take([*fetched(KEY, 100, 200), *fetched(OTHER, 100, 200)])
    assert (desk.end(KEY), desk.end(OTHER)) == (0, 200)
    assert desk.follower.shards.done.gaps == {}
    desk.follower.start()
    assert desk.reader.at[KEY] == 0, "it is read again from its manifest"
    desk.follower.take(fetched(KEY, 0, 100))
    assert desk.end(KEY) == 100
    assert verify.verify(desk.place).damaged == []


def test_a_file_that_is_closed_by_its_age_after_another_writer_had_the_shard_is_archived_again(desk: Desk) -> None:
    desk.give(KEY)
    desk.taken_by_another(KEY)
    desk.follower.take(fetched(KEY, 0, 5))
    desk.cluster.down = 1
    desk.follower.close(KEY)
    with pytest.raises(Unreachable):
        desk.follower.start()
    desk.follower.start()
    assert desk.reader.at == {KEY: 0} and KEY in desk.follower.shards


def test_a_partition_that_others_keep_claiming_is_started_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(storage: Storage, head: Head, *rest: object) -> Head:
        raise ledger.Fenced("another process is archiving it now")

    with monkeypatch.context() as busy:
        busy.setattr(ledger, "claim", taken)
        desk.give(KEY, OTHER)
    assert desk.reader.at == {} and desk.follower.trouble is None
    desk.follower.start()
    assert desk.reader.at == {KEY: 0, OTHER: 0}


def test_partitions_without_a_leader_are_started_when_they_have_one(desk: Desk) -> None:
    desk.cluster.held = {}
    desk.give(KEY, OTHER)
    assert desk.reader.at == {}, "librdkafka does not read them by itself"
    desk.follower.revoked(cast(Any, desk.reader), [Position(*OTHER)])
    desk.cluster.held = {KEY: Offsets(7, 99), OTHER: Offsets(0, 9)}
    desk.follower.look()
    desk.follower.start()
    assert desk.reader.at == {KEY: 7}


def test_storage_that_fails_is_followed_by_reading_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.give(KEY, OTHER)

    def down(*_: object) -> Head:
        raise Unreachable("the storage does not answer")

    with monkeypatch.context() as failing:
        failing.setattr(ledger, "add", down)
        with pytest.raises(Unreachable):
            desk.follower.take([*fetched(KEY, 0, 100), *fetched(OTHER, 0, 5)])
    assert desk.reader.at == {KEY: 0, OTHER: 0} and desk.follower.shards.position(OTHER) == 5
    desk.follower.take(fetched(KEY, 0, 100))
    assert desk.end(KEY) == 100


GONE = KafkaError(KafkaError._AUTO_OFFSET_RESET)


def test_what_expired_before_it_was_read_is_noted_and_passed_over(desk: Desk) -> None:
    desk.give(KEY)
    desk.follower.take(fetched(KEY, 0, 5))
    desk.cluster.held[KEY] = Offsets(80, 99)
    desk.follower.failed(KEY, GONE)
    assert desk.reader.at[KEY] == 80 and desk.end(KEY) == 80
    assert desk.follower.shards.done.gaps == {"expired": 75} and desk.follower.shards.done.records == 5


def test_a_position_that_is_gone_while_the_cluster_is_down_is_found_again_later(desk: Desk) -> None:
    desk.give(KEY)
    desk.cluster.held, held = {}, desk.cluster.held
    with pytest.raises(Unreachable, match="orders-0 has no leader"):
        desk.follower.failed(KEY, GONE)
    desk.cluster.held = held | {KEY: Offsets(80, 99)}
    desk.follower.start()
    assert desk.reader.at[KEY] == 80 and desk.follower.shards.done.gaps == {"expired": 80}


def test_a_topic_that_was_created_again_starts_another_life(desk: Desk) -> None:
    desk.give(KEY, OTHER)
    desk.follower.take(fetched(KEY, 0, 50))
    former, desk.cluster.topic_id = desk.cluster.topic_id, "another-id"
    desk.cluster.held[KEY] = Offsets(0, 10)
    desk.follower.failed(KEY, GONE)
    desk.follower.start()
    assert desk.reader.at[KEY] == 0
    desk.follower.take(fetched(KEY, 0, 10))
    desk.follower.close(KEY)
    assert desk.end(KEY) == 10
    desk.cluster.topic_id = former
    assert desk.end(KEY) == 50 and verify.verify(desk.place).damaged == []


def test_a_topic_that_was_created_again_is_noticed_by_its_id_before_its_offsets_are_passed(desk: Desk) -> None:
    desk.give(KEY)
    desk.follower.take(fetched(KEY, 0, 5))
    former, desk.cluster.topic_id = desk.cluster.topic_id, "another-id"
    desk.follower.look()
    desk.follower.start()
    desk.follower.take(fetched(KEY, 0, 5))
    desk.follower.close(KEY)
    assert desk.end(KEY) == 5
    desk.cluster.topic_id = former
    assert desk.end(KEY) == 5


def test_a_partition_that_an_unclean_election_cut_is_a_sentence(desk: Desk) -> None:
    desk.give(KEY)
    desk.follower.take(fetched(KEY, 0, 50))
    desk.cluster.held[KEY] = Offsets(0, 30)
    with pytest.raises(CutShort, match="orders-0 ends at offset 30, and offset 50 comes next"):
        desk.follower.failed(KEY, GONE)
