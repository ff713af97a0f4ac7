"""What to archive: topics with their ids, settings and offsets, in a few calls to the cluster; and a consumer with bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from asgard.core.errors import WrongUsage
from asgard.kafka.connection import Connection
from asgard.kafka.groups import ARCHIVE, PROGRESS
from asgard.kafka.model import BatchHead, Offsets
from asgard.kafka.ports import ControlPlane
from asgard.thor.archive.model import ArchivedTopicFacts, Shard

if TYPE_CHECKING:
    from confluent_kafka import Consumer

QUEUED_KBYTES = 32 * 1024
BATCH_BYTES = 8 * 1024 * 1024
MOST_MESSAGES = 4000
_POLICY, _LIMIT = "cleanup.policy", "max.message.bytes"
Key = tuple[str, int]
"""Topic and partition."""


ReadHeads = Callable[[Key, int], Sequence[BatchHead]]
"""Reads heads of a partition's batches, starting at the one that holds an offset."""


def heads_of(control: ControlPlane) -> ReadHeads:
    """A reader for this cluster."""
    bulk = control.bulk()
    return lambda key, offset: bulk.batch_heads(*key, offset)


@dataclass(frozen=True)
class SourceTopics:
    """Topics as they are now. `policies` is `cleanup.policy` by topic, `groups` each group's committed offsets by partition."""

    cluster_id: str
    shards: dict[Key, Shard]
    facts: dict[str, ArchivedTopicFacts]
    policies: dict[str, str]
    groups: dict[Key, dict[str, int]]


def chosen(control: ControlPlane, names: Collection[str]) -> list[str]:
    """The topics that names and patterns (`rides.*`) match. Raises WrongUsage if one matches none."""
    wild = any(set(name) & set("*?[") for name in names)
    topics = control.topics(None if wild else names, moves=False)
    found: set[str] = set()
    for name in names:
        matching = {t for t, topic in topics.items() if t == name or (not topic.internal and fnmatchcase(t, name))}
        if not matching:
            raise WrongUsage(f"there is no topic {name}", "asgard thor status --topics lists the topics.")
        found |= matching
    return sorted(found)


def look(control: ControlPlane, names: Collection[str]) -> SourceTopics:
    """Describe these topics."""
    topics = control.topics(names, moves=False)
    set_here = control.topic_configs(names)
    in_force = control.effective_topic_configs(names, [_POLICY, _LIMIT])
    return SourceTopics(
        control.cluster().cluster_id,
        {(t.name, p.partition): Shard(t.name, t.id, p.partition) for t in topics.values() for p in t.partitions},
        {
            t.name: ArchivedTopicFacts(
                len(t.partitions),
                t.replication,
                set_here.get(t.name, {}),
                int(in_force.get(t.name, {}).get(_LIMIT, 0)),
            )
            for t in topics.values()
        },
        {name: configs.get(_POLICY, "delete") for name, configs in in_force.items()},
        groups_of(control, names),
    )


def groups_of(control: ControlPlane, names: Collection[str]) -> dict[Key, dict[str, int]]:
    """Consumer groups' committed offsets, by partition; not those of Asgard's own groups, which are to be restored nowhere."""
    wanted, found = set(names), dict[Key, dict[str, int]]()
    for group, offsets in control.group_offsets().items():
        if group.startswith((ARCHIVE, *PROGRESS)):
            continue
        for key, offset in offsets.items():
            if key[0] in wanted and offset >= 0:
                found.setdefault(key, {})[group] = offset
    return found


def window(
    control: ControlPlane, keys: Collection[Key], from_ms: int | None, until_ms: int | None
) -> tuple[dict[Key, Offsets], dict[Key, int], dict[Key, int]]:
    """Offsets that the partitions hold, and the start and end of a time window in each."""
    held = control.offsets(keys)
    starts = {key: o.start for key, o in held.items()}
    ends = {key: o.end for key, o in held.items()}
    if from_ms is not None:
        starts |= control.offsets_at(list(held), from_ms)
    if until_ms is not None:
        ends |= control.offsets_at(list(held), until_ms)
    return held, starts, ends


def consumer(connection: Connection, **more: Any) -> Consumer:
    """A consumer that reads committed records, and queues at most `QUEUED_KBYTES`."""
    from confluent_kafka import Consumer

    return Consumer(
        {
            **connection.for_librdkafka(),
            "client.id": "asgard-archive",
            "group.id": "asgard-archive",  # librdkafka requires one; a window joins none and commits nothing
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # fail if a position was deleted, instead of skipping it
            "isolation.level": "read_committed",
            "queued.max.messages.kbytes": QUEUED_KBYTES,
            "fetch.max.bytes": 16 * 1024 * 1024,
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 10,  # the queue is usually full here, and the default waits a second
            "log_level": 0,
            **more,
        }
    )


class Batches:
    """How many messages to request at once: as many as fit into `BATCH_BYTES`, by the size of the last ones."""

    def __init__(self) -> None:
        self.count = 16

    def take(self, consumer: Consumer, timeout_s: float) -> list[Any]:
        """The next messages."""
        messages: list[Any] = consumer.consume(self.count, timeout=timeout_s)
        if messages:
            few = messages[:: len(messages) // 32 + 1]
            mean = max(1, sum(len(m) for m in few) // len(few))
            self.count = max(1, min(MOST_MESSAGES, BATCH_BYTES // mean, self.count * 4))
        return messages


def sort(messages: list[Any]) -> tuple[dict[Key, list[Any]], dict[Key, Any]]:
    """Records by partition, in order; and the last error message of each partition that has one."""
    wrong = {(m.topic(), m.partition()): m for m in messages if m.error() is not None}
    good = [m for m in messages if m.error() is None] if wrong else messages
    found: dict[Key, list[Any]] = {}
    at = 0
    while at < len(good):
        end, key = _run(good, at), (good[at].topic(), good[at].partition())
        found.setdefault(key, []).extend(good[at:end])
        at = end
    return found, wrong


def _run(messages: list[Any], start: int) -> int:
    """Where the first message's partition ends in the list: librdkafka returns messages by fetched batch."""
    topic, partition = messages[start].topic(), messages[start].partition()
    for at in range(start + 1, len(messages)):
        if messages[at].partition() != partition or messages[at].topic() != topic:
            return at
    return len(messages)
