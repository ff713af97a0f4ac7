"""Current activity on a cluster: active throttles, unfinished operations, held leases. Reads only.

Throttles are Kafka's configs, read in bulk; operations and leases come from this machine's journal, which other
machines may not share.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from asgard.core import process
from asgard.core.errors import AsgardError
from asgard.kafka.ports import ControlPlane
from asgard.kafka.throttle import RATES, REPLICAS

if TYPE_CHECKING:
    from asgard.journal.store.database import Database


@dataclass(frozen=True)
class Throttles:
    """Replication throttles. Rates are bytes per second as in the configs; `topics` have marked replicas."""

    cluster: dict[str, str] = field(default_factory=dict)
    brokers: dict[int, dict[str, str]] = field(default_factory=dict)
    topics: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.cluster or self.brokers or self.topics)


@dataclass(frozen=True)
class Begun:
    """An unfinished operation; `abandoned`: its process is gone. `began` is UTC."""

    id: int
    kind: str
    subject: str
    actor: str
    began: str
    abandoned: bool


@dataclass(frozen=True)
class Held:
    """A lease that is held; `since` is UTC."""

    name: str
    doing: str
    actor: str
    process: str
    since: str


@dataclass(frozen=True)
class Activity:
    """See the module."""

    throttles: Throttles = Throttles()
    operations: tuple[Begun, ...] = ()
    leases: tuple[Held, ...] = ()


def look(
    control: ControlPlane, journal: Database, cluster_id: str, brokers: Collection[int], topics: Collection[str]
) -> Activity:
    """The current activity on the cluster. `brokers` are those that can be asked."""
    from asgard.journal import leases, operations

    under = f"cluster/{cluster_id}/"
    begun = tuple(
        Begun(
            u.operation.id,
            u.operation.kind,
            u.operation.subject,
            u.operation.actor,
            _utc(u.operation.began_at),
            u.abandoned,
        )
        for u in operations.unfinished(journal, under=under)
    )
    now = journal.time()
    held = tuple(
        Held(state.name, state.holder.doing, state.holder.actor, str(state.holder.who), _utc(state.holder.since))
        for state in leases.listed(journal)
        if state.holder and state.name.startswith(under) and not state.is_free(now, process.is_dead)
    )
    return Activity(_throttles(control, brokers, topics), begun, held)


def _throttles(control: ControlPlane, brokers: Collection[int], topics: Collection[str]) -> Throttles:
    def rates(broker: str) -> dict[str, str]:
        try:
            found = control.broker_configs(broker)
        except AsgardError:
            if not broker:
                raise
            return {}  # it went down since it was last seen
        return {key: found[key] for key in RATES if key in found}

    with ThreadPoolExecutor(16, "rates") as pool:
        cluster = pool.submit(rates, "")
        own = dict(zip(brokers, pool.map(rates, map(str, brokers)), strict=True))
        marks = control.effective_topic_configs(topics, REPLICAS)
        marked = sorted(topic for topic, configs in marks.items() if any(configs.values()))
        return Throttles(cluster.result(), {b: r for b, r in own.items() if r}, tuple(marked))


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
