"""The last read: after recovery a fresh client reads every partition from its beginning to past everything acknowledged.

What it finds goes into the history, as `last-read.history`; only then can the check tell lost from not yet seen. Three things
need care. A new leader reports a lower end until its high watermark has caught up (KIP-207), so an end below an acknowledged offset is
believed only if it stays. An open transaction hides what follows until Kafka aborts it. And retention may delete
during the read, so the log start after it counts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asgard.core.errors import Unreachable
from asgard.kafka.connection import Connection
from asgard.kafka.model import Offsets, Topic
from asgard.kafka.ports import ControlPlane
from asgard.loki.check.catalogue import Catalogue, Span, Where, look
from asgard.loki.check.history import SUFFIX, Bounds, HistoryFiles
from asgard.loki.check.recorder import Recorder

NAME = f"last-read{SUFFIX}"
SETTLE_S = 10.0
SETTLE_WEAK_S = 40.0
"""With acks=1 a record is acknowledged before consumers may see it: a follower that hangs stays in the ISR for 30 s."""
_AGAIN_S = 0.5


@dataclass(frozen=True)
class LastRead:
    """How far the last read got, and what the verdict needs to know about the topics.

    `left`: in words, what was not read to its end. `leaders` by partition, -1 for none; `unclean_election`: some topic allows it.
    """

    left: tuple[str, ...]
    leaders: Mapping[Where, int]
    replicas: Mapping[Where, tuple[int, ...]]
    unclean_election: bool


def read_again(
    directory: Path,
    connection: Connection,
    control: ControlPlane,
    *,
    deadline_s: float = 120,
    settle_s: float | None = None,
    starts: Mapping[Where, int] | None = None,
) -> LastRead:
    """Read everything in this history's topics and write it into the history, replacing an earlier last read.

    `settle_s`: how long to keep asking for an end below an acknowledged offset (None: by the producers' acks). What can't be read
    within `deadline_s` is left open (`Bounds.complete`). `starts`: next offsets from before the load; of a topic that already held
    records, only what came since is read. Raises Unreachable if no broker answers at all, and Failed if Kafka refuses.
    """
    from asgard.kafka import data

    until = time.monotonic() + deadline_s
    (directory / NAME).unlink(missing_ok=True)
    catalogue = look(HistoryFiles(directory))
    topics = control.topics(catalogue.topics)
    if settle_s is None:
        settle_s = SETTLE_S if all(p.acks == "all" for p in catalogue.producers.values()) else SETTLE_WEAK_S
    offsets = _settled(catalogue, control, topics, min(until, time.monotonic() + settle_s))
    if starts:
        offsets = {
            where: _since(starts.get(where), span, catalogue.spans.get(where)) for where, span in offsets.items()
        }
    reached = {where: span.start for where, span in offsets.items()}
    problem = ""
    with Recorder(directory / NAME, catalogue.run, process="last read") as recorder:
        log = recorder.consumer(0, via="last-read")
        while left := {w: Offsets(reached[w], o.end) for w, o in offsets.items() if reached[w] < o.end}:
            try:
                deadline = max(0.0, until - time.monotonic())
                for messages in data.read_messages(connection, left, deadline_s=deadline, reached=reached):
                    log.polled(messages)
            except Unreachable as error:
                problem = error.what
                break
            if behind := [where for where in left if reached[where] < offsets[where].end]:
                # Behind an open transaction, which Kafka aborts when its time is up; or the log was truncated meanwhile.
                time.sleep(_AGAIN_S)
                for where, now in control.offsets(behind).items():
                    offsets[where] = Offsets(offsets[where].start, min(offsets[where].end, now.end))
        after = control.offsets(list(offsets))
        compacted, unclean = _policies(control, list(topics))
        for where, span in offsets.items():
            start = max(span.start, after[where].start if where in after else 0)
            complete = reached[where] >= span.end
            end = span.end if complete else reached[where]
            recorder.bounds(Bounds(*where, start, end, complete, where[0] in compacted))
    partitions = {(name, p.partition): p for name, topic in topics.items() for p in topic.partitions}
    return LastRead(
        _left(catalogue, topics, offsets, reached, problem),
        {where: p.leader for where, p in partitions.items()},
        {where: p.replicas for where, p in partitions.items()},
        unclean,
    )


def _settled(
    catalogue: Catalogue, control: ControlPlane, topics: Mapping[str, Topic], until: float
) -> dict[Where, Offsets]:
    """First and next offsets of all partitions, asked for until the next ones are past every offset that a client was given."""
    wanted = [(name, p.partition) for name, topic in topics.items() for p in topic.partitions]
    while True:
        offsets = control.offsets(wanted)
        behind = [w for w in wanted if w in catalogue.spans and _end(offsets, w) <= catalogue.spans[w].high]
        if not behind or time.monotonic() > until:
            return offsets
        time.sleep(_AGAIN_S)


def _since(start: int | None, there: Offsets, told: Span | None) -> Offsets:
    """The offsets that may hold records of the load: from its start on, or from below it if the log was truncated since."""
    if start is None:
        return there
    return Offsets(max(there.start, min(start, there.end, told.low if told else start)), there.end)


def _end(offsets: Mapping[Where, Offsets], where: Where) -> int:
    return offsets[where].end if where in offsets else 0


def _policies(control: ControlPlane, topics: list[str]) -> tuple[set[str], bool]:
    """Topics that Kafka compacts, and whether any of them allows unclean leader elections."""
    configs = control.effective_topic_configs(topics) if topics else {}
    compacted = {name for name, config in configs.items() if "compact" in config.get("cleanup.policy", "")}
    return compacted, any(config.get("unclean.leader.election.enable") == "true" for config in configs.values())


def _left(
    catalogue: Catalogue,
    topics: Mapping[str, Topic],
    offsets: Mapping[Where, Offsets],
    reached: Mapping[Where, int],
    problem: str,
) -> tuple[str, ...]:
    told = [f"topic {name} is gone" for name in catalogue.topics if name not in topics]
    leaderless = [w for w in catalogue.spans if w[0] in topics and w not in offsets]
    told += [f"{topic}-{partition} has no leader" for topic, partition in leaderless]
    for (topic, partition), span in offsets.items():
        if (at := reached[topic, partition]) < span.end:
            told.append(f"{topic}-{partition} was read up to offset {at} of {span.end}")
    return (*told, problem) if problem else tuple(told)
