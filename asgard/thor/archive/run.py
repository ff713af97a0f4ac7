"""Archive topics for a window, or from the archive's end to the topics' current end.

The manifests are the progress: after a kill at any moment, run it again and it continues from there. It reads a few dozen
partitions at a time, so memory and open files do not grow with their number.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as Position

from asgard.core import events
from asgard.core.errors import Unreachable
from asgard.core.units import format_size
from asgard.kafka.connection import Connection
from asgard.kafka.data import explain
from asgard.kafka.ports import ControlPlane
from asgard.thor.archive import source
from asgard.thor.archive.model import Head, fresh
from asgard.thor.archive.read import TopicWindow
from asgard.thor.archive.shards import ArchiveOptions, Done, Shards
from asgard.thor.archive.source import Key, SourceTopics
from asgard.thor.archive.storage import Storage
from asgard.thor.replay.model import CutShort

PARTITIONS_AT_ONCE = 64
_ANEW = "A topic that was created again is archived from its start: run it again. If one was cut, archive it to another place."
SILENCE_S = 60.0
"""How long a partition with more records may send nothing."""


@dataclass(frozen=True)
class Part:
    """What a partition holds, or its part of the window: `[start, end)`."""

    start: int
    end: int


def archive(
    control: ControlPlane,
    connection: Connection,
    window: TopicWindow,
    storage: Storage,
    options: ArchiveOptions,
) -> Done:
    """Archive what the topics hold, or a window of time.

    Raises Busy if another process is archiving a partition, Unreachable, and Damaged.
    """
    topics = source.look(control, source.chosen(control, window.topics))
    shards = Shards(storage, topics, options, source.heads_of(control))
    parts = _parts(control, list(topics.shards), window)
    for key in topics.shards.keys() - parts.keys():
        events.warn(f"{topics.shards[key]} has no leader and is skipped")
    heads = {
        key: head if head.seq else fresh(head.shard, topics.cluster_id, parts[key].start)
        for key, head in shards.heads(parts).items()
    }
    wanted = [key for key, head in heads.items() if _is_news(head, parts[key], topics)]
    progress = _Progress(sum(max(0, parts[key].end - max(heads[key].end, parts[key].start)) for key in wanted))
    try:
        for i in range(0, len(wanted), PARTITIONS_AT_ONCE):
            few = wanted[i : i + PARTITIONS_AT_ONCE]
            for key, head in shards.claim({key: heads[key] for key in few}).items():
                if head.end < parts[key].start < parts[key].end:
                    shards.gap(key, parts[key].start, "expired" if window.from_ms is None else "outside the window")
            ends = {k: parts[k].end for k in few if parts[k].end > shards.position(k)}
            if ends:
                _read(_Reading(connection, control, shards, ends, progress))
            shards.drop_all()
    finally:
        shards.drop_all()
    return shards.done


def _parts(control: ControlPlane, keys: Collection[Key], window: TopicWindow) -> dict[Key, Part]:
    held, starts, ends = source.window(control, keys, window.from_ms, window.until_ms)
    return {key: Part(max(starts[key], held[key].start), ends[key]) for key in held}


def _is_news(head: Head, part: Part, topics: SourceTopics) -> bool:
    """Whether there is anything to write: records, or a changed state of the topic or its groups."""
    key = (head.shard.topic, head.shard.partition)
    if head.seq == 0 or part.end > head.end:
        return True
    return head.facts != topics.facts[key[0]] or head.groups != topics.groups.get(key, head.groups)


class _Progress:
    def __init__(self, total: int) -> None:
        self.total, self.records, self.bytes, self.began = total, 0, 0, time.monotonic()

    def add(self, records: int, size: int) -> None:
        self.records += records
        self.bytes += size
        rate = self.bytes / max(0.001, time.monotonic() - self.began)
        text = f"{self.records:,} of {self.total:,} offsets, {format_size(rate)}/s"
        events.progress("archive", text, done=self.records, total=self.total, unit="offsets")


@dataclass
class _Reading:
    """A few partitions being read to their ends."""

    connection: Connection
    control: ControlPlane
    shards: Shards
    ends: dict[Key, int]
    progress: _Progress

    def through(self, consumer: Consumer, key: Key, end: int) -> None:
        """A partition has been read."""
        if end < self.ends[key]:
            events.note(
                f"{key[0]}-{key[1]}: {self.ends[key] - end} offsets behind an open transaction wait for the next run"
            )
        del self.ends[key]
        consumer.incremental_unassign([Position(*key)])
        self.shards.close(key, max(end, self.shards.position(key)))

    def failed(self, consumer: Consumer, key: Key, message: Any) -> None:
        """Handle an error that came in place of a message."""
        error = message.error()
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self.through(consumer, key, min(message.offset(), self.ends[key]))
        elif code == KafkaError._AUTO_OFFSET_RESET:
            start = passed_over(self.control, self.shards, key)
            if start >= self.ends[key]:
                self.through(consumer, key, self.ends[key])
            else:
                # librdkafka refuses to seek in a partition whose position was out of range.
                consumer.incremental_unassign([Position(*key)])
                consumer.incremental_assign([Position(*key, start)])
        elif code != KafkaError.GROUP_AUTHORIZATION_FAILED and not error.retriable():
            raise explain(error, self.connection)


def passed_over(control: ControlPlane, shards: Shards, key: Key) -> int:
    """Record the offsets that retention deleted before they were read. Returns where to continue.

    Raises Fenced, Unreachable if the partition has no leader, and CutShort.
    """
    held = control.offsets([key]).get(key)
    if held is None:
        raise Unreachable(
            f"{key[0]}-{key[1]} has no leader", "Run it again once it has one: it continues from the manifest."
        )
    shards.close(key, shards.position(key))
    if shards.position(key) > held.end:
        raise CutShort(key, shards.position(key), held.end, _ANEW)
    shards.gap(key, held.start, "expired")
    return shards.position(key)


def _read(reading: _Reading) -> None:
    batches, shards, heard = source.Batches(), reading.shards, time.monotonic()
    more = {"enable.partition.eof": True, "client.id": shards.options.client_id}
    consumer = source.consumer(reading.connection, **more)
    try:
        consumer.assign([Position(*key, shards.position(key)) for key in reading.ends])
        while reading.ends:
            messages = batches.take(consumer, 0.5)
            found, wrong = source.sort(messages)
            for key, own in found.items():
                end = reading.ends.get(key, 0)
                inside = own if own[-1].offset() < end else [m for m in own if m.offset() < end]
                if inside:
                    shards.append(key, inside)
                if key in reading.ends and own[-1].offset() >= end - 1:
                    reading.through(consumer, key, end)
            for key, message in wrong.items():
                if key in reading.ends:
                    reading.failed(consumer, key, message)
                elif key[0] is None and not message.error().retriable():
                    raise explain(message.error(), reading.connection)
            if found:
                heard = time.monotonic()
                size = sum(map(len, messages))
                reading.progress.add(len(messages), size)
                shards.options.ease(size)
            elif time.monotonic() - heard > SILENCE_S:
                (topic, partition), end = min(reading.ends.items())
                raise Unreachable(
                    f"{topic}-{partition} sent nothing for {SILENCE_S:.0f} s, and has records up to offset {end}",
                    "Run it again once the cluster is healthy: it continues from the manifest.",
                )
    finally:
        consumer.close()
