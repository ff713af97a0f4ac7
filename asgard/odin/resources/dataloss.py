"""Which data a change deletes: a deleted topic, a shorter retention, a smaller size, another cleanup policy.

`cuts` and `assess` are pure; `config_losses` and `deletion_losses` ask the cluster for the facts, in bulk. Kafka
deletes whole segments, so the figures are upper bounds: what Kafka may delete from now on. Not counted as loss: changes
of when new data is cleaned (segment sizes, compaction lags) or of whether a record is accepted (max.message.bytes).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from asgard.kafka.model import ConfigChange, Topic
from asgard.kafka.ports import ControlPlane
from asgard.odin.resources import configs

RELEVANT = (
    "cleanup.policy",
    "retention.ms",
    "retention.bytes",
    "remote.storage.enable",
    "remote.log.delete.on.disable",
)
_BROKER_NAMES = {"log.cleanup.policy": "cleanup.policy", "log.retention.bytes": "retention.bytes"}
_BROKER_RETENTION = (("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000))
BROKER_RELEVANT = (*_BROKER_NAMES, *(name for name, _ in _BROKER_RETENTION))
"""The configs of brokers that topics inherit these from."""


@dataclass(frozen=True)
class Cut:
    """One way in which a change deletes data. At most one of the three limits is set; none: everything may be deleted.

    `keep_ms` is the age up to which records stay, `keep_bytes` how much of each partition stays, `compacts` that only
    the last record of each key stays (how many, only compaction finds out).
    """

    why: str
    keep_ms: int | None = None
    keep_bytes: int | None = None
    compacts: bool = False


@dataclass(frozen=True)
class PartitionFacts:
    """What is known of a partition: its offsets, its bytes, and the first offset that each `keep_ms` keeps."""

    start: int
    end: int
    size_bytes: int | None = None
    kept_from: Mapping[int, int] | None = None


@dataclass(frozen=True)
class Loss:
    """What a change may delete of a topic. `bytes` None: not measured. `unread_by`: groups that have not read all of it."""

    topic: str
    records: int
    bytes: int | None
    unread_by: tuple[str, ...]
    why: tuple[str, ...]


def cuts(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[Cut, ...]:
    """How the data of a topic shrinks when its effective configs go from `old` to `new`; empty if it does not."""
    found = []
    for name in ("retention.ms", "retention.bytes"):
        before, after = _limit(old, name), _limit(new, name)
        if after is not None and (before is None or after < before):
            why = f"{name} {'unlimited' if before is None else before} -> {after}"
            if "delete" not in _policies(old):
                why = f"cleanup.policy {_shown_policy(old)} -> {_shown_policy(new)}: {name} {after} now counts"
            found.append(Cut(why, keep_ms=after) if name == "retention.ms" else Cut(why, keep_bytes=after))
    if "compact" in _policies(new) and "compact" not in _policies(old):
        found.append(
            Cut(
                f"cleanup.policy {_shown_policy(old)} -> {_shown_policy(new)}: older records of a key go", compacts=True
            )
        )
    if _true(old, "remote.storage.enable") and not _true(new, "remote.storage.enable"):
        found.append(Cut("remote.storage.enable true -> false: what only the remote storage holds goes"))
    return tuple(found)


def assess(
    topic: str,
    ways: Iterable[Cut],
    partitions: Mapping[int, PartitionFacts],
    groups: Mapping[str, Mapping[int, int]],
) -> Loss | None:
    """The loss of a topic; None if nothing is deleted. `groups` has the committed offsets by partition."""
    ways = tuple(ways)
    gone = {p: max((_gone_up_to(way, facts) for way in ways), default=facts.start) for p, facts in partitions.items()}
    records = sum(up_to - partitions[p].start for p, up_to in gone.items())
    if records <= 0:
        return None
    size: int | None = 0
    for p, up_to in gone.items():
        facts = partitions[p]
        if facts.size_bytes is None:
            size = None if facts.end > facts.start else size
        elif size is not None and facts.end > facts.start:
            size += round(facts.size_bytes * (up_to - facts.start) / (facts.end - facts.start))
    unread = sorted(
        group
        for group, committed in groups.items()
        if any(p in committed and committed[p] < up_to and up_to > partitions[p].start for p, up_to in gone.items())
    )
    return Loss(topic, records, size, tuple(unread), tuple(way.why for way in ways))


def config_losses(control: ControlPlane, changes: Collection[ConfigChange], now_ms: int) -> dict[str, Loss]:
    """What config changes of topics, and of the brokers, delete; by topic, only topics that lose something.

    A change of a broker counts as one of all brokers. `now_ms` is UTC. The cluster is asked only if a change can delete
    anything.
    """
    edits = {c.name: c for c in changes if c.resource_type == "topic" and set(RELEVANT) & {*c.set, *c.unset}}
    of_brokers = [c for c in changes if c.resource_type == "broker" and set(BROKER_RELEVANT) & {*c.set, *c.unset}]
    if not edits and not of_brokers:
        return {}
    brokers = {name: value for name, value in control.effective_broker_configs(BROKER_RELEVANT).items() if value}
    before, after = topic_defaults(brokers), topic_defaults(_changed(brokers, of_brokers))
    moved = {name: value for name, value in after.items() if value != before[name]}
    names = list(control.topics() if moved else edits)
    own = control.topic_configs(names) if moved else {}
    ways = {}
    for name, effective in control.effective_topic_configs(names).items():
        edit = edits.get(name, ConfigChange("topic", name))
        old = {**before, **effective}
        inherited = {k: v for k, v in moved.items() if k not in own.get(name, {})}
        new = {**old, **inherited, **{k: after[k] for k in edit.unset if k in after}, **edit.set}
        if found := cuts(old, new):
            ways[name] = found
    return _losses(control, ways, now_ms)


def deletion_losses(control: ControlPlane, topics: Collection[str]) -> dict[str, Loss]:
    """What is deleted with topics that are deleted or recreated; by topic, only those that hold records."""
    return _losses(control, {name: (Cut("the topic is deleted"),) for name in topics}, 0)


def topic_defaults(broker_config: Mapping[str, str]) -> dict[str, str]:
    """The topic configs that apply if a topic sets none: from the given broker configs, else Kafka's."""
    table = configs.definitions("topic", None)
    defaults = {name: table[name].default or "" for name in RELEVANT}
    return defaults | _as_topic(broker_config)


