"""What earlier looks and healings of a cluster left in the journal: since when a broker is gone, and what was tried.

The cluster's state decides; memory only adds what a state can't show: first sights (grace counts from them, also between
one-shot runs), attempts, flapping brokers, and brokers that a healing emptied. Pure: events in, memory out; later events
are folded into the existing memory. Times are seconds since 1970, by the journal's clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from asgard.cluster.findings import Finding
from asgard.kafka.model import ClusterSnapshot, Quorum

if TYPE_CHECKING:
    from asgard.journal.events import Event

MISSED, RETURNED, REMOVED = "thor.broker.missed", "thor.broker.returned", "thor.broker.removed"
NOTED, CLEARED = "thor.finding.noted", "thor.finding.cleared"
STARTED, FINISHED, FAILED, HELD = "thor.heal.started", "thor.heal.finished", "thor.heal.failed", "thor.heal.held"
RECOVERED, KILLED = "thor.cluster.recovered", "thor.node.killed"
PASSING = frozenset({"log-dir-offline", "under-replicated", "under-min-isr", "broker-silent", "quorum-at-risk"})
"""Findings that may go away by themselves: grace also counts from their first sight."""
_LOSSES_KEPT = 50


@dataclass(frozen=True)
class Absence:
    """A dead broker: since when, what was tried, and the correlation of its events."""

    since: float
    incident: str
    restarts: int = 0
    restarted_at: float = 0.0
    replaced: bool = False
    failures: int = 0
    failed_at: float = 0.0


@dataclass(frozen=True)
class Stuck:
    """Work of this kind (a decision's) had nothing to move for `brokers` while the brokers `up` were up, and why."""

    kind: str
    brokers: tuple[int, ...]
    up: tuple[int, ...]
    why: str
    at: float


@dataclass(frozen=True)
class Memory:
    """See the module. `seen` is the newest event in it; `lost` when each broker was lost, newest last.

    `returned`: when lost brokers came back; `emptied`: those whose replicas a healing gave to others. `noted`: first sight of
    findings by (kind, subject). `held` is what was last escalated, as long as it lasts. `failed`: when each kind of work last
    failed. `stuck` and `holding` (since when it holds still for what, before anyone was
    notified) belong to this process only.
    """

    seen: int = 0
    absent: Mapping[int, Absence] = field(default_factory=dict)
    lost: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    returned: Mapping[int, float] = field(default_factory=dict)
    emptied: frozenset[int] = frozenset()
    noted: Mapping[tuple[str, str], float] = field(default_factory=dict)
    held: str = ""
    failed: Mapping[str, float] = field(default_factory=dict)
    stuck: Stuck | None = None
    holding: tuple[str, float] | None = None

    def losses(self, broker: int, since: float) -> int:
        """How often the broker was lost since then."""
        return sum(1 for at in self.lost.get(broker, ()) if at >= since)


@dataclass(frozen=True)
class Observation:
    """Something new in a look, to be written to the journal."""

    kind: str
    subject: str
    incident: str | None
    data: dict[str, Any]


def remember(memory: Memory, events: Iterable[Event], cluster_id: str) -> Memory:
    """The memory with these events added, oldest first; those of other clusters are left out."""
    for event in events:
        if event.data.get("cluster_id") == cluster_id:
            memory = _with(memory, event)
        memory = replace(memory, seen=max(memory.seen, event.id))
    return memory


def observe(
    snapshot: ClusterSnapshot, findings: Collection[Finding], memory: Memory, now: float, cluster: str
) -> list[Observation]:
    """What is new in a snapshot: brokers gone, back, or no longer known; findings that came and went."""
    news: list[Observation] = []
    away = {b.id: b.state for b in snapshot.brokers if b.state != "up"}
    up = {b.id for b in snapshot.brokers if b.state == "up"}
    for broker, state in sorted(away.items()):
        if broker not in memory.absent:
            silent = memory.noted.get(("broker-silent", f"broker {broker}"), now)
            since = min(silent, _heard_of(broker, snapshot.quorum, now))
            incident = f"{snapshot.cluster_id}/broker-{broker}/{since:.0f}"
            data = {"broker": broker, "state": state, "since": since}
            news.append(Observation(MISSED, f"{cluster}/{broker}", incident, data))
    for broker, absence in sorted(memory.absent.items()):
        if broker not in away:
            kind = RETURNED if broker in up else REMOVED
            data = {"broker": broker, "away_s": round(now - absence.since, 1)}
            news.append(Observation(kind, f"{cluster}/{broker}", absence.incident, data))
    passing = {(f.kind, f.subject) for f in findings if f.kind in PASSING}
    news += [
        Observation(NOTED, cluster, None, {"kind": k, "subject": s}) for k, s in sorted(passing - memory.noted.keys())
    ]
    gone = memory.noted.keys() - passing
    news += [Observation(CLEARED, cluster, None, {"kind": k, "subject": s}) for k, s in sorted(gone)]
    return [replace(o, data={**o.data, "cluster_id": snapshot.cluster_id}) for o in news]


def following(broker: int, quorum: Quorum | None) -> float | None:
    """Seconds since the broker last fetched from the metadata quorum, by the quorum leader's clock; None: unknown."""
    if quorum is None:
        return None
    replicas = {v.id: v.last_fetch_ms for v in (*quorum.observers, *quorum.voters)}
    clock = max((ms for ms in replicas.values() if ms is not None), default=None)
    mine = replicas.get(broker)
    return None if clock is None or mine is None else (clock - mine) / 1000


def _heard_of(broker: int, quorum: Quorum | None, now: float) -> float:
    """When it was last heard of, if the quorum knows; else now."""
    return now - max(0.0, following(broker, quorum) or 0.0)


def _with(memory: Memory, event: Event) -> Memory:
    data, at = event.data, event.at
    match event.kind:
        case "thor.broker.missed":
            broker, since = int(data["broker"]), min(float(data["since"]), at)
            if broker in memory.absent:  # two processes looked at once: the earlier sight counts
                return memory
            absence = Absence(since, event.correlation or "")
            return replace(
                memory,
                absent={**memory.absent, broker: absence},
                lost={**memory.lost, broker: (*memory.lost.get(broker, ()), since)[-_LOSSES_KEPT:]},
                returned=_without(memory.returned, broker),
            )
        case "thor.broker.returned" if int(data["broker"]) in memory.absent:
            broker = int(data["broker"])
            absent = _without(memory.absent, broker)
            return replace(memory, absent=absent, returned={**memory.returned, broker: at})
        case "thor.broker.removed":
            broker = int(data["broker"])
            absent = _without(memory.absent, broker)
            return replace(memory, absent=absent, emptied=memory.emptied - {broker})
        case "thor.finding.noted":
            key = (str(data["kind"]), str(data["subject"]))
            return memory if key in memory.noted else replace(memory, noted={**memory.noted, key: at})
        case "thor.finding.cleared":
            return replace(memory, noted=_without(memory.noted, (data["kind"], data["subject"])))
        case "thor.heal.started":
            return _started(memory, data, at)
        case "thor.heal.finished":
            return _finished(memory, data)
        case "thor.heal.failed":
            return _failed(memory, data, at)
        case "thor.heal.held":
            return replace(memory, held=str(data["key"]))
        case "thor.cluster.recovered":
            return replace(memory, held="")
    return memory


def _started(memory: Memory, data: Mapping[str, Any], at: float) -> Memory:
    memory = replace(memory, held="")
    decision, brokers = data["decision"], [int(b) for b in data.get("brokers", ())]
    if decision in ("restart", "replace"):
        absent = dict(memory.absent)
        for b in brokers:
            if b in absent:
                a = absent[b]
                absent[b] = replace(
                    a, restarts=a.restarts + 1, restarted_at=at, replaced=a.replaced or decision == "replace"
                )
        return replace(memory, absent=absent)
    if decision == "reassign":
        # At the start: a broker whose replicas were only partly moved needs filling as well.
        return replace(memory, emptied=memory.emptied | set(brokers))
    return memory


def _finished(memory: Memory, data: Mapping[str, Any]) -> Memory:
    decision, brokers = data["decision"], [int(b) for b in data.get("brokers", ())]
    memory = replace(memory, failed=_without(memory.failed, decision))
    if decision == "resume":
        returned = {b: at for b, at in memory.returned.items() if b not in brokers}
        return replace(memory, emptied=memory.emptied.difference(brokers), returned=returned)
    return memory


def _failed(memory: Memory, data: Mapping[str, Any], at: float) -> Memory:
    decision, brokers = str(data["decision"]), data.get("brokers", ())
    absent = dict(memory.absent)
    if decision != "restart":  # starts of a node are counted separately
        for b in absent.keys() & set(brokers):
            absent[b] = replace(absent[b], failures=absent[b].failures + 1, failed_at=at)
    return replace(memory, absent=absent, failed={**memory.failed, decision: at})


def _without(mapping: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    return {k: v for k, v in mapping.items() if k != key}
