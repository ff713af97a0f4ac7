"""A change of min.insync.replicas makes Kafka forget which out-of-sync replicas may still lead (eligible leader replicas, KIP-966).

If no replica is in sync, they are the only ones that have every acknowledged record. Kafka 4.3.1 also leaves them in an
index on the controllers when it forgets them this way (`replay(ClearElrRecord)` of its ReplicationControlManager): once
such a topic is deleted, the broker named there can't register again after its next unclean stop.
"""

from __future__ import annotations

from collections.abc import Iterable

from asgard.core.errors import Refused
from asgard.kafka.model import ConfigChange, Topic

MIN_ISR = "min.insync.replicas"


def concerns(change: ConfigChange) -> bool:
    """Whether the change makes Kafka forget any that exist."""
    return MIN_ISR in change.set or MIN_ISR in change.unset


def check(topics: Iterable[Topic]) -> None:
    """Raise Refused if one of the topics has any, with the brokers to bring back."""
    found = {f"{t.name}-{p.partition}": p.elr for t in topics for p in t.partitions if p.elr}
    if not found:
        return
    brokers = sorted({broker for elr in found.values() for broker in elr})
    names = ", ".join(list(found)[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    many = "s" if len(brokers) > 1 else ""
    raise Refused(
        f"{MIN_ISR} can't be changed now: Kafka would forget which replicas out of sync have every record of {names}",
        f"Bring back broker{many} {', '.join(map(str, brokers))} first, until the replicas there are in sync (`asgard thor status`).",
    )
