"""Does a condition hold for this snapshot? Pure: the answer comes with the figures behind it.

What was not measured is unknown, and a condition that depends on it neither holds nor is broken: the answer is then None.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from asgard.cluster import health
from asgard.cluster import quorum as voters
from asgard.cluster.findings import Tally, findings, tally
from asgard.cluster.limits import Limits
from asgard.cluster.placement import Placement
from asgard.cluster.plan import BrokerLoad
from asgard.core import units
from asgard.core.condition import Comparison, Condition, Unit
from asgard.kafka.model import Broker, ClusterSnapshot

Value = float | str | None
_COMPARE: dict[str, Callable[[float | str, float | str], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NAMED = 3


@dataclass(frozen=True)
class ConditionVerdict:
    """Whether a condition holds (None: unknown), and the figures behind it: `parts` has each comparison's."""

    condition: str
    holds: bool | None
    parts: tuple[tuple[str, str], ...]

    @property
    def because(self) -> str:
        """The figures."""
        return "; ".join(dict.fromkeys(figures for _, figures in self.parts))

    def __str__(self) -> str:
        """A sentence: if several comparisons are joined with `or`, those that hold; else the first few."""
        if self.holds is False and len(self.parts) > 1:
            shown = ", ".join(text for text, _ in self.parts[:_NAMED])
            more = f" and {len(self.parts) - _NAMED} more" if len(self.parts) > _NAMED else ""
            return f"none of {shown}{more} holds"
        verb = {True: "holds", False: "does not hold", None: "is unknown"}[self.holds]
        return "; ".join(f"{text} {verb} ({figures})" for text, figures in self.parts)


@dataclass(frozen=True)
class ClusterFacts:
    """The facts that conditions are judged by; computed when a condition needs them."""

    snapshot: ClusterSnapshot
    limits: Limits = field(default_factory=Limits)

    def judge(self, condition: Condition) -> ConditionVerdict:
        """Whether a condition holds: if any of its comparisons does."""
        answers = [(c.text, *self._compare(c)) for c in condition.any_of]
        given = [answer for _, answer, _ in answers]
        holds = True if True in given else None if None in given else False
        return ConditionVerdict(
            condition.text, holds, tuple((t, figures) for t, answer, figures in answers if answer is holds)
        )

    def judge_all(self, conditions: Sequence[Condition]) -> list[ConditionVerdict]:
        """Each of them."""
        return [self.judge(condition) for condition in conditions]

    def cluster(self, fact: str) -> float | None:
        """A fact of the cluster, by its name in `core.condition`."""
        return _CLUSTER[fact](self)

    def broker(self, broker: Broker, fact: str) -> Value:
        """A fact of a broker, by its name in `core.condition`."""
        if fact == "state":
            return broker.state
        if fact == "leaders":
            return float(self._tally.leads[broker.id])
        if fact == "replicas":
            return float(self._tally.held[broker.id])
        load = self._load[broker.id]
        if fact == "disk":
            return load.disk
        measured = self._sized if fact == "bytes" else self._rated
        return {"bytes": load.bytes, "bytes_in": load.bytes_in_per_s, "bytes_out": load.bytes_out_per_s}[fact] if measured else None  # fmt: skip

    @cached_property
    def empty(self) -> list[int]:
        """Brokers that are up, may be given replicas, and hold none."""
        there = (b for b in self.snapshot.brokers if b.state == "up" and b.id not in self.limits.exclude_brokers)
        able = (b.id for b in there if not any(d.cordoned or d.offline for d in b.log_dirs))
        return sorted(b for b in able if not self._tally.held[b])

    def _compare(self, c: Comparison) -> tuple[bool | None, str]:
        if c.of == "brokers":
            return self._compare_brokers(c)
        if c.of == "findings":
            found = float(sum(1 for kind in self._findings if c.fact in ("", kind)))
            return _COMPARE[c.operator](found, c.value), f"{found:.0f} found"
        value = self.cluster(c.fact)
        if value is None:
            return None, "not measured"
        return _COMPARE[c.operator](value, c.value), f"it is {_shown(value, c.unit)}"

    def _compare_brokers(self, c: Comparison) -> tuple[bool | None, str]:
        by_id = {b.id: b for b in self.snapshot.brokers}
        # A down broker reports only its state; brokers in brackets were named on purpose.
        there = (b.id for b in self.snapshot.brokers if c.fact == "state" or b.state == "up")
        ids = c.brokers if isinstance(c.brokers, tuple) else tuple(sorted(there))
        unknown = [i for i in ids if i not in by_id]
        # A broker that is no longer known holds nothing; its other facts are unknown.
        values: dict[int, Value] = {i: self.broker(by_id[i], c.fact) for i in ids if i in by_id}
        values |= dict.fromkeys(unknown, 0.0 if c.fact in ("replicas", "leaders", "bytes") else None)
        answers = {i: None if v is None else _COMPARE[c.operator](v, c.value) for i, v in values.items()}
        of_any = c.brokers == "any"
        telling = [i for i in ids if answers[i] is of_any]
        silent = [i for i in ids if answers[i] is None]
        if telling:
            return of_any, _of_brokers(telling, values, c)
        if silent or not ids:
            return None, f"{c.fact} of broker {_few(silent)} was not measured" if silent else "there is no broker"
        return not of_any, _of_brokers(ids, values, c)

    @cached_property
    def _placement(self) -> Placement:
        return Placement(self.snapshot, self.limits)

    @cached_property
    def _load(self) -> dict[int, BrokerLoad]:
        placement = self._placement
        return {broker: placement.load(i, placement.start) for i, broker in enumerate(placement.ids)}

    @cached_property
    def _tally(self) -> Tally:
        return tally(self.snapshot)

    @cached_property
    def _findings(self) -> list[str]:
        return [found.kind for found in findings(self.snapshot, self.limits, self._tally)]

    @cached_property
    def _sized(self) -> bool:
        return all(p.size_bytes is not None for p in self.snapshot.partitions)

    @cached_property
    def _rated(self) -> bool:
        return all(p.bytes_in_per_s is not None for p in self.snapshot.partitions)

    def _spread(self, fact: str) -> float | None:
        """The most that a broker has, over its even share; a replica can't be split."""
        values = [self.broker(b, fact) for b in self.snapshot.brokers if b.state == "up"]
        numbers = [v for v in values if isinstance(v, int | float)]
        if len(numbers) < len(values) or not numbers:
            return None
        mean = sum(numbers) / len(numbers)
        even = mean if fact == "bytes" else math.ceil(mean)
        return max(numbers) / even if even else 1.0


