"""The bytes a partition counts for: the measured size, else the mean of its topic, else that of the cluster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from asgard.kafka.model import Partition


def sizes(parts: Sequence[Partition]) -> tuple[list[int], int]:
    """Bytes of a replica of each partition, and how many partitions have no measured size."""
    found = [p.size_bytes or 0 for p in parts]
    unknown = [i for i, p in enumerate(parts) if p.size_bytes is None]
    if not unknown:
        return found, 0
    known: dict[str, list[int]] = defaultdict(list)
    for p in parts:
        if p.size_bytes is not None:
            known[p.topic].append(p.size_bytes)
    means = {topic: sum(s) // len(s) for topic, s in known.items()}
    of_all = [s for group in known.values() for s in group]
    mean = sum(of_all) // len(of_all) if of_all else 0
    for i in unknown:
        found[i] = means.get(parts[i].topic, mean)
    return found, len(unknown)
