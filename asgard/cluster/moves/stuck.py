"""Moves of other tools to down brokers: they can't finish, and no other tool ends them.

A cancel restores the replicas from before the move. Each one is in the journal before it is cancelled (`….moves.ended`,
with both replica lists), and throttles that the other tool left for the broker are reported: they belong to that tool.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from asgard.cluster import health
from asgard.cluster.held import HeldCluster
from asgard.cluster.moves import record as records
from asgard.cluster.moves.back import take_back
from asgard.cluster.moves.ledger import left_open
from asgard.cluster.moves.record import Flight
from asgard.journal import events
from asgard.kafka.throttle import REPLICAS

_NAMED = 3


@dataclass(frozen=True)
class Ended:
    """Cancelled moves, and what their tool has set for the down brokers."""

    moves: tuple[Flight, ...] = ()
    marks: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.moves:
            return "no move had to be cancelled"
        names = ", ".join(f.name for f in self.moves[:_NAMED]) + (", …" if len(self.moves) > _NAMED else "")
        count = "1 move" if len(self.moves) == 1 else f"{len(self.moves)} moves"
        told = f"ended {count} of another tool to a broker that is gone ({names})"
        if self.marks:
            told += f"; it left a throttle that only it should remove: {', '.join(self.marks)}"
        return told


def end(held: HeldCluster, gone: Collection[int]) -> Ended:
    """Cancel other tools' moves that add a replica on these brokers. Raises what the control plane raises,
    LeaseLost."""
    control, dead = held.control, frozenset(gone)
    ours = {f.key for o in left_open(held) for f in records.parse(o.undo).flights}
    found = [p for p in control.reassignments() if dead.intersection(p.adding) and (p.topic, p.partition) not in ours]
    if not found:
        return Ended()
    flights = tuple(Flight(p.topic, p.partition, health.expected(p), p.target_replicas) for p in found)
    about: dict[str, object] = {
        "cluster_id": held.cluster_id,
        "brokers": sorted(dead),
        "moves": [[f.topic, f.partition, list(f.before), list(f.after)] for f in flights],
    }
    events.record(held.journal, f"{held.service}.moves.ended", held.name, about)
    take_back(control, flights)
    configs = control.effective_topic_configs({f.topic for f in flights}, REPLICAS)
    marks = [
        f"{key} of topic {topic}"
        for topic, there in sorted(configs.items())
        for key in REPLICAS
        if any(mark.partition(":")[2] in map(str, dead) for mark in there.get(key, "").split(","))
    ]
    return Ended(flights, tuple(marks))
