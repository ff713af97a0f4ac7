"""What Loki can look at, as functions with plain arguments, for experiments: Loki's own runner calls them, and so can Chaos Toolkit's.

Counts that are 0 in a healthy cluster take `within`: how many seconds they may take to become 0. `topic` is one topic; without
it all count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from asgard.cluster import health
from asgard.core.errors import AsgardError, Interrupted, WrongUsage
from asgard.kafka.model import Partition
from asgard.loki.chaos import session
from asgard.loki.chaos.faults import groups
from asgard.loki.chaos.pulse import WITHIN_S

__all__ = [
    "at_min_isr_partitions",
    "broker_state",
    "brokers_down",
    "brokers_up",
    "can_consume",
    "can_produce",
    "can_produce_and_consume",
    "controller",
    "group_lag",
    "group_members",
    "led_by",
    "node_state",
    "not_led_by_preferred",
    "offline_log_dirs",
    "offline_partitions",
    "reassigning_partitions",
    "snapshot",
    "under_min_isr_partitions",
    "under_replicated_partitions",
    "voters_behind",
]

_POLL_S = 0.25
_BEHIND = 1000


def can_produce(within: float = WITHIN_S) -> bool:
    """Whether a record to each broker's partition is acknowledged by all in-sync replicas within so many seconds."""
    return session.pulse().produce(within)


def can_consume(within: float = WITHIN_S) -> bool:
    """Whether the last acknowledged record of each partition can be read within so many seconds."""
    return session.pulse().consume(within)


def can_produce_and_consume(within: float = WITHIN_S) -> bool:
    """Whether both work within so many seconds."""
    return session.pulse().beat(within).well


def offline_partitions(topic: str | None = None, within: float = 0.0) -> int:
    """Partitions without a leader."""
    return _until_none(within, lambda: sum(map(health.offline, _partitions(topic))))


def under_replicated_partitions(topic: str | None = None, within: float = 0.0) -> int:
    """Partitions with a replica that is not in sync; one that a reassignment is still adding is not missed."""
    return _until_none(within, lambda: sum(map(health.under_replicated, _partitions(topic))))


def under_min_isr_partitions(topic: str | None = None, within: float = 0.0) -> int:
    """Partitions with fewer in-sync replicas than min.insync.replicas: acks=all is refused there."""
    return _until_none(within, lambda: _against_min_isr(topic, health.under_min_isr))


def at_min_isr_partitions(topic: str | None = None, within: float = 0.0) -> int:
    """Under-replicated partitions with as many in-sync replicas as min.insync.replicas: one less, and acks=all is refused."""
    return _until_none(within, lambda: _against_min_isr(topic, health.at_min_isr))


def brokers_up() -> int:
    """Brokers that serve."""
    return sum(b.state == "up" for b in session.site().control.cluster().brokers)


def brokers_down(within: float = 0.0) -> int:
    """Brokers that Kafka knows and that don't serve (fenced)."""
    return _until_none(within, lambda: sum(b.state != "up" for b in session.site().control.cluster().brokers))


def broker_state(broker: int) -> str:
    """`up` or `fenced`, as Kafka sees it; `missing` if it is not registered."""
    return next((b.state for b in session.site().control.cluster().brokers if b.id == broker), "missing")


def node_state(broker: int) -> str:
    """`running`, `paused` or `stopped`, as the machine sees it; `missing` if it is not one of Asgard's here."""
    nodes = session.site().nodes
    return next((n.state for n in nodes.nodes() if n.id == broker), "missing") if nodes is not None else "missing"


def controller() -> int:
    """The active controller's id; -1 if there is none."""
    return session.site().control.quorum().leader


def voters_behind(records: int = _BEHIND, within: float = 0.0) -> int:
    """Controllers that are more than so many records behind the active one."""
    return _until_none(within, lambda: sum(v.lag > records for v in session.site().control.quorum().voters))


def offline_log_dirs(within: float = 0.0) -> int:
    """Log directories that failed, of the brokers that answer."""

    def count() -> int:
        control = session.site().control
        up = [b.id for b in control.cluster().brokers if b.state == "up"]
        return sum(d.offline for dirs in control.log_dirs(up).values() for d in dirs)

    return _until_none(within, count)


def reassigning_partitions(within: float = 0.0) -> int:
    """Partitions whose replicas are moving."""
    return _until_none(within, lambda: len(session.site().control.reassignments()))


def not_led_by_preferred(topic: str | None = None, within: float = 0.0) -> int:
    """Partitions whose leader is not the first of their replicas."""
    return _until_none(within, lambda: sum(not health.led_by_preferred(p) for p in _partitions(topic)))


def led_by(broker: int, topic: str | None = None) -> int:
    """Partitions that a broker leads."""
    return sum(p.leader == broker for p in _partitions(topic))


def group_lag(group: str, topic: str | None = None, within: float = 0.0) -> int:
    """Records that a group has not committed yet, in the partitions where it has committed anything."""

    def lag() -> int:
        control = session.site().control
        read = {k: o for k, o in groups.committed(control, group).items() if topic in (None, k[0])}
        ends = control.offsets(list(read))
        return sum(max(ends[key].end - offset, 0) for key, offset in read.items() if key in ends)

    return _until_none(within, lag)


def group_members(group: str) -> int:
    """Members of a group of the classic protocol."""
    return len(session.site().control.group_members(group))


def snapshot() -> dict[str, Any]:
    """All of it at once, for tolerances with a JSONPath."""
    control = session.site().control
    quorum, partitions = control.quorum(), _partitions(None)
    return {
        "cluster_id": session.site().cluster_id,
        "controller": quorum.leader,
        "brokers": [{"id": b.id, "state": b.state, "rack": b.rack} for b in control.cluster().brokers],
        "voters": [{"id": v.id, "lag": v.lag} for v in quorum.voters],
        "partitions": len(partitions),
        "offline": [f"{p.topic}-{p.partition}" for p in partitions if health.offline(p)],
        "under_replicated": [f"{p.topic}-{p.partition}" for p in partitions if health.under_replicated(p)],
        "reassigning": sum(map(health.moving, partitions)),
    }


def _partitions(topic: str | None) -> list[Partition]:
    found = session.site().control.topics([topic] if topic is not None else None)
    if topic is not None and topic not in found:
        raise WrongUsage(f"there is no topic {topic}")
    return [p for t in found.values() for p in t.partitions]


def _against_min_isr(topic: str | None, counts: Callable[[Partition, int], bool]) -> int:
    key = "min.insync.replicas"
    lacking = [p for p in _partitions(topic) if health.under_replicated(p)]
    configs = session.site().control.effective_topic_configs({p.topic for p in lacking}, [key]) if lacking else {}
    return sum(counts(p, int(configs.get(p.topic, {}).get(key, 1))) for p in lacking)


def _until_none(within_s: float, count: Callable[[], int]) -> int:
    """The count, as soon as it is 0 or time is up. Until then, errors are retried."""
    give_up = time.monotonic() + within_s
    while True:
        try:
            found = count()
        except (Interrupted, WrongUsage):
            raise
        except AsgardError:
            if time.monotonic() >= give_up:
                raise
        else:
            if found == 0 or time.monotonic() >= give_up:
                return found
        session.site().may_go_on()
        time.sleep(_POLL_S)
