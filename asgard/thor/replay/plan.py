"""A replay as it is written down before it begins: what is copied from where to where, up to which offsets.

The plan is made once, so that a second run of the same command goes on with the same window, however time has moved on.
Its id follows from what was asked for and how often that was done before: two processes that are asked for the same thing
at the same time get the same id, and only one of them goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asgard.core.errors import WrongUsage
from asgard.thor.replay.model import TopicPartition


@dataclass(frozen=True)
class Route:
    """A source topic, its target, and how many partitions both had when the plan was made."""

    topic: str
    to: str
    partitions: int
    to_partitions: int


@dataclass(frozen=True)
class Plan:
    """A replay. `request` identifies what was asked for, `words` says it; `window` is what each partition gives."""

    id: str
    request: str
    words: str
    source_cluster: str
    target_cluster: str
    routes: tuple[Route, ...]
    window: dict[TopicPartition, tuple[int, int]]

    @property
    def name(self) -> str:
        """The transactional id, the group of the progress, and the client id."""
        return f"asgard.replay.{self.id}"

    @property
    def offsets(self) -> int:
        """An upper bound of the records: compaction and transactions leave offsets without one."""
        return sum(end - start for start, end in self.window.values())

    @property
    def targets(self) -> list[str]:
        """The topics that are written to."""
        return sorted({route.to for route in self.routes})

    def places(self) -> list[TopicPartition]:
        """The target's partitions as they were when the plan was made; the progress stands under their names."""
        counts = {route.to: route.to_partitions for route in self.routes}
        return [(topic, p) for topic, count in counts.items() for p in range(count)]

    def document(self) -> dict[str, Any]:
        """The plan as the journal keeps it; topics are no keys there, since a name may look like a secret's."""
        return {
            "request": self.request,
            "words": self.words,
            "source": self.source_cluster,
            "target": self.target_cluster,
            "routes": [[r.topic, r.to, r.partitions, r.to_partitions] for r in self.routes],
            "window": [[topic, p, start, end] for (topic, p), (start, end) in sorted(self.window.items())],
        }


def read(id: str, data: Mapping[str, Any]) -> Plan:
    """A plan out of the journal."""
    return Plan(
        id,
        data["request"],
        data["words"],
        data["source"],
        data["target"],
        tuple(Route(*route) for route in data["routes"]),
        {(topic, p): (start, end) for topic, p, start, end in data["window"]},
    )


def request_of(*parts: object) -> str:
    """Identifies what was asked for."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def id_of(request: str, before: int) -> str:
    """The id of a replay of this request that was finished `before` times already."""
    return hashlib.sha256(f"{request}/{before}".encode()).hexdigest()[:12]


def targets_of(topics: Sequence[str], to: str | None, *, same_cluster: bool) -> dict[str, str]:
    """Source topic to target topic: `to` may hold `{topic}`. Raises WrongUsage where several would meet in one."""
    if to is None and same_cluster:
        raise WrongUsage(
            "no target was named", "Give --to TOPIC, or another cluster with --to-context or --to-bootstrap-server."
        )
    pattern = to or "{topic}"
    if len(topics) > 1 and "{topic}" not in pattern:
        raise WrongUsage(
            f"{len(topics)} topics would all be copied into {pattern}",
            "Write {topic} in --to, as in '{topic}.replayed', or name one topic.",
        )
    return {topic: pattern.replace("{topic}", topic) for topic in topics}
