"""Topics with their replicas where a test wants them, data in them, and a look at every throttle there may be."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence

from asgard.kafka.connection import Connection
from asgard.kafka.data import Record, Writer
from asgard.kafka.model import Move, NewTopic
from asgard.kafka.ports import ControlPlane

RECORD_BYTES = 10_000


def eventually(true: Callable[[], object], within_s: float = 60, what: str = "it") -> None:
    """Wait until it is so: brokers hear of a change a moment after the controller made it. Raises AssertionError where it never is."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, f"{what} never came true"
        time.sleep(0.05)


def placed(control: ControlPlane, topic: str, layout: Sequence[Sequence[int]], **config: str) -> None:
    """An empty topic with these replicas, the first of each leading."""
    new = NewTopic(topic, len(layout), len(layout[0]), {k.replace("_", "."): v for k, v in config.items()})
    assert control.create_topics([new]) == {topic: None}

    def there() -> bool:
        found = control.topics([topic])
        return topic in found and all(p.leader >= 0 for p in found[topic].partitions)

    eventually(there, what=f"topic {topic}")
    moves = [Move(topic, n, tuple(replicas)) for n, replicas in enumerate(layout)]
    assert set(control.reassign(moves).values()) == {None}
    eventually(lambda: replicas_of(control, topic) == [tuple(r) for r in layout], what=f"the layout of {topic}")
    control.elect_preferred_leaders([(topic, n) for n in range(len(layout))])
    eventually(lambda: led_by_preferred(control, [topic]), what=f"the leaders of {topic}")


def filled(connection: Connection, topic: str, partitions: int, megabytes: float) -> int:
    """So many MB that do not compress, spread evenly; the number of records."""
    noise = [os.urandom(RECORD_BYTES) for _ in range(16)]
    count = round(megabytes * 1_000_000 / RECORD_BYTES)
    with Writer(connection) as writer:
        for n in range(count):
            writer.send(Record(topic, n.to_bytes(4, "big") + noise[n % 16], partition=n % partitions))
    assert writer.tally.acked == count
    return count


def replicas_of(control: ControlPlane, topic: str) -> list[tuple[int, ...]]:
    """The replicas of each partition."""
    return [p.replicas for p in control.topics([topic])[topic].partitions]


def led_by_preferred(control: ControlPlane, topics: Collection[str]) -> bool:
    """Whether the first replica leads everywhere, with all in sync."""
    found = control.topics(topics)
    return all(
        p.leader == p.replicas[0] and set(p.isr) == set(p.replicas) for t in found.values() for p in t.partitions
    )


def throttles(control: ControlPlane, brokers: Collection[int]) -> dict[str, dict[str, str]]:
    """Every throttle config there is, by the name of its broker (`cluster`: of all brokers) or topic; cordons too."""
    found = {str(b): control.broker_configs(str(b) if b else "") for b in (0, *brokers)}
    found["cluster"] = found.pop("0")
    found |= control.topic_configs()
    kept = {
        name: {k: v for k, v in configs.items() if "throttled" in k or "cordoned" in k}
        for name, configs in found.items()
    }
    return {name: configs for name, configs in kept.items() if configs}


def cleared(control: ControlPlane) -> None:
    """Delete all topics but the internal ones, and wait until they are gone."""
    control.delete_topics([name for name, topic in control.topics().items() if not topic.internal])
    eventually(lambda: all(topic.internal for topic in control.topics().values()), what="the end of all topics")