def _as_topic(broker_config: Mapping[str, str]) -> dict[str, str]:
    """Broker configs as the topic configs whose default they are; the finest unit of retention wins."""
    found = {_BROKER_NAMES[k]: v for k, v in broker_config.items() if k in _BROKER_NAMES}
    for name, unit_ms in _BROKER_RETENTION:
        if name in broker_config:
            value = int(broker_config[name])
            found["retention.ms"] = str(value * unit_ms if value >= 0 else -1)
            break
    return found


def _changed(config: Mapping[str, str], changes: Iterable[ConfigChange]) -> dict[str, str]:
    found = dict(config)
    for change in changes:
        found = {name: value for name, value in found.items() if name not in change.unset} | change.set
    return found


def _losses(control: ControlPlane, ways: Mapping[str, tuple[Cut, ...]], now_ms: int) -> dict[str, Loss]:
    if not ways:
        return {}
    topics = control.topics(list(ways))
    partitions = [(name, p.partition) for name, topic in topics.items() for p in topic.partitions]
    offsets = control.offsets(partitions)
    kept_from: dict[tuple[str, int], dict[int, int]] = {}
    for age in sorted({way.keep_ms for found in ways.values() for way in found if way.keep_ms is not None}):
        asked = [tp for tp in offsets if any(way.keep_ms == age for way in ways[tp[0]])]
        for tp, offset in control.offsets_at(asked, max(0, now_ms - age)).items():
            kept_from.setdefault(tp, {})[age] = offset
    sizes = _leader_sizes(control, topics)
    facts: dict[str, dict[int, PartitionFacts]] = {name: {} for name in topics}
    for (topic, p), o in offsets.items():
        facts[topic][p] = PartitionFacts(o.start, o.end, sizes.get((topic, p)), kept_from.get((topic, p)))
    committed: dict[str, dict[str, dict[int, int]]] = {name: {} for name in topics}
    for group, by_partition in control.group_offsets().items():
        for (topic, p), at in by_partition.items():
            if topic in committed:
                committed[topic].setdefault(group, {})[p] = at
    found = {name: assess(name, ways[name], facts[name], committed[name]) for name in topics}
    return {name: loss for name, loss in found.items() if loss}


def _leader_sizes(control: ControlPlane, topics: Mapping[str, Topic]) -> dict[tuple[str, int], int]:
    leaders = {(t.name, p.partition): p.leader for t in topics.values() for p in t.partitions}
    sizes = control.replica_sizes({leader for leader in leaders.values() if leader >= 0})
    return {(t, p): size for (broker, t, p), size in sizes.items() if leaders.get((t, p)) == broker}


def _gone_up_to(way: Cut, facts: PartitionFacts) -> int:
    """The first offset that stays."""
    if way.keep_ms is not None:
        return max(facts.start, (facts.kept_from or {}).get(way.keep_ms, facts.end))
    if way.keep_bytes is not None:
        if facts.size_bytes is None:
            return facts.end
        if facts.size_bytes <= way.keep_bytes:
            return facts.start
        part = (facts.size_bytes - way.keep_bytes) / facts.size_bytes
        return facts.start + -int(-(facts.end - facts.start) * part // 1)
    return facts.end


def _policies(config: Mapping[str, str]) -> set[str]:
    return {p.strip() for p in config.get("cleanup.policy", "delete").split(",") if p.strip()}


def _shown_policy(config: Mapping[str, str]) -> str:
    return ",".join(sorted(_policies(config))) or "none"


def _limit(config: Mapping[str, str], name: str) -> int | None:
    """A retention that applies; None: unlimited."""
    if "delete" not in _policies(config):
        return None
    value = int(config.get(name, "-1"))
    return value if value >= 0 else None


def _true(config: Mapping[str, str], name: str) -> bool:
    return config.get(name, "false").lower() == "true"
