"""First, next and committed offsets in bulk: one request per leader or coordinator, not one per partition."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection

from kafka.protocol.admin import ListGroupsRequest
from kafka.protocol.consumer import ListOffsetsRequest, OffsetFetchRequest

from asgard.core.errors import AsgardError
from asgard.kafka.admin import errors
from asgard.kafka.admin.placement import TopicPartition, by_topic
from asgard.kafka.admin.topics import TopicCalls
from asgard.kafka.admin.wire import Wire, chunks
from asgard.kafka.model import Offsets, Partition

PARTITIONS_A_REQUEST = 2000
GROUPS_A_REQUEST = 200
_LATEST, _EARLIEST = -1, -2
Committed = dict[str, dict[TopicPartition, int]]


class OffsetCalls(TopicCalls):
    """The part of the control plane about offsets."""

    _wire: Wire

    def offsets(
        self, partitions: Collection[TopicPartition], *, committed: bool = False
    ) -> dict[TopicPartition, Offsets]:
        """For the partitions that have a leader. Both ends are read one after the other: records may arrive in between.

        `committed`: up to the first open transaction, which is as far as readers of committed records get.
        """
        start = self._list_offsets(partitions, _EARLIEST)
        end = self._list_offsets(start, _LATEST, committed=committed)
        return {key: Offsets(start[key], end[key]) for key in start if key in end}

    def leader_offsets(
        self, partitions: Collection[Partition], *, first: bool = False, deadline_s: float | None = None
    ) -> dict[TopicPartition, int]:
        """The next offset (or the first) of partitions whose leaders are known, one request per leader; no retries.

        Partitions whose leader does not answer or no longer leads are left out.
        """
        by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
        for p in partitions:
            if p.leader >= 0:
                by_leader[p.leader].append((p.topic, p.partition))
        timestamp = _EARLIEST if first else _LATEST
        jobs = [
            (_list_request(batch, timestamp), leader)
            for leader, keys in by_leader.items()
            for batch in chunks(keys, PARTITIONS_A_REQUEST)
        ]
        return {
            (topic.name, p.partition_index): p.offset
            for answer in self._wire.ask_each(jobs, deadline_s)
            if not isinstance(answer, AsgardError)
            for topic in answer.topics
            for p in topic.partitions
            if not p.error_code and p.offset >= 0
        }

    def offsets_at(self, partitions: Collection[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """The first offset whose record is not older than the timestamp; the end offset if there is none."""
        found = self._list_offsets(partitions, max(timestamp_ms, 0))
        ends = self._list_offsets([key for key, offset in found.items() if offset < 0], _LATEST)
        return {
            key: offset if offset >= 0 else ends[key] for key, offset in found.items() if offset >= 0 or key in ends
        }

    def _list_offsets(
        self, partitions: Collection[TopicPartition], timestamp: int, *, committed: bool = False
    ) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = {}
        left = set(partitions)
        deadline, pause = time.monotonic() + self._wire.deadline_s, 0.1
        while left:
            leaders = {
                (p.topic, p.partition): p.leader
                for topic in self.topics({topic for topic, _ in left}).values()
                for p in topic.partitions
                if p.leader >= 0
            }
            left &= leaders.keys()
            jobs = []
            by_leader: dict[int, list[TopicPartition]] = defaultdict(list)
            for key in sorted(left):
                by_leader[leaders[key]].append(key)
            for leader, keys in by_leader.items():
                jobs += [
                    (_list_request(batch, timestamp, committed), leader) for batch in chunks(keys, PARTITIONS_A_REQUEST)
                ]
            for answer in self._wire.ask_each(jobs):
                if isinstance(answer, errors.BrokerDown):
                    continue  # the leader died: ask for the new one
                if isinstance(answer, AsgardError):
                    raise answer
                for topic in answer.topics:
                    for p in topic.partitions:
                        if p.error_code in errors.TRY_AGAIN:
                            continue
                        left.discard((topic.name, p.partition_index))
                        if p.error_code == errors.UNKNOWN_TOPIC:
                            continue
                        doing, needs = f"list the offsets of topic {topic.name}", f"DESCRIBE on topic {topic.name}"
                        self._wire.check(p.error_code, None, doing, needs)
                        found[topic.name, p.partition_index] = p.offset
            if left:
                if time.monotonic() + pause > deadline:
                    return found
                time.sleep(pause)
                pause = min(pause * 2, 1.0)
        return found

    def group_offsets(self, names: Collection[str] | None = None) -> Committed:
        """Group to its committed offsets, for all groups or these. Groups of a coordinator that is down are missing."""
        found: Committed = {}
        deadline, pause = time.monotonic() + self._wire.deadline_s, 0.1
        while True:
            moved = self._group_offsets(found, names)
            if not moved or time.monotonic() + pause > deadline:
                return dict(sorted(found.items()))
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _group_offsets(self, found: Committed, names: Collection[str] | None) -> bool:
        """Ask every broker for its groups and their offsets; whether any coordinator was just moving."""
        moved = False
        brokers = self._wire.brokers()
        jobs = []
        lists = self._wire.ask_each((ListGroupsRequest(states_filter=[], types_filter=[]), b) for b in brokers)
        for broker, answer in zip(brokers, lists, strict=True):
            if isinstance(answer, AsgardError):
                if not isinstance(answer, errors.BrokerDown):
                    raise answer
                continue
            if answer.error_code in errors.TRY_AGAIN:
                moved = True
                continue
            self._wire.check(answer.error_code, None, "list the consumer groups")
            listed = [g.group_id for g in answer.groups if g.group_type != "share" and g.group_id not in found]
            groups = listed if names is None else [g for g in listed if g in names]
            jobs += [(_fetch_request(batch), broker) for batch in chunks(groups, GROUPS_A_REQUEST)]
        for answer in self._wire.ask_each(jobs):
            if isinstance(answer, AsgardError):
                if not isinstance(answer, errors.BrokerDown):
                    raise answer
                moved = True
                continue
            for group in answer.groups:
                if group.error_code in errors.TRY_AGAIN:
                    moved = True
                    continue
                doing, needs = f"read the offsets of group {group.group_id}", f"DESCRIBE on group {group.group_id}"
                self._wire.check(group.error_code, None, doing, needs)
                found[group.group_id] = {
                    (topic.name, p.partition_index): p.committed_offset
                    for topic in group.topics
                    for p in topic.partitions
                    if p.committed_offset >= 0 and not p.error_code
                }
        return moved


def _list_request(partitions: list[TopicPartition], timestamp: int, committed: bool = False) -> ListOffsetsRequest:
    topic = ListOffsetsRequest.ListOffsetsTopic
    partition = topic.ListOffsetsPartition
    return ListOffsetsRequest(
        replica_id=-1,
        isolation_level=int(committed),
        topics=[
            topic(name=name, partitions=[partition(partition_index=i, timestamp=timestamp) for i in found])
            for name, found in by_topic(partitions).items()
        ],
    )


def _fetch_request(groups: list[str]) -> OffsetFetchRequest:
    group = OffsetFetchRequest.OffsetFetchRequestGroup
    return OffsetFetchRequest(
        groups=[group(group_id=g, member_id=None, member_epoch=-1, topics=None) for g in groups],
        require_stable=False,
        min_version=8,
        max_version=9,  # from 10 on topics are sent as ids
    )