def _at_min_isr(facts: ClusterFacts) -> float:
    least = {topic: known.min_isr or 1 for topic, known in facts.snapshot.topics.items()}
    return float(sum(1 for p in facts.snapshot.partitions if health.at_min_isr(p, least.get(p.topic, 1))))


def _controllers_spare(facts: ClusterFacts) -> float | None:
    quorum = facts.snapshot.quorum
    return None if quorum is None else float(voters.health(quorum).spare)


def _not_preferred(facts: ClusterFacts) -> float:
    partitions = facts.snapshot.partitions
    away = sum(1 for p in partitions if not health.offline(p) and not health.led_by_preferred(p))
    return away / len(partitions) if partitions else 0.0


_CLUSTER: dict[str, Callable[[ClusterFacts], float | None]] = {
    "under_replicated": lambda f: float(len(f._tally.under_replicated)),
    "under_min_isr": lambda f: float(len(f._tally.under_min_isr)),
    "at_min_isr": _at_min_isr,
    "offline_partitions": lambda f: float(len(f._tally.offline)),
    "reassigning": lambda f: float(f._tally.moving),
    "brokers_up": lambda f: float(sum(1 for b in f.snapshot.brokers if b.state == "up")),
    "brokers_down": lambda f: float(sum(1 for b in f.snapshot.brokers if b.state != "up")),
    "brokers_empty": lambda f: float(len(f.empty)),
    "offline_log_dirs": lambda f: float(sum(d.offline for b in f.snapshot.brokers for d in b.log_dirs)),
    "controllers_spare": _controllers_spare,
    "not_preferred": _not_preferred,
    "disk_spread": lambda f: f._spread("bytes"),
    "replica_spread": lambda f: f._spread("replicas"),
    "leader_spread": lambda f: f._spread("leaders"),
}


def _of_brokers(ids: Sequence[int], values: dict[int, Value], c: Comparison) -> str:
    shown = ", ".join(f"broker {i}: {_shown(values[i], c.unit)}" for i in ids[:_NAMED])
    return shown + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")


def _few(ids: Sequence[int]) -> str:
    return ", ".join(map(str, ids[:_NAMED])) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")


def _shown(value: Value, unit: Unit) -> str:
    if value is None or isinstance(value, str):
        return str(value)
    if unit == "fraction":
        return f"{value:.1%}"
    if unit in ("bytes", "bytes/s"):
        return units.format_size(value) + ("/s" if unit == "bytes/s" else "")
    return f"{value:.0f}"
