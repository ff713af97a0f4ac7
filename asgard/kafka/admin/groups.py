"""Consumer groups: their members, members removed, offsets set for a group without members."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from kafka.protocol.admin import DescribeGroupsRequest
from kafka.protocol.consumer import LeaveGroupRequest, OffsetCommitRequest, OffsetDeleteRequest
from kafka.protocol.metadata import FindCoordinatorRequest

from asgard.kafka.admin import errors
from asgard.kafka.admin.offsets import OffsetCalls
from asgard.kafka.admin.placement import TopicPartition, by_topic
from asgard.kafka.admin.wire import Wire

_GROUP = 0
_GONE = (25, 69)
"""The member, or the group, does not exist (any more)."""


class GroupCalls(OffsetCalls):
    """The part of the control plane about the members of consumer groups."""

    _wire: Wire

    def group_members(self, group: str) -> dict[str, str]:
        """Member id to its client id and host; empty if the group has no members, or it is of the KIP-848 protocol."""
        request = DescribeGroupsRequest(groups=[group], include_authorized_operations=False)
        answer = self._of_group(group, request, lambda a: int(a.groups[0].error_code)).groups[0]
        if answer.error_code in _GONE:
            return {}
        self._wire.check(answer.error_code, None, f"describe group {group}", f"DESCRIBE on group {group}")
        return {m.member_id: f"{m.client_id} at {m.client_host.lstrip('/')}" for m in answer.members}

    def remove_members(self, group: str) -> int:
        """Remove every member of a group (KIP-345, KIP-800); they may join again. How many there were."""
        members = self.group_members(group)
        if not members:
            return 0
        identity = LeaveGroupRequest.MemberIdentity
        request = LeaveGroupRequest(
            group_id=group,
            members=[identity(member_id=m, group_instance_id=None, reason="removed by Asgard") for m in members],
            min_version=3,
        )
        answer = self._of_group(group, request, lambda a: int(a.error_code))
        doing, needs = f"remove the members of group {group}", f"READ on group {group}"
        self._wire.check(answer.error_code, None, doing, needs)
        for member in answer.members:
            if member.error_code not in _GONE:
                self._wire.check(member.error_code, None, doing, needs)
        return len(members)

    def commit_offsets(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Set a group's committed offsets. Kafka refuses this while the group has members."""
        topic = OffsetCommitRequest.OffsetCommitRequestTopic
        partition = topic.OffsetCommitRequestPartition
        request = OffsetCommitRequest(
            group_id=group,
            generation_id_or_member_epoch=-1,
            member_id="",
            group_instance_id=None,
            topics=[
                topic(
                    name=name,
                    partitions=[
                        partition(partition_index=i, committed_offset=offsets[name, i], committed_metadata="")
                        for i in found
                    ],
                )
                for name, found in by_topic(offsets).items()
            ],
            max_version=9,  # from 10 on topics are sent as ids
        )

        def codes(answer: Any) -> list[int]:
            return [p.error_code for t in answer.topics for p in t.partitions]

        answer = self._of_group(group, request, lambda a: next((c for c in codes(a) if c), 0))
        for code in codes(answer):
            self._wire.check(code, None, f"set the offsets of group {group}", f"READ on group {group} and its topics")

    def delete_offsets(self, group: str, partitions: Collection[TopicPartition]) -> None:
        """Delete a group's committed offsets for these partitions. Kafka refuses this while the group reads them."""
        topic = OffsetDeleteRequest.OffsetDeleteRequestTopic
        partition = topic.OffsetDeleteRequestPartition
        request = OffsetDeleteRequest(
            group_id=group,
            topics=[
                topic(name=name, partitions=[partition(partition_index=i) for i in found])
                for name, found in by_topic(partitions).items()
            ],
        )
        answer = self._of_group(group, request, lambda a: int(a.error_code))
        if answer.error_code in _GONE:
            return
        for code in [answer.error_code, *(p.error_code for t in answer.topics for p in t.partitions)]:
            self._wire.check(code, None, f"delete offsets of group {group}", f"DELETE on group {group}")

    def _of_group(self, group: str, request: Any, code: Callable[[Any], int]) -> Any:
        """The answer of the group's coordinator; if it is moving, retries until the deadline."""
        give_up, pause = time.monotonic() + self._wire.deadline_s, 0.1
        while True:
            found = self._wire.ask(
                FindCoordinatorRequest(key_type=_GROUP, coordinator_keys=[group], min_version=4),
                code=lambda a: int(a.coordinators[0].error_code),
            ).coordinators[0]
            self._wire.check(found.error_code, found.error_message, f"find the coordinator of group {group}")
            try:
                answer, _ = self._wire.ask_write(request, found.node_id)
            except errors.BrokerDown:
                if time.monotonic() + pause > give_up:
                    raise
            else:
                if code(answer) not in errors.TRY_AGAIN or time.monotonic() + pause > give_up:
                    return answer
            time.sleep(pause)
            pause = min(pause * 2, 1.0)
