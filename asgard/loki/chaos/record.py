"""What a run found and did, in the format of Chaos Toolkit's journal (its specification), which its report tools read.

Asgard's own data is under the key `asgard`, at the top and in each activity. Times are UTC. No secret gets in: activities are
as written in the file, with their variables, and the values under `secrets` are masked.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from asgard import __version__
from asgard.loki.chaos.experiment import Experiment
from asgard.loki.chaos.limits import BlastRadius

Run = dict[str, Any]
Status = str
"""`completed`, `failed`, `aborted` or `interrupted`."""


def now() -> str:
    """The current time, in the journal's format."""
    return datetime.now(UTC).isoformat()


def plain(value: Any) -> Any:
    """What a function returned, as plain JSON data."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


@dataclass
class RunRecord:
    """A run in progress."""

    experiment: Experiment
    seed: int
    cluster_id: str
    run_id: str
    limits: BlastRadius
    start: str = field(default_factory=now)
    status: Status | None = None
    deviated: bool = False
    before: Run | None = None
    after: Run | None = None
    run: list[Run] = field(default_factory=list)
    rollbacks: list[Run] = field(default_factory=list)
    put_back: list[str] = field(default_factory=list)
    reason: str | None = None
    end: str | None = None
    duration: float | None = None

    def document(self) -> dict[str, Any]:
        """All of it as plain JSON data."""
        return {
            "chaoslib-version": f"asgard-{__version__}",
            "platform": platform.platform(),
            "node": platform.node(),
            "experiment": plain(_without_secrets(self.experiment.document)),
            "start": self.start,
            "status": self.status,
            "deviated": self.deviated,
            "steady_states": {"before": self.before, "after": self.after, "during": []},
            "run": self.run,
            "rollbacks": self.rollbacks,
            "end": self.end,
            "duration": self.duration,
            "asgard": {
                "run": self.run_id,
                "cluster_id": self.cluster_id,
                "seed": self.seed,
                "blast_radius": asdict(self.limits),
                "put_back": self.put_back,
                "outside_blast_radius": [f"{a.name}: {a.provider}" for a in self.experiment.foreign()],
                "reason": self.reason,
            },
        }


def _without_secrets(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _blotted(value) if key == "secrets" else value for key, value in document.items()}


def _blotted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value if value.get("type") == "env" else {k: _blotted(v) for k, v in value.items()}
    return "***"
