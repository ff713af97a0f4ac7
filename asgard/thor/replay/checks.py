"""Objections to a replay before it starts: loops, full disks, retention and time limits that would delete what arrives.

Pure: facts of the target in, objections out. Sizes are bytes, times milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asgard.cluster.limits import Limits
from asgard.core import units
from asgard.kafka.model import Broker, Topic
from asgard.thor.replay.model import TopicPartition
from asgard.thor.replay.plan import ReplayPlan

RETENTION, RETENTION_BYTES = "retention.ms", "retention.bytes"
BEFORE_MAX, TIMESTAMP_TYPE = "message.timestamp.before.max.ms", "message.timestamp.type"
MAX_BYTES, CLEANUP = "max.message.bytes", "cleanup.policy"
CONFIGS = (RETENTION, RETENTION_BYTES, BEFORE_MAX, TIMESTAMP_TYPE, MAX_BYTES, CLEANUP)
_UNLIMITED_MS = 9_223_372_036_854_775_807
_OF_BROKERS: dict[str, tuple[tuple[str, int], ...]] = {
    RETENTION: (("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)),
    RETENTION_BYTES: (("log.retention.bytes", 1),),
    BEFORE_MAX: (("log.message.timestamp.before.max.ms", 1),),
    TIMESTAMP_TYPE: (("log.message.timestamp.type", 0),),
    MAX_BYTES: (("message.max.bytes", 1),),
    CLEANUP: (("log.cleanup.policy", 0),),
}
"""A topic's config and the broker configs it falls back to: the first with a value, times a factor."""
BROKER_CONFIGS = tuple(name for names in _OF_BROKERS.values() for name, _ in names)


@dataclass(frozen=True)
class Objection:
    """Why a replay should not start. `loss`: it would run, but might not finish, or some arriving records would not stay as they are."""

    text: str
    hint: str
    loss: bool = False


@dataclass(frozen=True)
class TargetFacts:
    """The target before a replay. `older` counts each source topic's records that are too old, by config.

    `size_bytes` is roughly what each source partition contributes; None if no broker could say. `largest` is the maximum record size of
    each source topic in bytes, if known.
    """

    topics: Mapping[str, Topic]
    configs: Mapping[str, Mapping[str, str]]
    brokers: tuple[Broker, ...] = ()
    older: Mapping[tuple[str, str], int] = field(default_factory=dict)
    size_bytes: Mapping[TopicPartition, int] | None = None
    largest: Mapping[str, int] = field(default_factory=dict)


def object_to(
    plan: ReplayPlan, facts: TargetFacts, limits: Limits, now_ms: int, from_ms: int | None = None
) -> list[Objection]:
    """All objections, the worst first. `from_ms` is the window's start time, if it has one."""
    found = []
    for route in plan.routes:
        if route.topic == route.to and plan.source_cluster == plan.target_cluster:
            found.append(Objection(f"{route.topic} would be copied into itself", "Name another topic with --to."))
        if route.to not in facts.topics:
            found.append(
                Objection(
                    f"the target topic {route.to} doesn't exist",
                    f"Create it with {route.partitions} partitions to keep the partitioning, or add --create.",
                )
            )
            continue
        found += _of_time(route.topic, route.to, plan, facts, now_ms, from_ms)
        found += _of_size(route.topic, route.to, facts)
        found += _of_records(route.topic, route.to, facts)
    found += _of_disks(plan, facts, limits)
    return sorted(found, key=lambda objection: objection.loss)


def too_old_before(configs: Mapping[str, str], now_ms: int) -> dict[str, int]:
    """By topic config: records older than this (ms) would be deleted or rejected on arrival."""
    ages = {}
    retention = int(configs.get(RETENTION, -1))
    if "delete" in configs.get(CLEANUP, "delete") and 0 <= retention < now_ms:
        ages[RETENTION] = now_ms - retention
    allowed = int(configs.get(BEFORE_MAX, _UNLIMITED_MS))
    if allowed < now_ms and configs.get(TIMESTAMP_TYPE) != "LogAppendTime":
        ages[BEFORE_MAX] = now_ms - allowed
    return ages


def of_a_new_topic(own: Mapping[str, str], brokers: Mapping[str, str]) -> dict[str, str]:
    """The configs that a topic will have: its own, else the brokers' (`BROKER_CONFIGS` with the values in force)."""
    found = {}
    for config, names in _OF_BROKERS.items():
        given = next(((brokers[name], factor) for name, factor in names if brokers.get(name)), None)
        if config in own:
            found[config] = own[config]
        elif given is not None:
            value, factor = given
            found[config] = str(int(value) * factor) if factor > 1 and int(value) >= 0 else value
    return found


