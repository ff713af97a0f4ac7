"""What a setting is called on a topic and on a broker: the hint for a name that belongs to the other one."""

from __future__ import annotations

_BROKER_NAMES = {
    "cleanup.policy": ("log.cleanup.policy",),
    "compression.type": ("compression.type",),
    "delete.retention.ms": ("log.cleaner.delete.retention.ms",),
    "file.delete.delay.ms": ("log.segment.delete.delay.ms",),
    "flush.messages": ("log.flush.interval.messages",),
    "flush.ms": ("log.flush.interval.ms",),
    "index.interval.bytes": ("log.index.interval.bytes",),
    "local.retention.bytes": ("log.local.retention.bytes",),
    "local.retention.ms": ("log.local.retention.ms",),
    "max.compaction.lag.ms": ("log.cleaner.max.compaction.lag.ms",),
    "max.message.bytes": ("message.max.bytes",),
    "message.timestamp.after.max.ms": ("log.message.timestamp.after.max.ms",),
    "message.timestamp.before.max.ms": ("log.message.timestamp.before.max.ms",),
    "message.timestamp.type": ("log.message.timestamp.type",),
    "min.cleanable.dirty.ratio": ("log.cleaner.min.cleanable.ratio",),
    "min.compaction.lag.ms": ("log.cleaner.min.compaction.lag.ms",),
    "preallocate": ("log.preallocate",),
    "retention.bytes": ("log.retention.bytes",),
    "retention.ms": ("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
    "segment.bytes": ("log.segment.bytes",),
    "segment.index.bytes": ("log.index.size.max.bytes",),
    "segment.jitter.ms": ("log.roll.jitter.ms", "log.roll.jitter.hours"),
    "segment.ms": ("log.roll.ms", "log.roll.hours"),
}
"""Kafka's own synonyms (ServerTopicConfigSynonyms); the first is the broker's in the topic's unit."""

_ON_A_TOPIC = {broker: topic for topic, brokers in _BROKER_NAMES.items() for broker in brokers}
_OF_A_TOPIC = {
    **dict.fromkeys(("replication.factor", "default.replication.factor"), "`replication` beside the topic's name"),
    **dict.fromkeys(("num.partitions", "partitions"), "`partitions` beside the topic's name"),
}


def meant(kind: str, name: str) -> str | None:
    """How to say what `name` says, if it is the other kind's name of a setting; None if it is not."""
    if kind == "topic":
        if name in _OF_A_TOPIC:
            return _OF_A_TOPIC[name]
        right = _ON_A_TOPIC.get(name)
        return f"{right} (or `retention: 7d`, `retention: forever`)" if right == "retention.ms" else right
    if name == "replication.factor":
        return "default.replication.factor"
    brokers = _BROKER_NAMES.get(name)
    return brokers[0] if brokers else None
