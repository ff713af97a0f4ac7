"""A member of a streams group (KIP-1071) that speaks the protocol itself: it joins, takes its tasks, commits, and leaves.

Kafka Streams is Java; what the coordinator knows of such a group is the same.
"""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Mapping
from typing import NamedTuple

from kafka.protocol.consumer import OffsetCommitRequest
from kafka.protocol.metadata import FindCoordinatorRequest

from asgard.kafka.admin import AdminClient, errors
from asgard.kafka.admin.raw import RawRequest, Reader, array, text

SUBTOPOLOGY = "0"
_HEARTBEAT, _NULL, _NO_TAGS = 88, b"\x00", b"\x00"
_NO_STRUCT, _A_STRUCT = b"\xff", b"\x01"
_DEADLINE_S = 30.0


class _Beat(NamedTuple):
    """What the coordinator answers: an error, the member's epoch, its tasks (None: the same as before)."""

    error: int
    message: str
    epoch: int
    tasks: tuple[int, ...] | None


class StreamsMember:
    """One member that reads one topic, whose partitions are the tasks of one subtopology."""

    def __init__(self, control: AdminClient, group: str, topic: str, partitions: int) -> None:
        self.control, self.group, self.topic, self.partitions = control, group, topic, partitions
        self.id, self.epoch, self.tasks = str(uuid.uuid4()), 0, tuple[int, ...]()

    def join(self) -> None:
        """Join and heartbeat until all tasks are this member's."""
        until = time.monotonic() + _DEADLINE_S
        self.beat()
        while len(self.tasks) < self.partitions:
            assert time.monotonic() < until, f"{self.group}: the member has the tasks {self.tasks}"
            time.sleep(0.2)
            self.beat()
        self.beat()

    def beat(self) -> None:
        """One heartbeat; the tasks that the coordinator assigns are taken."""
        answer = self._send(self.epoch)
        self.epoch = answer.epoch
        self.tasks = self.tasks if answer.tasks is None else answer.tasks

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit offsets by partition, as a member."""
        topic = OffsetCommitRequest.OffsetCommitRequestTopic
        rows = [
            topic.OffsetCommitRequestPartition(partition_index=p, committed_offset=o, committed_metadata="")
            for p, o in offsets.items()
        ]
        request = OffsetCommitRequest(
            group_id=self.group,
            generation_id_or_member_epoch=self.epoch,
            member_id=self.id,
            group_instance_id=None,
            topics=[topic(name=self.topic, partitions=rows)],
            max_version=9,
        )
        answer = self.control._wire.ask(request, self._coordinator())
        assert not [p.error_code for t in answer.topics for p in t.partitions if p.error_code], answer

    def leave(self) -> None:
        """Leave the group."""
        self._send(-1)

    def _send(self, epoch: int) -> _Beat:
        until = time.monotonic() + _DEADLINE_S
        while True:
            request = RawRequest(_HEARTBEAT, 0, self._body(epoch), _answer)
            answer: _Beat = self.control._wire.ask(request, self._coordinator())
            if answer.error not in errors.TRY_AGAIN or time.monotonic() > until:
                assert not answer.error, f"{self.group}: error {answer.error}, {answer.message}"
                return answer
            time.sleep(0.2)

    def _coordinator(self) -> int:
        request = FindCoordinatorRequest(key_type=0, coordinator_keys=[self.group], min_version=4)
        found = self.control._wire.ask(request, code=lambda a: int(a.coordinators[0].error_code)).coordinators[0]
        return int(found.node_id)

    def _body(self, epoch: int) -> bytes:
        joins = epoch == 0
        head = text(self.group) + text(self.id) + struct.pack(">ii", epoch, 0) + _NULL + _NULL
        tasks = array(1) + text(SUBTOPOLOGY) + array(len(self.tasks))
        tasks += b"".join(p.to_bytes(4, "big") for p in self.tasks) + _NO_TAGS
        if joins or not self.tasks:
            tasks = array(0)
        nothing = array(0)
        rest = _NO_STRUCT + (nothing if joins else _NULL) + _NULL + _NULL + b"\x00" + _NO_TAGS
        process = text("asgard-tests") if joins else _NULL
        topology = self._topology() if joins else _NO_STRUCT
        standby = warmup = nothing
        return head + struct.pack(">i", 30_000) + topology + tasks + standby + warmup + process + rest

    def _topology(self) -> bytes:
        lists = (
            array(1) + text(self.topic) + 5 * array(0)
        )  # sources, regexes, changelogs, sinks, repartitions, copartitions
        return _A_STRUCT + struct.pack(">i", 0) + array(1) + text(SUBTOPOLOGY) + lists + _NO_TAGS + _NO_TAGS


def _answer(r: Reader) -> _Beat:
    r.skip(4)
    error, message, _, epoch = r.i16(), r.text(), r.text(), r.i32()
    r.skip(12)
    for _ in range(r.count()):
        r.i8()
        r.text()
        r.tags()
    if r.data[r.at] == 0:  # null: as before
        return _Beat(error, message, epoch, None)
    tasks: list[int] = []
    for _ in range(r.count()):
        r.text()
        tasks += [r.i32() for _ in range(r.count())]
        r.tags()
    return _Beat(error, message, epoch, tuple(tasks))
