"""A storm of leader elections: rotates replica lists again and again, and elects the new first replica.

No data moves: a reassignment to the same replicas in another order completes at once. Clients notice each election.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from asgard.cluster import health
from asgard.cluster.leaders import order
from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import Partition
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite

MOST = 1000


def leader_storm(
    site: ChaosSite, topic: str | None = None, partitions: int = 100, rounds: int = 5, every: float = 1.0
) -> FaultPlan:
    """Give up to `partitions` partitions (of a topic, or of all) another leader, `rounds` times, `every` so many seconds."""
    if not 1 <= partitions <= MOST or rounds < 1 or every < 0:
        raise WrongUsage(f"allowed are 1 to {MOST} partitions, 1 round or more, and 0 s or more between two")
    there = site.control.topics([topic] if topic is not None else None)
    if topic is not None and topic not in there:
        raise WrongUsage(f"there is no topic {topic}")
    able = [p for t in there.values() for p in t.partitions if _whole(p)]
    if not able:
        raise Refused("no partition has all its replicas in sync, and more than one", "asgard thor status shows why.")
    chosen = sorted(site.rng.sample(able, min(partitions, len(able))), key=lambda p: (p.topic, p.partition))
    named = f"{len(chosen)} partitions" if len(chosen) > 1 else f"{chosen[0].topic}-{chosen[0].partition}"

    def do() -> None:
        for turn in range(1, rounds + 1):
            site.may_go_on()
            turned = {(p.topic, p.partition): _turned(p.replicas, turn) for p in chosen}
            order(site.control, turned)
            time.sleep(every if turn < rounds else 0)

    undo = {"orders": [[p.topic, p.partition, list(p.replicas)] for p in chosen]}
    text = f"leaders of {named} changed {rounds} time{'s' if rounds > 1 else ''}"
    return FaultPlan(f"leaders of {named}", text, do, undo, lasts=False)


def _whole(p: Partition) -> bool:
    return len(p.replicas) > 1 and health.recovered(p)


def _turned(replicas: tuple[int, ...], by: int) -> tuple[int, ...]:
    by %= len(replicas)
    return (*replicas[by:], *replicas[:by])


def put_back(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Restore the order of replica lists, and let their first replica lead."""
    orders = {(str(t), int(p)): tuple(int(r) for r in replicas) for t, p, replicas in undo["orders"]}
    changed = order(reach.control(), orders)
    return (
        f"{changed} replica lists have their former order again"
        if changed
        else "every replica list already has its former order"
    )


KINDS = {"leader_storm": FaultKind(leader_storm, put_back)}
