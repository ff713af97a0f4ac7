"""Local nodes whose description changed, restarted one at a time; and switching a live cluster to TLS, or back.

A cluster goes from one level of TLS to the next (`machines.local.spec.TlsLevel`), each with a rolling restart of all
nodes: first the TLS listeners are opened beside the others, then the nodes use them among themselves, then the others
are closed. Neighbouring levels are compatible, so clients and replication notice no more than a rolling restart.

A node that still runs with an older description has a mark in its directory until its restart: a killed run is resumed
from the descriptions and marks alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from asgard.core.errors import AsgardError
from asgard.kafka.connection import Connection
from asgard.kafka.ports import ControlPlane

if TYPE_CHECKING:
    from asgard.machines.local import NodeSpec, RunDir

_RESTART = "restart"


def mark(directory: RunDir) -> None:
    """Mark the node as needing a restart."""
    (directory.path / _RESTART).touch()


def is_due(directory: RunDir) -> bool:
    """Whether the node still runs with an older description."""
    return (directory.path / _RESTART).exists()


def done(directory: RunDir) -> None:
    """Remove the mark: the node was started with its current description."""
    (directory.path / _RESTART).unlink(missing_ok=True)


def roll(
    connect: Callable[[Connection], ControlPlane],
    directories: Mapping[int, RunDir],
    due: Collection[int],
    outcomes: dict[int, AsgardError | None] | None = None,
) -> None:
    """Restart these nodes, one by one as soon as it is safe; each one that is back is added to `outcomes`."""
    from asgard.cluster import rolling
    from asgard.machines.local.nodes import LocalNodes
    from asgard.machines.local.quorum import cluster_connection

    if not due:
        return
    some = directories[min(due)]
    nodes = LocalNodes(some.path.parent.parent)
    with contextlib.closing(connect(cluster_connection(some))) as control:
        for node in rolling.order(due, control.quorum().leader):
            rolling.restart_one(control, nodes, node)
            done(directories[node])
            if outcomes is not None:
                outcomes[node] = None


def switch(
    connect: Callable[[Connection], ControlPlane], directories: Mapping[int, RunDir], wanted: Mapping[int, NodeSpec]
) -> None:
    """Bring all nodes of the cluster to the level of TLS that is `wanted`. Does nothing if they have it already."""
    from asgard.machines import local as nodes
    from asgard.machines.local.spec import TLS_LEVELS

    goal = next(iter(wanted.values()))
    while True:
        specs = {node: directory.spec() for node, directory in directories.items()}
        if all(spec.tls == goal.tls for spec in specs.values()):
            return
        # Nodes that an earlier run left in the middle of a step: they finish it before any node takes the next one.
        roll(connect, directories, [node for node, directory in directories.items() if is_due(directory)])
        levels = {node: TLS_LEVELS.index(spec.tls) for node, spec in specs.items()}
        end = TLS_LEVELS.index(goal.tls)
        far = max(levels.values(), key=lambda level: abs(level - end))
        following = TLS_LEVELS[far + (1 if end > far else -1)]
        moving = [node for node, level in levels.items() if level == far]
        for node in moving:
            described = wanted.get(node) or replace(specs[node], voters=goal.voters)
            mark(directories[node])
            nodes.update(directories[node], replace(described, tls=following, joins=specs[node].joins))
        roll(connect, directories, moving)
