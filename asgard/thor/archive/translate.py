"""Translate a consumer group's offset for a topic restored from an archive.

Every restored record has its former offset in its header (`asgard.replay`), and those of one life of the topic only grow along a
partition. So an old offset is found by binary search, for many partitions at once: a few reads each, however long they are. Records
of others in between are read once at most.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import TopicPartition as Position

from asgard.core.errors import Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.model import Offsets
from asgard.thor.archive import source
from asgard.thor.archive.source import Key
from asgard.thor.replay import header

PATIENCE_S = 60.0
"""How long nothing may arrive of any partition that is being searched."""


@dataclass
class _Search:
    """The first offset in `[low, high]` with one of the copy's records from `old` on; `high` is the end."""

    key: Key
    old: int
    low: int
    high: int

    @property
    def middle(self) -> int:
        return (self.low + self.high) // 2


def translated(
    connection: Connection, ids: frozenset[str], olds: Mapping[Key, set[int]], held: Mapping[Key, Offsets]
) -> dict[tuple[Key, int], int]:
    """The new offset of each old one, by target partition. `ids` are the copies that brought the records of one life of the topic,
    `held` the target's offsets. Raises Unreachable."""
    found: dict[tuple[Key, int], int] = {}
    waiting = {key: sorted(old) for key, old in olds.items() if key in held}
    consumer = source.consumer(connection, **{"enable.partition.eof": True, "auto.offset.reset": "earliest"})
    try:
        while waiting:
            searches = {key: _Search(key, old.pop(), held[key].start, held[key].end) for key, old in waiting.items()}
            waiting = {key: old for key, old in waiting.items() if old}
            for search in list(searches.values()):
                if search.low >= search.high:
                    found[search.key, search.old] = search.high
                    del searches[search.key]
            while searches:
                for key, seen in _look(consumer, ids, {k: (s.middle, s.high) for k, s in searches.items()}).items():
                    search = searches[key]
                    if seen is None or seen[1] >= search.old:
                        search.high = search.middle
                    else:
                        search.low = seen[0] + 1
                    if search.low >= search.high:
                        found[key, search.old] = search.low
                        del searches[key]
    finally:
        consumer.close()
    return found


def _look(
    consumer: Any, ids: frozenset[str], places: Mapping[Key, tuple[int, int]]
) -> dict[Key, tuple[int, int] | None]:
    """The first record of the copies in each range `[start, end)`: its offset now and before; None if there is none."""
    consumer.assign([Position(*key, start) for key, (start, _) in places.items()])
    found: dict[Key, tuple[int, int] | None] = {}
    give_up = time.monotonic() + PATIENCE_S
    while len(found) < len(places):
        for message in consumer.consume(500, timeout=0.5):
            key = (message.topic(), message.partition())
            if key in found or key not in places:
                continue
            if message.error() is not None:
                if message.error().code() == -191:  # _PARTITION_EOF
                    found[key] = None
                continue
            give_up = time.monotonic() + PATIENCE_S
            if message.offset() >= places[key][1]:
                found[key] = None
                continue
            hops = [hop for hop in header.hops(message.headers() or ()) if hop.id in ids]
            if hops:
                found[key] = (message.offset(), hops[-1].offset)
        if time.monotonic() > give_up:
            raise Unreachable(f"{len(places) - len(found)} partitions could not be read to translate group offsets")
    return found
