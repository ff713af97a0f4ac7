"""New machines for the nodes whose description changed: another instance type, image, heap, Kafka version or certificate.

On AWS a node's description is its launch template, and an Auto Scaling group of one does not replace its instance for a
new version of it. This module does, one node at a time: first no partition may be under-replicated; then a controlled
shutdown, the new machine with the node's own volume and address, and a wait until it is in sync again. AWS says which
nodes still need it, so the next run resumes an interrupted one, starting with the node that it left down. The feature
levels of a new Kafka version are raised once every node runs it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from asgard.core import events
from asgard.core.errors import Failed
from asgard.core.units import format_duration
from asgard.machines import targets
from asgard.odin.engine.steps import Step
from asgard.odin.resources.checks import release_of
from asgard.odin.resources.kinds import READY
from asgard.odin.spec.model import StackSpec

if TYPE_CHECKING:
    from asgard.kafka.model import Node
    from asgard.kafka.ports import ControlPlane, NodeControl
    from asgard.odin.lifecycle.session import Session

NODE_S = 1800.0
"""How long a node may take: an instance boots, then copies everything its volume missed meanwhile."""
LEVELS_DUE = "levels_due"
"""In the state's own data: once every node runs the stack's version, raise feature levels to it."""


def outdated(spec: StackSpec) -> set[int]:
    """The nodes whose machine is outdated now. Asks AWS, if the stack has instances."""
    return set(targets.of(spec.target).outdated(spec.name))


def sentence(nodes: Collection[int]) -> str:
    """What a preview says about them."""
    listed = ", ".join(map(str, sorted(nodes)))
    many = len(nodes) > 1
    return f"{'nodes' if many else 'node'} {listed} {'get' if many else 'gets'} a new machine{', one at a time' if many else ''}; volume and address stay"


def raises_levels(steps: Iterable[Step]) -> bool:
    """Whether a plan brings a release whose feature levels are raised once the nodes run it."""
    return any(
        step.type == READY
        and step.op == "update"
        and (step.new or {}).get("raisesLevels") is False
        and release_of(str((step.old or {}).get("version"))) != release_of(str((step.new or {}).get("version")))
        for step in steps
    )


def roll(session: Session, spec: StackSpec) -> list[int]:
    """Replace the machines of the nodes that need it; which they were. Raises what `cluster.rolling.restart_one`
    raises."""
    from asgard.cluster import rolling
    from asgard.journal import events as journal

    nodes = targets.of(spec.target).nodes(spec.name)
    due = outdated(spec)
    state = session.store.load()
    levels_due = LEVELS_DUE in state.meta
    if nodes is None or not (due or levels_due):
        return []
    control = session.control(state)
    ordered = order(due, nodes.nodes(), control)
    for number, node in enumerate(ordered, 1):
        session.writes.check()
        began = time.monotonic()
        rolling.wait_until_whole(control, node, began + NODE_S)
        events.step(f"node {node} gets a new machine ({number} of {len(ordered)})")
        rolling.restart_one(
            control, nodes, node, deadline_s=NODE_S, poll_s=1.0, restart=lambda n: _replace(control, nodes, n)
        )
        took_s = time.monotonic() - began
        journal.record(session.journal, "odin.node.replaced", spec.name, {"node": node, "seconds": round(took_s, 1)})
        events.note(f"node {node} is back on a new machine after {format_duration(took_s)}")
    if ordered:
        rolling.wait_until_whole(control, None, time.monotonic() + NODE_S)
    if left := outdated(spec):
        raise Failed(
            f"node {', '.join(map(str, sorted(left)))} has an old machine still", "Run `asgard odin up` again."
        )
    if levels_due and spec.kafka.version is not None:
        _raise_levels(session, control, spec.kafka.version)
    return ordered


def order(due: Collection[int], nodes: Iterable[Node], control: ControlPlane) -> list[int]:
    """A node that an earlier run left down comes first, then by id, the active controller last."""
    from asgard.cluster import rolling

    up = {broker.id for broker in control.cluster().brokers if broker.state == "up"}
    down = {n.id for n in nodes if n.state != "running" or ("broker" in n.roles and n.id not in up)}
    ordered = rolling.order(due, control.quorum().leader)
    return sorted(ordered, key=lambda node: node not in down)


def _replace(control: ControlPlane, nodes: NodeControl, node: int) -> None:
    """A controlled shutdown of a broker that serves, so that its leaders move first; then replace the machine."""
    if any(broker.id == node and broker.state == "up" for broker in control.cluster().brokers):
        nodes.stop(node)
    nodes.replace(node)


def _raise_levels(session: Session, control: ControlPlane, version: str) -> None:
    from asgard.machines.local.features import levels_of

    raised = control.raise_features(levels_of(version))
    if raised:
        events.note(f"feature levels are raised to those of Kafka {version}: {', '.join(sorted(raised))}")
    state = session.store.load()
    del state.meta[LEVELS_DUE]
    session.store.save(state)
