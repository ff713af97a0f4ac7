"""What partitions hold, for commands that must not leave one out silently."""

from __future__ import annotations

from collections.abc import Collection

from asgard.core.errors import Failed
from asgard.kafka.model import Offsets
from asgard.kafka.ports import ControlPlane


def held(
    control: ControlPlane, partitions: Collection[tuple[str, int]], *, committed: bool = False
) -> dict[tuple[str, int], Offsets]:
    """The offsets that each of these partitions holds; with `committed`, up to the first open transaction.

    Raises Failed if one has no leader.
    """
    found = control.offsets(partitions, committed=committed)
    if lost := set(partitions) - found.keys():
        topic, partition = min(lost)
        raise Failed(
            f"{topic}-{partition} has no leader, so what it holds is unknown", "`asgard thor status` says why."
        )
    return found
