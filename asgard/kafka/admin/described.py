"""Lists and describes groups of every type: one request per broker to list them, one per coordinator and type for their
members."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from kafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment

from asgard.core.errors import AsgardError
from asgard.kafka.admin import errors
from asgard.kafka.admin.wire import Job, Wire, chunks
from asgard.kafka.groups import TYPES, DescribedGroup, GroupMember, Groups, GroupType, ListedGroup

GROUPS_A_REQUEST = 500


class DescribedCalls:
    """The part of the control plane that lists and describes groups."""

    _wire: Wire

    def groups(self) -> Groups:
        """All groups that the user may see, with type and state; one request per broker."""
        brokers = self._wire.brokers()
        listed: dict[str, ListedGroup] = {}
        silent = []
        request = ListGroupsRequest(states_filter=[], types_filter=[])
        for broker, answer in zip(brokers, self._wire.ask_each((request, b) for b in brokers), strict=True):
            if isinstance(answer, AsgardError) and not isinstance(answer, errors.BrokerDown):
                raise answer
            if isinstance(answer, AsgardError) or answer.error_code in errors.TRY_AGAIN:
                silent.append(broker)
                continue
            self._wire.check(answer.error_code, None, "list the groups", "DESCRIBE on the groups")
            for g in answer.groups:
                kind = _type((g.group_type or "classic").lower())
                listed[g.group_id] = ListedGroup(g.group_id, kind, g.group_state or "", broker, g.protocol_type or "")
        return Groups(dict(sorted(listed.items())), tuple(silent))

    def describe_groups(self, groups: Iterable[ListedGroup]) -> tuple[dict[str, DescribedGroup], dict[str, str]]:
        """Groups with members and assignments; and why some are missing (a coordinator that is down, an ACL)."""
        by_call: dict[tuple[int, GroupType], list[ListedGroup]] = defaultdict(list)
        for group in groups:
            by_call[group.coordinator, group.type].append(group)
        jobs: list[Job] = []
        asked: list[list[ListedGroup]] = []
        for (coordinator, kind), wanted in by_call.items():
            for batch in chunks(wanted, GROUPS_A_REQUEST):
                jobs.append((_request(kind, [g.name for g in batch]), coordinator))
                asked.append(batch)
        found: dict[str, DescribedGroup] = {}
        problems: dict[str, str] = {}
        for batch, answer in zip(asked, self._wire.ask_each(jobs), strict=True):
            if isinstance(answer, AsgardError):
                problems.update((g.name, answer.what) for g in batch)
                continue
            by_name = {g.name: g for g in batch}
            for one in answer.groups:
                group = by_name[one.group_id]
                doing, needs = f"describe group {group.name}", f"DESCRIBE on group {group.name}"
                error = self._wire.outcome(one.error_code, getattr(one, "error_message", None), doing, needs)
                if error:
                    problems[group.name] = error.what
                else:
                    found[group.name] = _described(group, one)
        return found, problems


def _type(word: str) -> GroupType:
    return next((kind for kind in TYPES if kind == word), "classic")


def _request(kind: GroupType, names: list[str]) -> Any:
    if kind == "classic":
        return DescribeGroupsRequest(groups=names, include_authorized_operations=False)
    # Made from JSON at import: 5 ms that commands without groups need not spend.
    from asgard.kafka.admin import messages

    newer = {
        "consumer": messages.ConsumerGroupDescribeRequest,
        "share": messages.ShareGroupDescribeRequest,
        "streams": messages.StreamsGroupDescribeRequest,
    }
    return newer[kind](group_ids=names, include_authorized_operations=False)


def _described(group: ListedGroup, answer: Any) -> DescribedGroup:
    listed = ListedGroup(group.name, group.type, answer.group_state, group.coordinator, group.protocol)
    assigned = {"classic": _classic, "streams": _streams}.get(group.type, _assigned)
    members = tuple(
        GroupMember(
            m.member_id,
            m.client_id,
            m.client_host.lstrip("/"),
            getattr(m, "group_instance_id", None) or getattr(m, "instance_id", None),
            assigned(m) if group.type != "classic" or group.protocol == "consumer" else {},
        )
        for m in answer.members
    )
    assignor = getattr(answer, "assignor_name", None) or getattr(answer, "protocol_data", None) or ""
    return DescribedGroup(listed, members, assignor)


def _assigned(member: Any) -> dict[str, tuple[int, ...]]:
    return {t.topic_name: tuple(t.partitions) for t in member.assignment.topic_partitions}


def _streams(member: Any) -> dict[str, tuple[int, ...]]:
    return {f"<{task.subtopology_id}>": tuple(task.partitions) for task in member.assignment.active_tasks}


def _classic(member: Any) -> dict[str, tuple[int, ...]]:
    data = bytes(member.member_assignment or b"")
    if not data:
        return {}
    try:
        decoded = ConsumerProtocolAssignment.decode(data)  # with its version in front
        return {t.topic: tuple(t.partitions) for t in decoded.assigned_partitions}
    except (ValueError, struct.error, IndexError):
        return {}  # a client's own format, which is unknown
