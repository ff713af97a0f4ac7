"""Whether another tool is working on the cluster. Moves and throttles that are not this execution's own are refused.

Commands that share a journal exclude each other; this check is for the others: Kafka's own tool, another Asgard. A rate
alone, or lists of `*`, is an operator's general throttle: it is recorded and put back. A rate with lists of single
replicas is another tool's throttled move, running or never verified.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from asgard.cluster import health
from asgard.cluster.moves.record import Flight
from asgard.core.errors import AsgardError, Refused
from asgard.kafka.model import Partition
from asgard.kafka.ports import ControlPlane
from asgard.kafka.temporary import Key, Setting
from asgard.kafka.throttle import RATES, REPLICAS


def moves(moving: Iterable[Partition], ours: Iterable[Flight]) -> list[Partition]:
    """Partitions that another tool moves."""
    known = {f.key for f in ours}
    return [p for p in moving if (p.topic, p.partition) not in known]


def refuse_moves(found: Collection[Partition], up: Collection[int]) -> None:
    """Raise Refused if there are any. A move to a down broker is named first: waiting does not help."""
    stuck = {f"{p.topic}-{p.partition}": gone for p in found if (gone := health.stuck_on(p, up))}
    if stuck:
        name = min(stuck)
        others = f" and {len(stuck) - 1} more" if len(stuck) > 1 else ""
        raise Refused(
            f"another tool is moving {name}{others} to broker {stuck[name][0]}, which is gone: the move can't finish",
            "`asgard thor heal` ends it (`foreign_moves` of its policy), or bring the broker back.",
        )
    if found:
        names = sorted(f"{p.topic}-{p.partition}" for p in found)
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        raise Refused(
            f"another tool is moving partitions in this cluster: {shown}",
            "Wait until they are done, or cancel them (kafka-reassign-partitions.sh --cancel).",
        )


def refuse_throttles(control: ControlPlane, brokers: Iterable[int], ours: Iterable[Setting]) -> list[int]:
    """Raise Refused if a throttle of another tool's move is set. Returns the brokers with their own rate, which takes
    precedence."""
    mine = {s.key: s for s in ours}

    def rates(broker: str) -> dict[Key, str]:
        try:
            found = control.broker_configs(broker)
        except AsgardError:
            if broker:
                return {}  # it hangs, or just went down: its settings can't matter here
            raise
        return {("broker", broker, key): found[key] for key in RATES if key in found}

    ids = sorted(brokers)
    with ThreadPoolExecutor(16, "rates") as pool:
        rated = list(pool.map(rates, ["", *map(str, ids)]))
    if any(value not in _own(mine, key) for found in rated for key, value in found.items()):
        for topic, configs in sorted(control.effective_topic_configs(control.topics(), REPLICAS).items()):
            for key in REPLICAS:
                marks = configs.get(key)
                if marks and marks != "*" and marks not in _own(mine, ("topic", topic, key)):
                    raise Refused(
                        f"another tool has set a throttle: {key} of topic {topic} names single replicas",
                        "Let its move finish and remove the throttle (kafka-reassign-partitions.sh --verify), or remove that config.",
                    )
    return [broker for broker, has in zip(ids, rated[1:], strict=True) if has]


def _own(mine: Mapping[Key, Setting], key: Key) -> tuple[str, ...]:
    return mine[key].ours if key in mine else ()