def _of_time(
    topic: str, to: str, plan: ReplayPlan, facts: TargetFacts, now_ms: int, from_ms: int | None
) -> list[Objection]:
    found = []
    configs = facts.configs.get(to, {})
    for config, before in too_old_before(configs, now_ms).items():
        count = facts.older.get((topic, config), 0)
        if not count:
            continue
        allowed = units.format_duration((now_ms - before) / 1000)
        age = now_ms - from_ms if from_ms is not None else None
        enough = f"{age + 86_400_000} or more" if age else "-1" if config == RETENTION else str(_UNLIMITED_MS)
        if config == RETENTION:
            found.append(
                Objection(
                    f"{count} records of {topic} are older than the {allowed} that {to} keeps (retention.ms): they would be deleted soon after they arrive",
                    f"Set retention.ms of {to} to {enough} while they are needed, or take a later --from, or add --accept-loss.",
                    loss=True,
                )
            )
        else:
            found.append(
                Objection(
                    f"{count} records of {topic} are older than the {allowed} that {to} takes ({BEFORE_MAX}): the broker would refuse them",
                    f"Set {BEFORE_MAX} of {to} to {enough} for the replay, or take a later --from.",
                )
            )
    if configs.get(TIMESTAMP_TYPE) == "LogAppendTime":
        found.append(
            Objection(
                f"{to} gives every record the time at which it arrives (message.timestamp.type=LogAppendTime): the timestamps would be lost",
                f"Set message.timestamp.type of {to} to CreateTime, or add --accept-loss.",
                loss=True,
            )
        )
    return found


def _of_size(topic: str, to: str, facts: TargetFacts) -> list[Objection]:
    limit = int(facts.configs.get(to, {}).get(RETENTION_BYTES, -1))
    if limit < 0 or facts.size_bytes is None or "delete" not in facts.configs.get(to, {}).get(CLEANUP, "delete"):
        return []
    each = [size for (name, _), size in facts.size_bytes.items() if name == topic]
    partitions = len(facts.topics[to].partitions)
    largest = max(each, default=0) if len(each) == partitions else sum(each) // partitions
    if largest <= limit:
        return []
    return [
        Objection(
            f"about {units.format_size(largest)} would arrive in a partition of {to}, which keeps {units.format_size(limit)} (retention.bytes)",
            f"Raise retention.bytes of {to} while they are needed, or add --accept-loss.",
            loss=True,
        )
    ]


def _of_records(topic: str, to: str, facts: TargetFacts) -> list[Objection]:
    largest, limit = facts.largest.get(topic, 0), int(facts.configs.get(to, {}).get(MAX_BYTES, 0))
    if not limit or largest <= limit:
        return []
    return [
        Objection(
            f"records of {topic} may have {units.format_size(largest)}, and {to} takes {units.format_size(limit)} at most (max.message.bytes): the first larger one would end the run",
            f"Set max.message.bytes of {to} to {largest} or more. If you know that no record is that large after compression, add --accept-loss.",
            loss=True,
        )
    ]


def arriving(plan: ReplayPlan, facts: TargetFacts) -> dict[int, int]:
    """Bytes that would arrive at each broker, counting all replicas; empty if sizes are unknown."""
    found: dict[int, int] = {}
    for route in plan.routes:
        topic = facts.topics.get(route.to)
        if topic is None or facts.size_bytes is None:
            continue
        sizes = {p: size for (name, p), size in facts.size_bytes.items() if name == route.topic}
        even = sum(sizes.values()) // max(len(topic.partitions), 1)
        same = route.partitions == len(topic.partitions)
        for partition in topic.partitions:
            for broker in partition.target_replicas:
                found[broker] = found.get(broker, 0) + (sizes.get(partition.partition, 0) if same else even)
    return found


def _of_disks(plan: ReplayPlan, facts: TargetFacts, limits: Limits) -> list[Objection]:
    more = arriving(plan, facts)
    found = []
    for broker in facts.brokers:
        limit = limits.of(broker.id)
        capacity = limit.capacity_bytes or sum(d.capacity_bytes or 0 for d in broker.log_dirs)
        used = sum(d.used_bytes or 0 for d in broker.log_dirs)
        arrives = more.get(broker.id, 0)
        if not capacity or not arrives or limit.disk is None or used + arrives <= limit.disk * capacity:
            continue
        found.append(
            Objection(
                f"broker {broker.id} would be {(used + arrives) / capacity:.0%} full: {units.format_size(arrives)} arrive, the limit is {limit.disk:.0%} of {units.format_size(capacity)}",
                "Make room (`asgard thor plan balance`), take a smaller window, or raise limits.disk in thor.yaml.",
            )
        )
    return found
