"""What a request is likely to take: bytes of storage, and what that costs in a month. An estimate, not a measurement."""

from __future__ import annotations

from asgard.bifrost.teams import Costs, Usage

FOREVER_KEPT_S = 365 * 86400.0
"""How much of a topic that is kept for ever is counted: a year."""


def storage_bytes(throughput: float | None, retention_ms: int | None, replication: int) -> int:
    """Bytes of all replicas once a topic is as full as it gets; 0 if the throughput is not known."""
    if not throughput:
        return 0
    kept_s = FOREVER_KEPT_S if retention_ms is None or retention_ms < 0 else retention_ms / 1000
    return int(throughput * kept_s * replication)


def cost(usage: Usage, prices: Costs) -> float:
    """The cost of a month, in the currency of `bifrost.yaml`."""
    return usage.storage / 2**30 * prices.storage_gib + usage.partitions * prices.partition
