"""The result of a drill as plain data: `asgard.drill/v1` as JSON. Pure. Seconds; those of faults count from the start of the load."""

from __future__ import annotations

from dataclasses import dataclass, field

from asgard.loki.drill.statistics import Share
from asgard.loki.drill.times import Stretch
from asgard.loki.load.result import LoadResult

FORMAT = "asgard.drill/v1"


@dataclass(frozen=True)
class Struck:
    """A fault and its outcome; durations count from it. None: it did not happen within the waiting time.

    `kafka_s`: until Kafka's metadata showed it; `noticed_s`: until the healing saw it; `healed_s`: until every
    replica was in sync. `healing` is what the healing did, in its words; empty: nothing, as for faults that pass. `by_hand`: the
    drill had to put back what the healing had not. `heals`: it is a kind of fault that healing fixes.
    """

    action: str
    text: str
    brokers: tuple[int, ...]
    at_s: float
    kafka_s: float | None = None
    noticed_s: float | None = None
    healed_s: float | None = None
    healing: str = ""
    by_hand: bool = False
    heals: bool = True
    producers_waited_s: float = 0.0
    consumers_waited_s: float = 0.0


@dataclass(frozen=True)
class Promise:
    """Something that a stakeholder counts on: whether it was kept, and what was seen."""

    name: str
    words: str
    kept: bool
    seen: str


@dataclass(frozen=True)
class Drill:
    """One run. `verdict` is one sentence, `story` what happened in a few more. `command` runs it again."""

    scenario: str
    about: str
    seed: int
    loses: bool
    command: str
    passed: bool
    verdict: str
    story: list[str]
    faults: list[Struck]
    promises: list[Promise]
    acknowledged: int
    lost: int
    duplicates: int
    worst_s: float | None
    worst_end_to_end_s: float | None
    producers_waited_s: float
    consumers_waited_s: float
    producers_waited: list[Stretch]
    consumers_waited: list[Stretch]
    load: LoadResult


@dataclass(frozen=True)
class Often:
    """How often a promise was kept."""

    name: str
    words: str
    share: Share


@dataclass(frozen=True)
class Series:
    """All runs of one command."""

    scenario: str
    cluster: str
    cluster_id: str
    command: str
    passed: bool
    verdict: str
    runs: list[Drill]
    often: list[Often] = field(default_factory=list)
    format: str = FORMAT
