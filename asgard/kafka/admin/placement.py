"""Where replicas live: reassignments, preferred leaders, log directories and the size of replicas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from kafka.protocol.admin import (
    AlterPartitionReassignmentsRequest,
    AlterReplicaLogDirsRequest,
    DescribeLogDirsRequest,
    ElectionType,
    ElectLeadersRequest,
)

from asgard.core.errors import AsgardError
from asgard.kafka.admin import errors
from asgard.kafka.admin.topics import TopicCalls
from asgard.kafka.admin.wire import Wire
from asgard.kafka.model import DirMove, Disk, LogDir, Move, Partition

MOVES_A_REQUEST = 1000
_STORAGE_ERROR = 56
_NO_REPLICA_YET = 9
TopicPartition = tuple[str, int]


def by_topic(partitions: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """Partitions grouped by topic, as Kafka's messages require."""
    grouped: dict[str, list[int]] = defaultdict(list)
    for topic, partition in partitions:
        grouped[topic].append(partition)
    return grouped


class PlacementCalls(TopicCalls):
    """The part of the control plane about replicas and leaders."""

    _wire: Wire

    def reassign(
        self, moves: Collection[Move], *, allow_replication_factor_change: bool = False
    ) -> dict[TopicPartition, AsgardError | None]:
        """Submit reassignments; an empty replica list cancels one (no error if none is running)."""
        result: dict[TopicPartition, AsgardError | None] = {}
        wanted = {(move.topic, move.partition): move.replicas for move in moves}
        if not allow_replication_factor_change and not self._wire.supports(AlterPartitionReassignmentsRequest, 1):
            for key in self._other_factor(wanted):
                doing, code = f"move partition {key[0]}-{key[1]}", errors.INVALID_REPLICATION_FACTOR
                result[key] = self._wire.outcome(code, None, doing)
                del wanted[key]

        def once(batch: list[TopicPartition], again: bool) -> dict[TopicPartition, int]:
            row = AlterPartitionReassignmentsRequest.ReassignableTopic
            answer = self._wire.ask(
                AlterPartitionReassignmentsRequest(
                    timeout_ms=int(self._wire.deadline_s * 1000),
                    allow_replication_factor_change=allow_replication_factor_change,
                    topics=[
                        row(
                            name=topic,
                            partitions=[
                                row.ReassignablePartition(
                                    partition_index=p, replicas=list(wanted[topic, p]) if wanted[topic, p] else None
                                )
                                for p in partitions
                            ],
                        )
                        for topic, partitions in by_topic(batch).items()
                    ],
                )
            )
            needs = "ALTER on the cluster"
            self._wire.check(answer.error_code, answer.error_message, "move partitions", needs)
            codes = {}
            for topic in answer.responses:
                for p in topic.partitions:
                    key = (topic.name, p.partition_index)
                    code = p.error_code
                    if code == errors.NO_REASSIGNMENT_IN_PROGRESS and not wanted[key]:
                        code = 0
                    codes[key] = code
                    doing = f"move partition {topic.name}-{p.partition_index}"
                    result[key] = self._wire.outcome(code, p.error_message, doing, needs)
            return codes

        self._wire.settle(sorted(wanted), once, MOVES_A_REQUEST)
        return result

    def _other_factor(self, wanted: dict[TopicPartition, tuple[int, ...]]) -> list[TopicPartition]:
        """Moves that would change a replication factor; for clusters that can't check this themselves (before 4.1)."""
        topics = self.topics({topic for topic, _ in wanted})
        now = {(p.topic, p.partition): p for t in topics.values() for p in t.partitions}
        return [
            key
            for key, replicas in wanted.items()
            if replicas and key in now and len(replicas) != len(set(now[key].replicas) - set(now[key].adding))
        ]

    def reassignments(self) -> list[Partition]:
        """Partitions that are moving now."""
        moving = {(topic, p.partition_index) for topic, p in self._listed_reassignments()}
        topics = self.topics({topic for topic, _ in moving})
        return [p for t in topics.values() for p in t.partitions if (p.topic, p.partition) in moving]

    def elect_preferred_leaders(
        self, partitions: Collection[TopicPartition] | None = None
    ) -> dict[TopicPartition, AsgardError | None]:
        """Make the first replica the leader; None: of all partitions. No error if it leads already."""
        return self._elect(partitions, ElectionType.PREFERRED, "elect the preferred leader of")

    def elect_unclean_leaders(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, AsgardError | None]:
        """Make any replica that is up the leader of partitions that have none: records that it lacks are lost."""
        return self._elect(partitions, ElectionType.UNCLEAN, "elect an unclean leader of")

    def _elect(
        self, partitions: Collection[TopicPartition] | None, how: ElectionType, doing: str
    ) -> dict[TopicPartition, AsgardError | None]:
        result: dict[TopicPartition, AsgardError | None] = {}

        def once(batch: list[TopicPartition] | None, again: bool) -> dict[TopicPartition, int]:
            row = ElectLeadersRequest.TopicPartitions
            answer = self._wire.ask(
                ElectLeadersRequest(
                    election_type=how.value,
                    topic_partitions=None
                    if batch is None
                    else [row(topic=topic, partitions=found) for topic, found in by_topic(batch).items()],
                    timeout_ms=int(self._wire.deadline_s * 1000),
                )
            )
            needs = "ALTER on the cluster"
            self._wire.check(answer.error_code, None, "elect leaders", needs)
            codes = {}
            for topic in answer.replica_election_results:
                for p in topic.partition_result:
                    code = 0 if p.error_code == errors.ELECTION_NOT_NEEDED else p.error_code
                    codes[topic.topic, p.partition_id] = code
                    what = f"{doing} {topic.topic}-{p.partition_id}"
                    result[topic.topic, p.partition_id] = self._wire.outcome(code, p.error_message, what, needs)
            return codes

        if partitions is None:
            once(None, False)
        else:
            self._wire.settle(sorted(set(partitions)), once, MOVES_A_REQUEST)
        return result

    def log_dirs(self, brokers: Iterable[int], deadline_s: float | None = None) -> dict[int, tuple[LogDir, ...]]:
        """Of the brokers that answered."""
        answers = self._log_dirs(brokers, topics=[], deadline_s=deadline_s)
        return {broker: _directories(answer) for broker, answer in answers}

    def disks(self, brokers: Iterable[int], deadline_s: float | None = None) -> dict[int, Disk]:
        """Log directories and replica sizes together, of the brokers that answered; one request per broker."""
        return {broker: _disk(answer) for broker, answer in self._log_dirs(brokers, topics=None, deadline_s=deadline_s)}

    def move_directories(self, moves: Collection[DirMove]) -> dict[DirMove, AsgardError | None]:
        """Move replicas between the log directories of their brokers; a replica that does not exist yet is created
        there."""
        by_broker: dict[int, list[DirMove]] = defaultdict(list)
        for move in moves:
            by_broker[move.broker].append(move)
        result: dict[DirMove, AsgardError | None] = {}
        jobs = [(_alter_directories(wanted), broker) for broker, wanted in by_broker.items()]
        for (broker, wanted), answer in zip(by_broker.items(), self._wire.ask_each(jobs), strict=True):
            if isinstance(answer, AsgardError):
                result |= dict.fromkeys(wanted, answer)
                continue
            codes = {(t.topic_name, p.partition_index): p.error_code for t in answer.results for p in t.partitions}
            for move in wanted:
                code = codes.get((move.topic, move.partition), 0)
                doing = f"move {move.topic}-{move.partition} to {move.path} of broker {broker}"
                needs = "ALTER on the cluster"
                result[move] = None if code == _NO_REPLICA_YET else self._wire.outcome(code, None, doing, needs)
        return result

    def replica_sizes(self, brokers: Iterable[int]) -> dict[tuple[int, str, int], int]:
        """(broker, topic, partition) to bytes, of the brokers that answered; without future replicas."""
        return {
            (broker, topic, partition): size
            for broker, disk in self.disks(brokers).items()
            for (topic, partition), size in disk.sizes.items()
        }

    def _log_dirs(
        self, brokers: Iterable[int], *, topics: list[Any] | None, deadline_s: float | None = None
    ) -> Iterator[tuple[int, Any]]:
        wanted = sorted(set(brokers))
        jobs = ((DescribeLogDirsRequest(topics=topics), b) for b in wanted)
        for broker, answer in zip(wanted, self._wire.ask_each(jobs, deadline_s), strict=True):
            if not isinstance(answer, AsgardError):
                doing, needs = f"read the log directories of broker {broker}", "DESCRIBE on the cluster"
                self._wire.check(answer.error_code, None, doing, needs)
                yield broker, answer
            elif not isinstance(answer, errors.BrokerDown):
                raise answer


