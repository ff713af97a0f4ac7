"""Broker processes of a local stack as members. Their labels are `node` (its id), `rack`, `stack`.

A broker is healthy if its process runs on the machine and Kafka says that it is up.
"""

from __future__ import annotations

from collections.abc import Mapping

from asgard.kafka.model import BrokerState, Node
from asgard.machines.member import Member, Population

LABELS = ("node", "rack", "stack")


def members(nodes: list[Node], states: Mapping[int, BrokerState], stack: str) -> Population:
    """The nodes that are brokers. `states`: broker to its state in Kafka."""
    found = []
    for node in nodes:
        if "broker" not in node.roles:
            continue
        labels = {"node": str(node.id), "stack": stack, **({"rack": node.rack} if node.rack else {})}
        said = states.get(node.id, "missing")
        state = node.state if node.state != "running" or said == "up" else f"running, {said}"
        found.append(Member(str(node.id), "broker", "", labels, state, state == "running", node.rack or ""))
    return Population(tuple(found))
