"""Topics: describe, create, delete, more partitions. Always in batches; an error of one topic does not stop the
others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kafka.protocol.admin import (
    CreatePartitionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DescribeTopicPartitionsRequest,
    ListPartitionReassignmentsRequest,
)

from asgard.core.errors import AsgardError
from asgard.kafka.admin import errors
from asgard.kafka.admin.cluster import id_text
from asgard.kafka.admin.wire import Wire, chunks
from asgard.kafka.model import NewTopic, Partition, Topic

NAMES_A_REQUEST = 500
PARTITIONS_A_REQUEST = 2000
"""Kafka answers and creates at most a few thousand partitions per request (`max.request.partition.size.limit`; 10,000
records)."""

Moving = dict[tuple[str, int], tuple[tuple[int, ...], tuple[int, ...]]]


class TopicCalls:
    """The part of the control plane about topics."""

    _wire: Wire

    def topics(self, names: Collection[str] | None = None, *, moves: bool = True) -> dict[str, Topic]:
        """The requested topics that exist, with eligible leader replicas and running reassignments.

        `moves=False`: without reassignments, which only the leader of the metadata quorum knows.
        """
        if names is not None and not names:
            return {}
        batches = [None] if names is None else list(chunks(sorted(names), NAMES_A_REQUEST))
        found: dict[str, tuple[Any, list[Any]]] = {}
        for batch in batches:
            for topic in self._described(batch):
                if topic.error_code == errors.UNKNOWN_TOPIC:
                    continue
                needs = f"DESCRIBE on topic {topic.name}"
                self._wire.check(topic.error_code, None, f"describe topic {topic.name}", needs)
                # A topic with more partitions than fit comes in several pages.
                found.setdefault(topic.name, (topic, []))[1].extend(topic.partitions)
        moving = self._moving() if found and moves else {}
        return {name: _topic(first, partitions, moving) for name, (first, partitions) in sorted(found.items())}

    def leader_epochs(self, names: Collection[str]) -> dict[tuple[str, int], int]:
        """The leader epoch of each partition: it increases whenever the partition gets a leader, even the same one
        again."""
        return {
            (topic.name, p.partition_index): p.leader_epoch
            for batch in chunks(sorted(names), NAMES_A_REQUEST)
            for topic in self._described(batch)
            for p in topic.partitions
        }

    def _described(self, names: Collection[str] | None) -> Iterator[Any]:
        request = DescribeTopicPartitionsRequest
        cursor = None
        while True:
            answer = self._wire.ask(
                request(
                    topics=[request.TopicRequest(name=name) for name in names or ()],
                    response_partition_limit=PARTITIONS_A_REQUEST,
                    cursor=cursor,
                )
            )
            yield from answer.topics
            if answer.next_cursor is None:
                return
            cursor = request.Cursor(
                topic_name=answer.next_cursor.topic_name, partition_index=answer.next_cursor.partition_index
            )

    def _moving(self) -> Moving:
        """(topic, partition) to the replicas that are being added and removed; empty if the user may not see them."""
        try:
            return {
                (name, p.partition_index): (tuple(p.adding_replicas), tuple(p.removing_replicas))
                for name, p in self._listed_reassignments()
            }
        except errors.NotAuthorised:
            return {}

    def _listed_reassignments(self) -> Iterator[tuple[str, Any]]:
        timeout_ms = int(self._wire.deadline_s * 1000)
        answer = self._wire.ask(ListPartitionReassignmentsRequest(timeout_ms=timeout_ms, topics=None))
        doing, needs = "list reassignments", "DESCRIBE on the cluster"
        self._wire.check(answer.error_code, answer.error_message, doing, needs)
        for topic in answer.topics:
            for partition in topic.partitions:
                yield topic.name, partition

    def create_topics(self, topics: Collection[NewTopic]) -> dict[str, AsgardError | None]:
        """Create topics; by name. Brokers other than the one asked may see them a moment later."""
        result: dict[str, AsgardError | None] = {}
        by_name = {topic.name: topic for topic in topics}
        request, timeout_ms = CreateTopicsRequest, int(self._wire.deadline_s * 1000)

        def once(batch: list[str], again: bool) -> dict[str, int]:
            wanted = [_creatable(by_name[name]) for name in batch]
            answer, lost = self._wire.ask_write(request(topics=wanted, timeout_ms=timeout_ms, validate_only=False))
            codes = {}
            for made in answer.topics:
                doing, needs = f"create topic {made.name}", f"CREATE on topic {made.name} or on the cluster"
                code = made.error_code
                if code == errors.TOPIC_ALREADY_EXISTS and (again or lost) and self._is_like(by_name[made.name]):
                    code = 0  # an earlier attempt, whose response was lost, has created it
                result[made.name] = self._wire.outcome(code, made.error_message, doing, needs)
                codes[made.name] = code
            return codes

        for batch in _by_partitions(by_name.values()):
            self._wire.settle(batch, once, NAMES_A_REQUEST)
        return result

    def _is_like(self, topic: NewTopic) -> bool:
        there = self.topics([topic.name]).get(topic.name)
        return there is not None and (len(there.partitions), there.replication) == (topic.partitions, topic.replication)

    def delete_topics(self, names: Collection[str]) -> dict[str, AsgardError | None]:
        """Delete topics with all their records; by name. The name is free again once all replicas are gone."""
        result: dict[str, AsgardError | None] = {}
        request, timeout_ms = DeleteTopicsRequest, int(self._wire.deadline_s * 1000)

        def once(batch: list[str], again: bool) -> dict[str, int]:
            topics = [request.DeleteTopicState(name=name) for name in batch]
            answer, lost = self._wire.ask_write(request(topics=topics, topic_names=batch, timeout_ms=timeout_ms))
            codes = {}
            for gone in answer.responses:
                code = 0 if gone.error_code == errors.UNKNOWN_TOPIC and (again or lost) else gone.error_code
                doing, needs = f"delete topic {gone.name}", f"DELETE on topic {gone.name}"
                result[gone.name] = self._wire.outcome(code, gone.error_message, doing, needs)
                codes[gone.name] = code
            return codes

        self._wire.settle(sorted(set(names)), once, NAMES_A_REQUEST)
        return result

    def create_partitions(self, totals: Mapping[str, int]) -> dict[str, AsgardError | None]:
        """Raise the number of partitions to these totals; by topic."""
        result: dict[str, AsgardError | None] = {}
        request, timeout_ms = CreatePartitionsRequest, int(self._wire.deadline_s * 1000)

        def once(batch: list[str], again: bool) -> dict[str, int]:
            topics = [request.CreatePartitionsTopic(name=name, count=totals[name], assignments=None) for name in batch]
            answer, lost = self._wire.ask_write(request(topics=topics, timeout_ms=timeout_ms, validate_only=False))
            codes = {}
            for grown in answer.results:
                code = grown.error_code
                if code == errors.INVALID_PARTITIONS and (again or lost) and self._has(grown.name, totals[grown.name]):
                    code = 0
                doing, needs = f"add partitions to topic {grown.name}", f"ALTER on topic {grown.name}"
                result[grown.name] = self._wire.outcome(code, grown.error_message, doing, needs)
                codes[grown.name] = code
            return codes

        self._wire.settle(sorted(totals), once, NAMES_A_REQUEST)
        return result

    def _has(self, name: str, partitions: int) -> bool:
        there = self.topics([name]).get(name)
        return there is not None and len(there.partitions) == partitions


def _creatable(topic: NewTopic) -> Any:
    row = CreateTopicsRequest.CreatableTopic
    return row(
        name=topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication,
        assignments=[],
        configs=[row.CreatableTopicConfig(name=key, value=value) for key, value in topic.config.items()],
    )


def _topic(first: Any, partitions: list[Any], moving: Moving) -> Topic:
    name = first.name
    return Topic(
        name,
        id_text(first.topic_id),
        first.is_internal,
        tuple(
            Partition(
                name,
                p.partition_index,
                tuple(p.replica_nodes),
                tuple(p.isr_nodes),
                p.leader_id,
                tuple(p.eligible_leader_replicas or ()),
                *moving.get((name, p.partition_index), ((), ())),
            )
            for p in sorted(partitions, key=lambda p: p.partition_index)
        ),
    )


def _by_partitions(topics: Collection[NewTopic]) -> Iterator[list[str]]:
    """Names of topics in groups with at most PARTITIONS_A_REQUEST partitions in all (a larger topic is alone in its
    group)."""
    group: list[str] = []
    total = 0
    for topic in topics:
        if group and total + topic.partitions > PARTITIONS_A_REQUEST:
            yield group
            group, total = [], 0
        group.append(topic.name)
        total += topic.partitions
    if group:
        yield group
