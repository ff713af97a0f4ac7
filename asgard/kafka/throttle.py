"""The configs of Kafka's replication throttle: rates of brokers, and the lists of replicas that a rate applies to.

A rate on broker `""` applies to the whole cluster: unlike a broker's own rate, it can be lifted while that broker is
down. A broker's own rate overrides it.
"""

from __future__ import annotations

RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")
DIRECTORY_RATE = "replica.alter.log.dirs.io.max.bytes.per.second"
"""Rate of copies from one log directory of a broker to another."""
REPLICAS = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")
LONGEST = 32_767
"""Bytes of a config's value at most: a longer one does not fit into KRaft's record of it (KAFKA-17993)."""


def union(old: str | None, wanted: str) -> str:
    """Both lists of throttled replicas; `*` marks all replicas already."""
    if not old:
        return wanted
    return old if old == "*" else ",".join(dict.fromkeys([*old.split(","), *wanted.split(",")]))
