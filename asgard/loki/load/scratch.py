"""Scratch topics: what a load writes to unless `in_place` is set.

Their names are in the journal before they exist, so that the next command that changes the cluster removes those of a
killed load (`compose/settle.py` calls `remove`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asgard.core.errors import Failed, Unreachable, WrongUsage
from asgard.kafka.model import NewTopic, Topic
from asgard.kafka.ports import ControlPlane
from asgard.loki.load.scenario import LoadTopic, Scenario

if TYPE_CHECKING:
    from asgard.journal.leases import Lease
    from asgard.journal.store.database import Database

KIND = "asgard.scratch-topics/v1"
PREFIX = "loki-"
DEFAULT_PARTITIONS = 6
DEFAULT_REPLICATION = 3
READY_S = 30.0
KNOWN_S = 2.0
_NOT_COPIED = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")
_LONGEST = 249


@dataclass(frozen=True)
class WrittenTopics:
    """What the load `run` writes to. `new` are the scratch topics; `stands_in` maps each of them to its topic in the scenario."""

    run: bytes
    new: tuple[NewTopic, ...]
    stands_in: Mapping[str, str]
    in_place: tuple[str, ...]

    @property
    def renamed(self) -> dict[str, str]:
        """The scenario's names to those that are written to."""
        return {name: scratch for scratch, name in self.stands_in.items()}


def plan(control: ControlPlane, load: Scenario, run: bytes) -> WrittenTopics:
    """The topics of a load. Raises WrongUsage if one does not exist and nothing says what its scratch topic would be like."""
    names = load.topic_names()
    given = {topic.name: topic for topic in load.topics}
    needed = [name for name in names if name not in given or given[name].in_place]
    there = _known(control, names, needed)
    configs = control.topic_configs([name for name in names if name in there])
    brokers = sum(1 for broker in control.cluster().brokers if broker.state == "up")
    new, stands_in, in_place = [], {}, []
    for name in names:
        wanted, like = given.get(name, LoadTopic(name)), there.get(name)
        if like is None and (wanted.in_place or name not in given):
            raise WrongUsage(
                f"the cluster has no topic {name}",
                "Name an existing topic, or describe the scratch topic (--partitions 6).",
            )
        if wanted.in_place:
            in_place.append(name)
            continue
        copied = {key: value for key, value in configs.get(name, {}).items() if key not in _NOT_COPIED}
        scratch = f"{PREFIX}{run.hex()[:8]}-{name}"[:_LONGEST]
        stands_in[scratch] = name
        new.append(
            NewTopic(
                scratch,
                wanted.partitions or (len(like.partitions) if like else DEFAULT_PARTITIONS),
                wanted.replication or (like.replication if like else min(DEFAULT_REPLICATION, brokers)),
                {**copied, **wanted.config},
            )
        )
    return WrittenTopics(run, tuple(new), stands_in, tuple(in_place))


def _known(control: ControlPlane, names: list[str], needed: list[str]) -> dict[str, Topic]:
    """Those of the topics that exist. Waits a moment for one that was created just now: brokers learn of it at different times."""
    give_up = time.monotonic() + KNOWN_S
    while True:
        there = control.topics(names)
        if there.keys() >= set(needed) or time.monotonic() > give_up:
            return there
        time.sleep(0.2)


@contextlib.contextmanager
def made(control: ControlPlane, journal: Database, lease: Lease, new: Sequence[NewTopic]) -> Iterator[None]:
    """Create the scratch topics, with a leader for each partition, until the block ends. Raises Failed if Kafka refuses one."""
    from asgard.journal import operations

    if not new:
        yield
        return
    names = [topic.name for topic in new]
    operation = operations.begin(journal, KIND, ", ".join(names), {"topics": names}, lease)
    try:
        refused = {name: error for name, error in control.create_topics(new).items() if error is not None}
        if refused:
            name, error = next(iter(refused.items()))
            raise Failed(f"the scratch topic {name} can't be created: {error.what}", error.hint)
        _wait_for_leaders(control, new)
        yield
    finally:
        operations.finish(journal, operation, lease, remove(control, {"topics": names}))


def remove(control: ControlPlane, undo: Mapping[str, Any]) -> str:
    """Delete the scratch topics of an operation, and say so. Raises Failed if one can't be deleted now."""
    names = [str(name) for name in undo["topics"] if str(name).startswith(PREFIX)]
    there = sorted(control.topics(names))
    for name, error in control.delete_topics(there).items():
        if error is not None:
            raise Failed(f"the scratch topic {name} can't be deleted: {error.what}", error.hint)
    return f"deleted {', '.join(there)}" if there else "the scratch topics are already gone"


def _wait_for_leaders(control: ControlPlane, topics: Sequence[NewTopic]) -> None:
    give_up = time.monotonic() + READY_S
    waiting = {topic.name: topic.partitions for topic in topics}
    while waiting:
        for name, topic in control.topics(list(waiting)).items():
            if len(topic.partitions) == waiting[name] and all(p.leader >= 0 for p in topic.partitions):
                del waiting[name]
        if waiting and time.monotonic() > give_up:
            raise Unreachable(f"the scratch topic {next(iter(waiting))} had no leaders within {READY_S:g} s")
        time.sleep(0.05 if waiting else 0)
