"""Where a dead letter came from, according to its headers: those of Kafka Connect, of Spring, and names given by the user. Pure."""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from asgard.kafka.data import Headers, Read
from asgard.thor.replay import header
from asgard.thor.replay.filters import Matches, last
from asgard.thor.replay.model import To

TOPIC_HEADERS = ("__connect.errors.topic", "kafka_dlt-original-topic", "kafka_original-topic")
_PARTITION_HEADERS = {
    "__connect.errors.topic": "__connect.errors.partition",
    "kafka_dlt-original-topic": "kafka_dlt-original-partition",
    "kafka_original-topic": "kafka_original-partition",
}
NO_TARGET, NO_TOPIC, LOOP, TRIES, FILTERED = "no target", "no such topic", "loop", "too many tries", "filtered"
STAYS = (NO_TARGET, NO_TOPIC, LOOP, TRIES)
"""Why a dead letter can't be sent; `filtered` ones are just not requested now."""


@dataclass(frozen=True)
class Rules:
    """How to send dead letters of one topic back. `partitions` counts those of every topic that exists."""

    cluster: str
    dlq: str
    id: str
    partitions: dict[str, int]
    topic_headers: tuple[str, ...] = TOPIC_HEADERS
    max_tries: int = 3
    wanted: Matches | None = None


def origin(headers: Headers, names: Sequence[str]) -> tuple[str | None, int | None]:
    """The topic and partition in the first of these headers; the last value of a header counts."""
    for name in names:
        raw = last(headers, name)
        if raw:
            where = _PARTITION_HEADERS.get(name)
            return raw.decode("utf-8", "replace").strip().strip('"'), _number(last(headers, where) if where else None)
    return None, None


def _number(raw: bytes | None) -> int | None:
    """A partition as Connect writes it (text) or Spring (four bytes, big-endian)."""
    if not raw:
        return None
    if raw.isdigit():
        return int(raw)
    return int(struct.unpack(">i", raw)[0]) if len(raw) == 4 else None


def decide(record: Read, rules: Rules) -> To | str:
    """Where a dead letter goes, or why it stays. Its headers are kept; a replay header records that it was sent."""
    if rules.wanted is not None and not rules.wanted(record):
        return FILTERED
    topic, partition = origin(record.headers, rules.topic_headers)
    if topic is None:
        return NO_TARGET
    if topic == rules.dlq:
        return LOOP
    count = rules.partitions.get(topic)
    if count is None:
        return NO_TOPIC
    if header.visits(record.headers, rules.cluster, rules.dlq) >= rules.max_tries:
        return TRIES
    place = partition if partition is not None and 0 <= partition < count else -1
    if place < 0 and record.key is None:
        place = record.partition % count
    return To(topic, place, [*record.headers, header.maker(rules.id, rules.cluster)(record)])


def chosen_of(texts: Collection[str]) -> dict[int, set[int]]:
    """`3:120` and `0:7-9` as offsets by partition. Raises ValueError."""
    found: dict[int, set[int]] = {}
    for text in texts:
        partition, colon, offsets = text.partition(":")
        low, dash, high = offsets.partition("-")
        if not colon or not partition.isdecimal() or not low.isdecimal() or (dash and not high.isdecimal()):
            raise ValueError(f"is {text!r}; allowed is PARTITION:OFFSET or PARTITION:FIRST-LAST, as in 0:17 or 0:17-20")
        if dash and not 0 <= int(high) - int(low) < 100_000:
            raise ValueError(f"is {text!r}; a range goes upwards and has at most 100,000 offsets")
        found.setdefault(int(partition), set()).update(range(int(low), int(high if dash else low) + 1))
    return found
