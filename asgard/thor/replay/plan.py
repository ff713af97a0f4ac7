"""A replay as recorded before it starts: what is copied from where to where, up to which offsets.

The plan is created once, so that a second run of the same command continues with the same window, however much later.
Its id is derived from the request and how often that was done before: two processes with the same request at the same time
get the same id, and only one of them continues.
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
class TopicRoute:
    """A source topic, its target, and their partition counts when the plan was created."""

    topic: str
    to: str
    partitions: int
    to_partitions: int


@dataclass(frozen=True)
class ReplayPlan:
    """A replay. `request` identifies the request, `words` describes it; `window` is what each partition contributes."""

    id: str
    request: str
    words: str
    source_cluster: str
    target_cluster: str
    routes: tuple[TopicRoute, ...]
    window: dict[TopicPartition, tuple[int, int]]

    @property
    def name(self) -> str:
        """The transactional id, the group of the progress, and the client id."""
        return f"asgard.replay.{self.id}"

    @property
    def offsets(self) -> int:
        """An upper bound of the record count: compaction and transactions leave offsets without one."""
        return sum(end - start for start, end in self.window.values())

    @property
    def targets(self) -> list[str]:
        """The topics to write to."""
        return sorted({route.to for route in self.routes})

    def places(self) -> list[TopicPartition]:
        """The target's partitions when the plan was created; the progress is kept under their names."""
        counts = {route.to: route.to_partitions for route in self.routes}
        return [(topic, p) for topic, count in counts.items() for p in range(count)]

    def document(self) -> dict[str, Any]:
        """The plan as the journal keeps it; topics are not keys there, since a name may look like a secret's."""
        return {
            "request": self.request,
            "words": self.words,
            "source": self.source_cluster,
            "target": self.target_cluster,
            "routes": [[r.topic, r.to, r.partitions, r.to_partitions] for r in self.routes],
            "window": [[topic, p, start, end] for (topic, p), (start, end) in sorted(self.window.items())],
        }


def read(id: str, data: Mapping[str, Any]) -> ReplayPlan:
    """A plan from the journal."""
    return ReplayPlan(
        id,
        data["request"],
        data["words"],
        data["source"],
        data["target"],
        tuple(TopicRoute(*route) for route in data["routes"]),
        {(topic, p): (start, end) for topic, p, start, end in data["window"]},
    )


def request_of(*parts: object) -> str:
    """Identifies a request."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def id_of(request: str, before: int) -> str:
    """The id of a replay of this request, which has already finished `before` times."""
    return hashlib.sha256(f"{request}/{before}".encode()).hexdigest()[:12]


def targets_of(topics: Sequence[str], to: str | None, *, same_cluster: bool) -> dict[str, str]:
    """Source topic to target topic: `to` may hold `{topic}`. Raises WrongUsage if several map to the same one."""
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