def _alter_directories(moves: Collection[DirMove]) -> Any:
    """The request to one broker."""
    row = AlterReplicaLogDirsRequest.AlterReplicaLogDir
    by_path: dict[str, list[TopicPartition]] = defaultdict(list)
    for move in moves:
        by_path[move.path].append((move.topic, move.partition))
    return AlterReplicaLogDirsRequest(
        dirs=[
            row(
                path=path,
                topics=[
                    row.AlterReplicaLogDirTopic(name=topic, partitions=partitions)
                    for topic, partitions in by_topic(wanted).items()
                ],
            )
            for path, wanted in by_path.items()
        ]
    )


def _disk(answer: Any) -> Disk:
    sizes: dict[TopicPartition, int] = {}
    directories: dict[TopicPartition, str] = {}
    future: dict[TopicPartition, tuple[str, int]] = {}
    for directory in answer.results:
        for topic in directory.topics:
            for p in topic.partitions:
                key = (topic.name, p.partition_index)
                if p.is_future_key:
                    future[key] = (directory.log_dir, p.partition_size)
                else:
                    sizes[key] = p.partition_size
                    directories[key] = directory.log_dir
    return Disk(_directories(answer), sizes, directories, future)


def _directories(answer: Any) -> tuple[LogDir, ...]:
    return tuple(
        LogDir(
            path=d.log_dir,
            capacity_bytes=d.total_bytes if d.total_bytes >= 0 else None,
            used_bytes=d.total_bytes - d.usable_bytes if min(d.total_bytes, d.usable_bytes) >= 0 else None,
            offline=d.error_code == _STORAGE_ERROR,
            cordoned=d.is_cordoned,
        )
        for d in sorted(answer.results, key=lambda d: str(d.log_dir))
    )
