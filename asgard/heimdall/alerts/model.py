"""Rules, what they are judged by, and the life of an alert. Times are seconds since 1970 (UTC), durations seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from asgard.core.schema.alerts import ReceiverKind, RuleKind, Severity
from asgard.heimdall.audit.missing import MissingRecords
from asgard.heimdall.lag.model import GroupLag
from asgard.heimdall.volume.model import Compared

Phase = Literal["pending", "raised"]


@dataclass(frozen=True)
class AlertRule:
    """When an alert is raised. `above` and `within_s` None: the default of its kind."""

    name: str
    kind: RuleKind
    groups: tuple[str, ...] = ("*",)
    topics: tuple[str, ...] = ("*",)
    above: float | None = None
    within_s: float | None = None
    for_s: float = 0.0
    clear_s: float = 0.0
    severity: Severity = "warning"
    labels: Mapping[str, str] = field(default_factory=dict)
    silent_in_drills: bool = False


AUDIT_LOSS = AlertRule("audit-loss", "audit-loss")
"""In force without being configured: records missing in an audit are always reported."""


def in_force(rules: Sequence[AlertRule]) -> tuple[AlertRule, ...]:
    """The rules of the file, and the one for losses of audits if it has none."""
    return tuple(rules) if any(rule.kind == "audit-loss" for rule in rules) else (*rules, AUDIT_LOSS)


@dataclass(frozen=True)
class Volume:
    """A log directory's volume at a moment."""

    at: float
    used_bytes: int
    capacity_bytes: int


@dataclass(frozen=True)
class Seen:
    """All that rules are judged by, at a moment. None: not measured, so the rules that need it change nothing.

    `disks`: `broker 3 /d1` to its volume over time, oldest first. `canary`: broker to why clients can't use it (empty: they can).
    `drill`: what is breaking the cluster on purpose now.
    """

    at: float
    cluster_id: str
    cluster: str
    groups: tuple[GroupLag, ...] | None = None
    unknown_groups: bool = False
    under_replicated: int | None = None
    offline: int | None = None
    disks: Mapping[str, Sequence[Volume]] | None = None
    volume: tuple[Compared, ...] | None = None
    losses: tuple[MissingRecords, ...] | None = None
    canary: Mapping[str, str] | None = None
    drill: str | None = None


@dataclass(frozen=True)
class RuleMatch:
    """A rule holds for a subject. `value` is the figure that it was judged by.

    `extent` says how far it goes (`from`, `until`, `lost`): an alert that is raised is raised again if it goes further.
    """

    subject: str
    text: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    extent: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdicts:
    """What a rule finds: where it holds, and where that is not known (`unknown`; None: anywhere)."""

    holds: tuple[RuleMatch, ...] = ()
    unknown: frozenset[str] | None = frozenset()


@dataclass(frozen=True)
class AlertState:
    """An alert that is about to be raised, or is. `since`: it has held since then; `well_since`: it has not held since then."""

    rule: str
    subject: str
    phase: Phase
    since: float
    text: str
    value: float
    labels: Mapping[str, str]
    raised_at: float | None = None
    well_since: float | None = None
    extent: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        return self.rule, self.subject

    @property
    def id(self) -> str:
        """The id of this one alert; if raised again later, it gets another."""
        return f"{self.rule}/{self.subject}/{self.raised_at:.3f}" if self.raised_at is not None else ""


@dataclass(frozen=True)
class Transition:
    """An alert was raised or cleared, and why."""

    what: Literal["raised", "cleared"]
    state: AlertState
    at: float
    because: str


@dataclass(frozen=True)
class Evaluation:
    """The states after an evaluation, what changed, and which alerts a drill suppresses."""

    states: Mapping[tuple[str, str], AlertState]
    transitions: tuple[Transition, ...]
    silenced: tuple[AlertState, ...] = ()


@dataclass(frozen=True)
class Receiver:
    """Where to send alerts. Anything that may hold a token is read from its file when used, and never shown."""

    name: str
    kind: ReceiverKind
    url: str | None = field(default=None, repr=False)
    url_file: str | None = None
    key_file: str | None = None
    to: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    timeout_s: float = 5.0


@dataclass(frozen=True)
class Subscription:
    """A receiver and the labels of the alerts that it gets: label to patterns."""

    receiver: str
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cleared: bool = True
