"""Leaders: elect the preferred ones and, only if explicitly allowed, an out-of-sync one.

An unclean election loses records for good: when the broker that has them comes back, it truncates them to follow the
new leader. So the first step reports what would be lost and which broker to bring back instead.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from asgard.cluster import health
from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.core.units import format_size
from asgard.kafka.model import Broker, Move, Partition, Topic
from asgard.kafka.ports import ControlPlane
from asgard.kafka.temporary import is_unknown_topic

TopicPartition = tuple[str, int]
_LEADS_WITHIN_S = 10.0
_NAMED = 3


@dataclass(frozen=True)
class Danger:
    """What an unclean election of a partition means. `safe`: brokers that have every acknowledged record, but can't lead.

    `candidates`: replicas that are up, one of which would become leader, with their bytes (None: not measured).
    `failed`: brokers that are up, to their log directory that failed and has the replica.
    """

    partition: str
    safe: tuple[int, ...]
    candidates: tuple[tuple[int, int | None], ...]
    failed: Mapping[int, str] = field(default_factory=dict)

    @property
    def lost(self) -> str:
        """What would be lost."""
        who = " or ".join(str(b) for b, _ in self.candidates)
        held = ", ".join(f"broker {b} holds {format_size(size)}" for b, size in self.candidates if size is not None)
        text = f"broker {who} would lead {self.partition}: every record acknowledged while it was out of sync is lost, for good"
        return text + (f" ({held})" if held else "")

    @property
    def instead(self) -> str:
        """What to do instead."""
        if not self.safe:
            return f"no replica of {self.partition} is known to hold all records: bring back all of its brokers that can be"
        return f"{_cure(self.safe[0], self.failed)} first: it was in sync last, so it has every acknowledged record"

    def __str__(self) -> str:
        return f"{self.lost}. Better {self.instead}."


@dataclass(frozen=True)
class Elected:
    """The result of an election; `refused`: partition to why."""

    led: tuple[str, ...]
    refused: dict[str, str]


def parse(name: str) -> TopicPartition:
    """Topic and partition of `orders-3`. Raises WrongUsage."""
    topic, dash, number = name.rpartition("-")
    if not dash or not topic or not number.isdecimal():
        raise WrongUsage(f"{name!r} is not a partition", "Write it as TOPIC-PARTITION, as in orders-3.")
    return topic, int(number)


def find(topics: dict[str, Topic], wanted: Collection[TopicPartition]) -> list[Partition]:
    """The partitions of these names. Raises WrongUsage if one does not exist."""
    there = {(p.topic, p.partition): p for t in topics.values() for p in t.partitions}
    for topic, partition in wanted:
        if (topic, partition) not in there:
            raise WrongUsage(f"there is no partition {topic}-{partition}", "asgard thor status shows what is offline.")
    return [there[key] for key in wanted]


def away(partitions: Collection[Partition]) -> list[Partition]:
    """Those not led by their preferred leader although it is in sync."""
    return [p for p in partitions if health.electable(p)]


def preferred(control: ControlPlane, partitions: Collection[Partition]) -> Elected:
    """Elect the preferred leaders of these. Partitions deleted meanwhile are left out."""
    answers = control.elect_preferred_leaders([(p.topic, p.partition) for p in partitions]) if partitions else {}
    there = {key: error for key, error in answers.items() if error is None or not is_unknown_topic(error)}
    return _elected({key: error.what if error else None for key, error in there.items()})


def order(control: ControlPlane, wanted: Mapping[TopicPartition, tuple[int, ...]]) -> int:
    """Put replica lists with these members into this order, and make the first one the leader. How many had another order.

    All are submitted: the broker that answers may not have seen a change yet, and the controller does nothing if the
    order is right. Those whose members have changed belong to the tool that moved them.
    """
    ours = {
        (p.topic, p.partition): p
        for t in control.topics({topic for topic, _ in wanted}).values()
        for p in t.partitions
        if set(p.replicas) == set(wanted.get((p.topic, p.partition), ()))
    }
    moves = [Move(*key, wanted[key]) for key, p in ours.items() if not health.moving(p)]
    errors = control.reassign(moves) if moves else {}
    for (topic, partition), error in errors.items():
        if error is not None and not is_unknown_topic(error):
            raise Failed(f"the order of the replicas of {topic}-{partition} was refused: {error.what}", error.hint)
    led = [key for key, p in ours.items() if wanted[key][0] in p.isr]
    if led:
        control.elect_preferred_leaders(led)  # a refused one has another leader: the order is what lasts
    return sum(ours[m.topic, m.partition].replicas != m.replicas for m in moves)


def danger(p: Partition, brokers: Collection[Broker], sizes: dict[tuple[int, str, int], int]) -> Danger:
    """What an unclean election of this partition would mean. `sizes`: (broker, topic, partition) to bytes.

    Raises Refused if it has a leader, if an in-sync replica is up, or if no replica is up.
    """
    name = f"{p.topic}-{p.partition}"
    # Its replica is on the failed directory if the broker does not report it.
    failed = {
        b.id: d.path
        for b in brokers
        for d in b.log_dirs
        if b.state == "up" and d.offline and (b.id, p.topic, p.partition) not in sizes
    }
    up = {b.id for b in brokers if b.state == "up"} - failed.keys()
    safe = tuple(dict.fromkeys((*p.isr, *p.elr)))
    if p.leader >= 0:
        raise Refused(f"{name} has a leader, broker {p.leader}", "It needs no election.")
    if up.intersection(safe):
        first = next(b for b in safe if b in up)
        raise Refused(
            f"broker {first} is up and has every acknowledged record of {name}",
            "Kafka will elect it in a moment; an unclean election would gain nothing.",
        )
    candidates = tuple((b, sizes.get((b, p.topic, p.partition))) for b in p.replicas if b in up)
    if not candidates:
        cure = _cure((safe or p.replicas)[0], failed)
        raise Refused(f"no replica of {name} is up", f"{cure[0].upper()}{cure[1:]} first.")
    return Danger(name, safe, candidates, failed)


def _cure(broker: int, failed: Mapping[int, str]) -> str:
    if broker in failed:
        return f"repair the log directory {failed[broker]} of broker {broker}"
    return f"bring back broker {broker}"


def dangers(control: ControlPlane, wanted: Collection[TopicPartition]) -> list[Danger]:
    """What unclean elections of these partitions would mean; see `danger`."""
    partitions = find(control.topics({topic for topic, _ in wanted}), wanted)
    brokers = control.cluster().brokers
    up = {b.id for b in brokers if b.state == "up"}
    disks = control.disks(up.intersection(r for p in partitions for r in p.replicas))
    sizes = {(b, *key): size for b, disk in disks.items() for key, size in disk.sizes.items()}
    seen = [replace(b, log_dirs=disks[b.id].log_dirs) if b.id in disks else b for b in brokers]
    return [danger(p, seen, sizes) for p in partitions]


def unclean(control: ControlPlane, wanted: Collection[TopicPartition]) -> Elected:
    """Elect a live replica, and wait until it leads. Raises Failed if none does."""
    elected = _elected({key: e.what if e else None for key, e in control.elect_unclean_leaders(wanted).items()})
    ours = [parse(name) for name in elected.led]
    give_up = time.monotonic() + _LEADS_WITHIN_S
    while unled := [p for p in find(control.topics({t for t, _ in ours}), ours) if health.offline(p)]:
        if time.monotonic() > give_up:
            names = ", ".join(f"{p.topic}-{p.partition}" for p in unled[:_NAMED])
            raise Failed(f"{names} still has no leader after {_LEADS_WITHIN_S:.0f} s", "asgard thor status shows why.")
        time.sleep(0.1)
    return elected


def _elected(answers: dict[TopicPartition, str | None]) -> Elected:
    led = tuple(f"{t}-{p}" for (t, p), why in sorted(answers.items()) if why is None)
    return Elected(led, {f"{t}-{p}": why for (t, p), why in sorted(answers.items()) if why is not None})
