"""Where each record of a replay goes: to its own partition if the counts agree, else by key as Kafka's own clients do.

Records without a key keep their partition's order even if the counts differ: partition modulo count.
"""

from __future__ import annotations

from asgard.kafka.data import Read
from asgard.thor.replay import header
from asgard.thor.replay.filters import Matches
from asgard.thor.replay.model import Route, To
from asgard.thor.replay.plan import ReplayPlan

FILTERED, LOOP = "filtered", "loop"


def replay(plan: ReplayPlan, wanted: Matches | None = None) -> Route:
    """The route of a replay. A record already copied out of the target topic is not brought back there: `loop`."""
    make, cluster = header.maker(plan.id, plan.source_cluster), plan.target_cluster
    known = {r.topic: (r.to, r.partitions == r.to_partitions, r.to_partitions) for r in plan.routes}

    def route(record: Read) -> To | str:
        if wanted is not None and not wanted(record):
            return FILTERED
        to, same, count = known[record.topic]
        for name, _ in record.headers:
            if name == header.HEADER:
                if header.visits(record.headers, cluster, to):
                    return LOOP
                break
        partition = record.partition if same else record.partition % count if record.key is None else -1
        return To(to, partition, [*record.headers, make(record)])

    return route
