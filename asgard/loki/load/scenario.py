"""A load as plain data: what the child processes carry out. Seconds, bytes, records per second.

Created by `read` from a file or from flags; sent to the children as JSON, also over Locust's protocol, and so never holds a
credential.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from asgard.core.errors import Failed
from asgard.core.units import format_duration

Acks = Literal["0", "1", "all"]
WARM_UP_SHARE = 0.2
WARM_UP_MOST_S = 5.0
LONGEST_S = 8 * 86400.0
"""No load lasts longer: its duration is at most a week, and then it waits for its last answers."""


@dataclass(frozen=True)
class Stage:
    """A part of an open loop: the rate changes linearly from `from_per_s` to `to_per_s`."""

    duration_s: float
    from_per_s: float
    to_per_s: float


@dataclass(frozen=True)
class Keys:
    """`none`, `fixed`, `uniform` or `zipf` over `count` keys."""

    spread: Literal["none", "fixed", "uniform", "zipf"] = "uniform"
    count: int = 10_000
    exponent: float = 1.0


@dataclass(frozen=True)
class Values:
    """Random bytes of `smallest` to `largest`, events (`rides`), or the records of a file (its absolute path)."""

    smallest_bytes: int = 1024
    largest_bytes: int = 1024
    events: Literal["rides"] | None = None
    file: str | None = None


@dataclass(frozen=True)
class Producers:
    """Producers that are alike, `users` of them. `stages` empty: a closed loop with `in_flight` records each."""

    name: str
    topic: str
    users: int = 1
    stages: tuple[Stage, ...] = ()
    in_flight: int = 32_768
    keys: Keys = Keys()
    values: Values = Values()
    acks: Acks = "all"
    idempotence: bool = True
    compression: str = "none"
    linger_s: float = 0.005
    batch_bytes: int = 1_000_000
    timeout_s: float = 120.0

    @property
    def open_loop(self) -> bool:
        """Whether records are sent when they are due, whatever happened to those before."""
        return bool(self.stages)


@dataclass(frozen=True)
class Consumers:
    """Consumers of one group, `users` of them. `group` None: one of the run's own."""

    topic: str
    group: str | None = None
    users: int = 1


@dataclass(frozen=True)
class LoadTopic:
    """A topic of the load. Unless `in_place` a scratch topic replaces it; None: same as the topic with that name."""

    name: str
    partitions: int | None = None
    replication: int | None = None
    config: dict[str, str] = field(default_factory=dict)
    in_place: bool = False


@dataclass(frozen=True)
class Slo:
    """What must hold; None: not judged. `errors` is a share of 1."""

    p50_s: float | None = None
    p99_s: float | None = None
    p999_s: float | None = None
    end_to_end_s: float | None = None
    errors: float | None = None
    rate_per_s: float | None = None
    lost: int | None = None
    duplicates: int | None = None


@dataclass(frozen=True)
class Scenario:
    """A load. `records` None: as many as the duration brings. `shape` is `FILE.py:CLASS`, with the path made absolute.

    `finest_s`: the time that one row of the report covers, unless the load lasts hours.
    """

    name: str
    duration_s: float
    producers: tuple[Producers, ...]
    consumers: tuple[Consumers, ...] = ()
    topics: tuple[LoadTopic, ...] = ()
    warm_up_s: float = 0.0
    records: int | None = None
    drain_s: float = 10.0
    shape: str | None = None
    slo: Slo = Slo()
    check: bool = True
    seed: int = 0
    finest_s: float = 1.0

    @property
    def users(self) -> int:
        """Producers and consumers in all."""
        return sum(p.users for p in self.producers) + sum(c.users for c in self.consumers)

    @property
    def warm_up_words(self) -> str:
        """What is not measured, in words; empty if everything is measured."""
        return f"first {format_duration(self.warm_up_s)} sent and checked but not measured" if self.warm_up_s else ""

    @property
    def row_s(self) -> float:
        """How much time one row of the report covers: `finest_s`, more in a load that lasts hours."""
        return self.finest_s if self.duration_s <= 3600 else max(self.finest_s, float(-(-self.duration_s // 3600)))

    @property
    def sending_s(self) -> float:
        """How long sending may take, including late records and the last answers, before those still sending are given up."""
        return self.duration_s + 2 * max(p.timeout_s for p in self.producers) + 15

    def group_keys(self) -> list[str]:
        """The names of groups between master and workers."""
        producers = [f"producers/{i}" for i in range(len(self.producers))]
        return producers + [f"consumers/{i}" for i in range(len(self.consumers))]

    def share(self, key: str, index: int) -> int | None:
        """At most how many records one producer of a group sends, so that all together send `records`; None: no limit."""
        if self.records is None:
            return None
        before = sum(p.users for p in self.producers[: int(key.partition("/")[2])])
        users = sum(p.users for p in self.producers)
        return self.records // users + (before + index < self.records % users)

    def topic_names(self) -> list[str]:
        """Every topic that is written or read, once, in order."""
        return list(dict.fromkeys([*(p.topic for p in self.producers), *(c.topic for c in self.consumers)]))

    def renamed(self, topics: dict[str, str]) -> Scenario:
        """The same load on other topics: its scratch topics."""
        return dataclasses.replace(
            self,
            producers=tuple(dataclasses.replace(p, topic=topics.get(p.topic, p.topic)) for p in self.producers),
            consumers=tuple(dataclasses.replace(c, topic=topics.get(c.topic, c.topic)) for c in self.consumers),
        )


def usual_warm_up_s(duration_s: float) -> float:
    """The warm-up of a load that names none: clients connect, fetch metadata and fill their first batches in that time.

    Those records are slow on any cluster, and would decide the percentiles of a short load.
    """
    return min(duration_s * WARM_UP_SHARE, WARM_UP_MOST_S)


def to_json(scenario: Scenario) -> str:
    """The scenario as JSON."""
    return msgspec.json.encode(scenario).decode()


def from_json(text: str | bytes) -> Scenario:
    """The scenario of that JSON. Raises Failed if it is not one: a master of another version may have sent it."""
    try:
        return msgspec.json.decode(text, type=Scenario)
    except msgspec.MsgspecError as error:
        raise Failed(
            f"this Asgard can't read the load scenario: {error}", "Do the master and the worker have the same version?"
        ) from error
