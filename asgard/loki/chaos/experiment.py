"""An experiment as plain data: what to probe, what to do, and in which order. Pure.

`Activity.source` is the activity as written in its file, and the run record repeats it: values substituted for variables
never get there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

OWN = ("asgard.loki.chaos.actions", "asgard.loki.chaos.probes")
"""The modules whose functions are Loki's own: limited by the blast radius, and put back."""


@dataclass(frozen=True)
class ActivityProvider:
    """What carries out an activity. Variables (`${name}`) are substituted when it runs."""

    type: Literal["python", "process", "http"]
    module: str = ""
    func: str = ""
    arguments: Any = None
    path: str = ""
    url: str = ""
    method: str = "GET"
    headers: Mapping[str, Any] = field(default_factory=dict)
    timeout: Any = None
    verify_tls: bool = True
    max_retries: int = 0
    secrets: tuple[str, ...] = ()

    @property
    def own(self) -> bool:
        """Whether it is one of Loki's own functions."""
        return self.type == "python" and self.module in OWN

    def __str__(self) -> str:
        return {"python": f"{self.module}.{self.func}", "process": self.path, "http": self.url}[self.type]


@dataclass(frozen=True)
class Activity:
    """A probe or an action. `before` and `after` are seconds to wait, or a variable; `tolerance` is data (`core.tolerance`)."""

    type: Literal["probe", "action"]
    name: str
    provider: ActivityProvider
    tolerance: Any = None
    before: Any = 0
    after: Any = 0
    background: bool = False
    source: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Abort:
    """The run ends if this probe is out of tolerance for `for_s` seconds."""

    probe: Activity
    for_s: float = 0.0


@dataclass(frozen=True)
class Experiment:
    """An experiment; `document` is all of it as read. `every_s`: how often the abort conditions are checked."""

    title: str
    description: str
    file: str
    probes: tuple[Activity, ...]
    method: tuple[Activity, ...]
    rollbacks: tuple[Activity, ...]
    tags: tuple[str, ...] = ()
    hypothesis: str | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict)
    aborts: tuple[Abort, ...] = ()
    every_s: float = 2.0
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its file is called."""
        return self.file.rpartition("/")[2].rpartition(".")[0] or self.title

    def activities(self) -> tuple[Activity, ...]:
        """All of them."""
        return (*self.probes, *self.method, *self.rollbacks, *(a.probe for a in self.aborts))

    def foreign(self) -> tuple[Activity, ...]:
        """Activities that functions other than Loki's carry out: outside its blast radius, and not put back by it."""
        return tuple(a for a in self.activities() if not a.provider.own or not _own_tolerance(a.tolerance))


def _own_tolerance(tolerance: Any) -> bool:
    if not isinstance(tolerance, Mapping) or tolerance.get("type") != "probe":
        return True
    provider = tolerance.get("provider", {})
    return provider.get("type") == "python" and provider.get("module") in OWN
