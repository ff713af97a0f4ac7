"""The configs of Kafka's replication throttle: rates of brokers, and the lists of replicas that a rate holds for.

A rate stands on broker `""` for the whole cluster: unlike a broker's own it can be lifted while that broker is down. A broker's
own rate wins over it.
"""

from __future__ import annotations

RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")
DIRECTORY_RATE = "replica.alter.log.dirs.io.max.bytes.per.second"
"""Of copies from one log directory of a broker to another."""
REPLICAS = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")


def union(old: str | None, wanted: str) -> str:
    """Both lists of throttled replicas; `*` marks all replicas already."""
    if not old:
        return wanted
    return old if old == "*" else ",".join(dict.fromkeys([*old.split(","), *wanted.split(",")]))
