"""Where a copy's progress is kept: committed offsets of a consumer group on the target cluster, one slot per source partition.

Kafka commits a group's offsets in the same transaction as records, on one cluster only, and only for partitions that exist there.
The source's partitions may not, so a slot is a partition of the target's topics, and the commit's metadata names the source
partition it belongs to. If the source has more partitions than the target, further groups hold the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from asgard.core.errors import Refused
from asgard.thor.replay.model import Saved, TopicPartition

MAX_METADATA = 4000
"""Bytes of metadata that a commit may carry (Kafka's default of offset.metadata.max.bytes is 4096)."""
MAX_NOTE = MAX_METADATA - 400
"""Bytes of a note in it; the rest is for the topic's name and the counts."""


@dataclass(frozen=True, order=True)
class Slot:
    """A committed offset: of which group (0, 1, … of the copy's groups), under which partition's name."""

    group: int
    topic: str
    partition: int


def slots(sources: Collection[TopicPartition], places: Collection[TopicPartition]) -> dict[TopicPartition, Slot]:
    """A slot for each source partition. If all of them are places themselves, each is its own slot."""
    ordered = sorted(sources)
    if set(ordered) <= set(places):
        return {key: Slot(0, *key) for key in ordered}
    room = sorted(places)
    return {key: Slot(i // len(room), *room[i % len(room)]) for i, key in enumerate(ordered)}


def metadata(source: TopicPartition, saved: Saved) -> str:
    """The commit's metadata: `orders/3 1200`, followed by a note if there is one."""
    return f"{source[0]}/{source[1]} {saved.sent} {saved.note}".rstrip()


def parse(source: TopicPartition, offset: int, text: str) -> Saved:
    """Parse a commit. Raises Refused if it belongs to something else."""
    name, _, rest = text.partition(" ")
    sent, _, note = rest.partition(" ")
    if name != f"{source[0]}/{source[1]}" or not sent.isdecimal():
        raise Refused(
            f"the saved progress of {source[0]}-{source[1]} belongs to something else: {text[:80]!r}",
            "Another client commits offsets in this group; give the copy another id.",
        )
    return Saved(offset, int(sent), note)


def by_group(
    slot_of: Mapping[TopicPartition, Slot], changed: Collection[TopicPartition]
) -> dict[int, list[TopicPartition]]:
    """The partitions whose progress changed, by the group that holds it."""
    found: dict[int, list[TopicPartition]] = {}
    for key in sorted(changed):
        found.setdefault(slot_of[key].group, []).append(key)
    return found
