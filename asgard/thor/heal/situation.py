"""What a decision is based on, and what a decision is. Plain data; times are seconds since 1970, durations seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from asgard.cluster.findings import Finding, Tally
from asgard.cluster.limits import Limits
from asgard.core import windows
from asgard.journal.rules import Priority
from asgard.kafka.model import Broker, ClusterSnapshot, Node
from asgard.thor.heal.memory import Absence, Memory
from asgard.thor.heal.policy import Policy

Kind = Literal[
    "healthy", "wait", "hold", "restart", "replace", "reassign", "resume", "settle", "elect", "balance", "disks"
]
PAUSE_S = 600.0
"""Between two tries of work that failed while nothing is lost, or that had nothing to move."""
SHORT_PAUSE_S = 60.0
"""The same, for a broker that is back and waits to be used."""


@dataclass(frozen=True)
class Holder:
    """Who is changing the cluster right now."""

    name: str
    priority: int


@dataclass(frozen=True)
class Situation:
    """A look at the cluster with what is remembered and allowed. `nodes` is None if the brokers' machines are out of reach.

    `left_behind`: operations of dead runs, which the next change puts back.
    """

    snapshot: ClusterSnapshot
    findings: tuple[Finding, ...]
    tally: Tally
    memory: Memory
    policy: Policy
    limits: Limits
    now: float
    nodes: tuple[Node, ...] | None = None
    holder: Holder | None = None
    left_behind: int = 0

    @cached_property
    def gone(self) -> tuple[Broker, ...]:
        """Brokers that are not up."""
        return tuple(b for b in self.snapshot.brokers if b.state != "up")

    @cached_property
    def up(self) -> tuple[int, ...]:
        """Brokers that are up."""
        return tuple(sorted(b.id for b in self.snapshot.brokers if b.state == "up"))

    def holds(self, broker: int) -> bool:
        """Whether replica lists name it."""
        return self.tally.held[broker] > 0

    def of(self, *kinds: str) -> list[Finding]:
        """The findings of these kinds."""
        return [f for f in self.findings if f.kind in kinds]

    def absence(self, broker: int) -> Absence:
        """Since when it is gone: according to the journal, else since now."""
        return self.memory.absent.get(broker) or Absence(self.now, "")

    def noted(self, finding: Finding) -> float:
        """When it was first seen: according to the journal, else now."""
        return self.memory.noted.get((finding.kind, finding.subject), self.now)

    def node(self, broker: int) -> Node | None:
        """The node of a broker, if its machine can be reached."""
        return next((n for n in self.nodes or () if n.id == broker), None)

    def flaps(self, broker: int) -> int:
        """How often a broker was lost in the policy's window, if that is too often; else 0."""
        losses = self.memory.losses(broker, self.now - self.policy.flapping.within_s)
        return losses if losses >= self.policy.flapping.times else 0

    def failed_lately(self, kind: str) -> bool:
        """Whether such work recently failed."""
        pause_s = SHORT_PAUSE_S if kind == "resume" else PAUSE_S
        return self.now - self.memory.failed.get(kind, float("-inf")) < pause_s

    def stuck(self, kind: str, brokers: tuple[int, ...]) -> str:
        """Why such work can move nothing for these brokers, if that was found recently; else empty."""
        stuck = self.memory.stuck
        if stuck is None or (stuck.kind, stuck.brokers, stuck.up) != (kind, brokers, self.up):
            return ""
        return stuck.why if self.now - stuck.at < PAUSE_S else ""

    @property
    def closed(self) -> str:
        """Why planned work may not be done now; empty if it may."""
        quiet = windows.within(self.policy.quiet_hours, self.now)
        if quiet:
            return f"these are quiet hours ({quiet} UTC)"
        if self.limits.windows and not windows.within(self.limits.windows, self.now):
            return f"moves may start only in {', '.join(self.limits.windows)} UTC"
        return ""


@dataclass(frozen=True)
class Decision:
    """What to do (`what`) and why, as sentences. `remaining_s`: how long to wait. `partitions`: those to elect leaders for.

    `key` names the reason to hold still; as long as it stays the same, no one is notified twice.
    """

    kind: Kind
    what: str
    why: str
    brokers: tuple[int, ...] = ()
    remaining_s: float | None = None
    partitions: tuple[tuple[str, int], ...] = ()
    key: str = ""

    @property
    def acts(self) -> bool:
        """Whether it changes anything."""
        return self.kind not in ("healthy", "wait", "hold")

    @property
    def heals(self) -> bool:
        """Whether it is part of a healing, and not work that could just as well wait until tomorrow."""
        return self.acts and self.kind not in ("balance", "disks")

    @property
    def priority(self) -> Priority:
        """How urgent it is compared with others who change the cluster."""
        if self.kind == "resume":
            return Priority.FILL
        return Priority.BALANCE if self.kind in ("elect", "balance", "disks", "settle") else Priority.HEAL

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


def stand_by(why: str, key: str, brokers: tuple[int, ...] = ()) -> Decision:
    """Nothing can or may be done, and people should know."""
    return Decision("hold", "holding still", why, brokers, key=key)


def nowhere(brokers: tuple[int, ...], why: str) -> Decision:
    """The replicas of these brokers have nowhere to go."""
    return stand_by(why, f"nowhere {ids(brokers)}", brokers)


def label(broker: Broker) -> str:
    """`broker 3 (r1)`."""
    return f"broker {broker.id}" + (f" ({broker.rack})" if broker.rack else "")


def ids(numbers: Iterable[int]) -> str:
    """`3, 4`."""
    return ", ".join(str(n) for n in numbers)


def named(brokers: Sequence[int]) -> str:
    """`broker 3`, `brokers 3, 4`."""
    return f"broker {brokers[0]}" if len(brokers) == 1 else f"brokers {ids(brokers)}"


def counted(number: int, what: str = "partition") -> str:
    """`1 partition`, `3 partitions`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
