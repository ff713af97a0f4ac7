"""Could the cluster bear losing a broker now? Pure; based only on what Kafka itself says about brokers and partitions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from asgard.cluster import health
from asgard.kafka.model import Broker, Topic

_NAMED = 3


@dataclass(frozen=True)
class Health:
    """`because` says why nothing may be taken, the most serious reason first; empty if all is well."""

    because: tuple[str, ...] = ()


def judge(
    brokers: Iterable[Broker], topics: Iterable[Topic], min_isr: Mapping[str, int], exclude: Iterable[str] = ()
) -> Health:
    """All brokers up, every partition in sync, and none that would refuse acks=all with one replica less.

    `min_isr`: topic to the min.insync.replicas in force. Topics that match `exclude` may have no replica to spare; they must still
    be in sync. Stricter than "under-replicated": a move in progress counts as out of sync until it is done.
    """
    patterns = tuple(exclude)
    offline, lagging, bare = [], [], []
    for topic in topics:
        spared = any(fnmatchcase(topic.name, pattern) for pattern in patterns)
        for p in topic.partitions:
            name = f"{p.topic}-{p.partition}"
            if health.offline(p):
                offline.append(name)
            elif not health.recovered(p):
                lagging.append(name)
            elif not spared and health.spare(p, min_isr.get(topic.name, 1)) <= 0:
                bare.append(name)
    away = sorted(b.id for b in brokers if b.state != "up")
    said = [
        (f"without a leader: {_some(offline)}", offline),
        (f"under-replicated: {_some(lagging)}", lagging),
        (f"broker{'s' * (len(away) > 1)} {', '.join(map(str, away))} not up", away),
        (f"at min ISR, so with no replica to spare: {_some(bare)}", bare),
    ]
    return Health(tuple(text for text, found in said if found))


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:_NAMED])
    count = f"{len(names)} partition{'s' * (len(names) != 1)}"
    return f"{count} ({shown}{', …' if len(names) > _NAMED else ''})"
