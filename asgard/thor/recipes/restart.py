"""A recipe's rolling restart: one node at a time, none of them twice, even if the run was killed or handed over
in between.

Before each node, no partition of the whole cluster may be under-replicated; the other conditions are `kafka.rolling`'s. Before
a node is stopped, its process id goes into the journal. A run that continues a killed one can tell from it whether the node was
already restarted, and finds a node that is down because the run died between its stop and its start. That one comes first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from asgard.cluster import rolling
from asgard.core import events as news
from asgard.core.errors import Failed, WrongUsage
from asgard.core.units import format_duration
from asgard.kafka.model import Node
from asgard.kafka.ports import ControlPlane, NodeControl

BEGUN, RESTARTED = "thor.restart.begun", "thor.broker.restarted"
NODE_S = 180.0
"""How long a node may take to be back in all ISRs, and the cluster to recover before the next one."""


@dataclass(frozen=True)
class FormerProcesses:
    """What earlier tries of the step left: the process id of each node just before its restart."""

    pids: dict[int, int | None]

    def over(self, node: Node) -> bool:
        """Whether it was restarted: its process is not the one that was to be stopped."""
        return node.id in self.pids and node.state == "running" and node.pid != self.pids[node.id]


def chosen(
    nodes: Collection[Node], wanted: Collection[int] | str, known: FormerProcesses, controller: int
) -> list[int]:
    """The nodes to restart, in order: one that a killed run left down, then by id, the active controller last."""
    by_id = {n.id: n for n in nodes}
    ids = sorted(by_id) if isinstance(wanted, str) else wanted
    unknown = sorted(set(ids) - set(by_id))
    if unknown:
        raise WrongUsage(
            f"there is no node {unknown[0]} to restart", f"Nodes: {', '.join(map(str, sorted(by_id))) or 'none'}."
        )
    left = [i for i in rolling.order(ids, controller) if not known.over(by_id[i])]
    return sorted(left, key=lambda i: not (i in known.pids and by_id[i].state != "running"))


def restart(
    control: ControlPlane,
    nodes: NodeControl,
    ids: Collection[int],
    *,
    note: Callable[[str, dict[str, object]], None],
    may_go_on: Callable[[], None],
    deadline: float,
) -> None:
    """Restart these nodes in this order. `may_go_on` is called before each and raises if the run must stop there.

    Raises Refused (a node must not be stopped now), Failed (one does not come back, or it timed out).
    """
    for number, node in enumerate(ids, 1):
        may_go_on()
        left_s = min(NODE_S, deadline - time.monotonic())
        if left_s <= 0:
            raise Failed(f"timed out before node {node} was restarted", "Run it again: it continues with that node.")
        rolling.wait_until_whole(control, node, time.monotonic() + left_s)
        pid = next((n.pid for n in nodes.nodes() if n.id == node), None)

        def begin(node: int, pid: int | None = pid) -> None:
            note(BEGUN, {"node": node, "pid": pid})
            nodes.restart(node)

        began = time.monotonic()
        rolling.restart_one(control, nodes, node, deadline_s=left_s, restart=begin)
        took_s = time.monotonic() - began
        note(RESTARTED, {"node": node, "seconds": round(took_s, 1)})
        news.note(f"node {node} is back after {format_duration(took_s)} ({number} of {len(ids)})")
    # One that a killed run had just restarted may still be catching up.
    rolling.wait_until_whole(control, None, time.monotonic() + min(NODE_S, max(1.0, deadline - time.monotonic())))
