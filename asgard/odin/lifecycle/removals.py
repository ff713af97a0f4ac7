"""Brokers that a plan takes out of a cluster: they must be empty, and that is checked before anything changes."""

from __future__ import annotations

from collections import Counter

from asgard.core.errors import Refused, Unreachable
from asgard.odin.engine.state import State
from asgard.odin.engine.steps import Failure, Result
from asgard.odin.lifecycle.session import Session
from asgard.odin.resources.checks import holds_replicas
from asgard.odin.resources.kinds import BROKER


def refused_removals(result: Result, session: Session, state: State) -> list[Failure]:
    """A failure for each broker of the plan that still holds replicas.

    None if the cluster does not answer: the provider then refuses when it gets there.
    """
    going = {
        int(record["outputs"]["nodeId"]): step.urn
        for step in result.steps
        if step.type == BROKER and step.op == "delete" and (record := state.live.get(step.urn)) is not None
    }
    if not going:
        return []
    try:
        topics = session.control(state).topics()
    except Unreachable:
        return []
    failures = []
    for node, urn in sorted(going.items()):
        held = Counter(p.topic for topic in topics.values() for p in topic.partitions if node in p.replicas)
        if held:
            what, hint = holds_replicas(node, held)
            failures.append(Failure.of(urn, Refused(what, hint)))
    return failures
