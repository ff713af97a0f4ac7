"""The right throttle settings for the moves in flight. Pure: moves, rate and earlier values in, settings out.

A rate applies to the whole cluster (broker `""`); each topic's lists name the replicas: those that send and those that
fetch. An operator's settings are extended, not replaced. Unthrottled moves are removed from the lists. A list that
would be longer than Kafka allows becomes `*`: all replicas of the topic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from asgard.cluster.moves.record import Flight
from asgard.kafka.temporary import Key
from asgard.kafka.throttle import DIRECTORY_RATE, LONGEST, RATES, REPLICAS, union

RATE_KEYS: tuple[Key, ...] = tuple(("broker", "", rate) for rate in RATES)
DIRS_RATE_KEY: Key = ("broker", "", DIRECTORY_RATE)


def keys(flights: Iterable[Flight]) -> list[Key]:
    """All settings that the throttle of these moves may concern."""
    topics = sorted({f.topic for f in flights})
    return [*RATE_KEYS, *(("topic", t, key) for t in topics for key in REPLICAS)]


def wanted(
    flights: Collection[Flight], rate_bytes_per_s: float | None, before: Mapping[Key, str | None]
) -> dict[Key, str]:
    """The wanted settings, without those whose earlier values are right.

    `before` has the original values of `keys(flights)`.
    """
    found: dict[Key, str] = {}
    if rate_bytes_per_s is not None:
        found = {key: str(max(1, round(rate_bytes_per_s))) for key in RATE_KEYS}
    by_topic: dict[str, list[Flight]] = defaultdict(list)
    for flight in sorted(flights, key=lambda f: f.key):
        by_topic[flight.topic].append(flight)
    for topic, moves in by_topic.items():
        sending = [f"{f.partition}:{r}" for f in moves if f.throttled and f.adding for r in f.before]
        fetching = [f"{f.partition}:{r}" for f in moves if f.throttled for r in f.adding]
        free = {str(f.partition) for f in moves if not f.throttled}
        for key, marked in zip(REPLICAS, (sending, fetching), strict=True):
            where: Key = ("topic", topic, key)
            old = _without(before.get(where), free)
            value = union(old, ",".join(marked)) if marked else old
            if value is not None:
                found[where] = value if len(value) <= LONGEST else "*"
    return {key: value for key, value in found.items() if value != before.get(key)}


def _without(marks: str | None, partitions: Collection[str]) -> str | None:
    """The list without the replicas of these partitions; `*` can't be split and stays."""
    if not marks or marks == "*":
        return marks
    return ",".join(mark for mark in marks.split(",") if mark.partition(":")[0] not in partitions)
