"""A change of min.insync.replicas makes Kafka forget which replicas out of sync may still lead (eligible leader replicas, KIP-966).

They are the only ones that have every acknowledged record where no replica is in sync. Kafka 4.3.1 moreover keeps them in an index of
the controllers when it forgets them so (`replay(ClearElrRecord)` of its ReplicationControlManager): once such a topic is deleted, the
broker named there is not let in again after its next unclean stop.
"""

from __future__ import annotations

from collections.abc import Iterable

from asgard.core.errors import Refused
from asgard.kafka.model import ConfigChange, Topic

MIN_ISR = "min.insync.replicas"


def concerns(change: ConfigChange) -> bool:
    """Whether the change makes Kafka forget any there are."""
    return MIN_ISR in change.set or MIN_ISR in change.unset


def check(topics: Iterable[Topic]) -> None:
    """Raise Refused where one of the topics has any, with the brokers to bring back."""
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
