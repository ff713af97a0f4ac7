"""Whether the cluster's health got worse while partitions were moved. Pure: two looks in, what is new out.

Only new problems count: a cluster being healed has brokers down and under-replicated partitions from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from asgard.cluster import health as replicas
from asgard.kafka.model import Broker, Topic

TopicPartition = tuple[str, int]


@dataclass(frozen=True)
class Health:
    """One look: brokers that are up, partitions without a leader, and under-replicated ones with the brokers they
    lack."""

    up: frozenset[int]
    offline: frozenset[TopicPartition] = frozenset()
    lacking: dict[TopicPartition, frozenset[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Worse:
    """New problems: lost brokers, offline partitions, under-replicated partitions outside the plan."""

    lost: frozenset[int] = frozenset()
    offline: frozenset[TopicPartition] = frozenset()
    lacking: frozenset[TopicPartition] = frozenset()

    def __str__(self) -> str:
        said = []
        if self.lost:
            ids = ", ".join(map(str, sorted(self.lost)))
            said.append(f"broker {ids} was lost" if len(self.lost) == 1 else f"brokers {ids} were lost")
        if self.offline:
            said.append(f"{_named(self.offline)} went offline")
        if self.lacking:
            said.append(f"{_named(self.lacking)} outside the plan became under-replicated")
        return " and ".join(said)


def health(brokers: Iterable[Broker], topics: Iterable[Topic]) -> Health:
    """The look as a value."""
    offline, lacking = set(), {}
    for p in (p for topic in topics for p in topic.partitions):
        if replicas.offline(p):
            offline.add((p.topic, p.partition))
        if missing := replicas.missing(p):
            lacking[p.topic, p.partition] = frozenset(missing)
    return Health(frozenset(b.id for b in brokers if b.state == "up"), frozenset(offline), lacking)


def worse(
    first: Health, last: Health, now: Health, ours: Collection[TopicPartition], excused: frozenset[int] = frozenset()
) -> Worse:
    """What is new in `now` compared with `first`. An under-replicated partition must have been so at the `last` look too.

    `ours`: partitions that the plan moves. `excused`: brokers whose loss is known and accepted.
    """
    lost = first.up - now.up - excused
    lacking = {
        key
        for key, missing in now.lacking.items()
        if key in last.lacking and key not in ours and missing - first.lacking.get(key, frozenset()) - excused - lost
    }
    return Worse(lost, now.offline - first.offline, frozenset(lacking))


def _named(partitions: Collection[TopicPartition]) -> str:
    names = [f"{topic}-{partition}" for topic, partition in sorted(partitions)]
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more
