"""A site without a cluster: a real journal and lease, and machines that only remember what was done to them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from asgard.journal import leases
from asgard.journal.store.database import open_journal
from asgard.kafka.connection import Connection
from asgard.kafka.model import Broker, ClusterInfo, Node, Partition, Quorum, Topic, Voter
from asgard.kafka.ports import ControlPlane
from asgard.loki.chaos import BlastRadius, ChaosSite


class Machines:
    """`NodeControl` of three nodes; `done` is what was done to them. `refuses`: what raises when it is asked for."""

    def __init__(self) -> None:
        self.states = {1: "running", 2: "running", 3: "running"}
        self.pids = {1: 101, 2: 102, 3: 103}
        self.done: list[str] = []
        self.refuses: dict[str, BaseException] = {}

    def nodes(self) -> list[Node]:
        return [
            Node(i, cast(Any, s), f"r{i}", ("broker", "controller"), self.pids[i] if s != "stopped" else None)
            for i, s in sorted(self.states.items())
        ]

    def _do(self, what: str, node: int, state: str) -> None:
        self.done.append(f"{what} {node}")
        if what in self.refuses:
            raise self.refuses[what]
        self.states[node] = state
        self.pids[node] += 10 if what in ("start", "restart", "replace") else 0

    def start(self, node: int) -> None:
        self._do("start", node, "running")

    def stop(self, node: int) -> None:
        self._do("stop", node, "stopped")

    def kill(self, node: int) -> None:
        self._do("kill", node, "stopped")

    def pause(self, node: int) -> None:
        self._do("pause", node, "paused")

    def resume(self, node: int) -> None:
        self._do("resume", node, "running")

    def restart(self, node: int) -> None:
        self._do("restart", node, "running")

    def replace(self, node: int) -> None:
        self._do("replace", node, "running")


class Cluster:
    """The part of `ControlPlane` that limits look at: three brokers, one partition that all are in sync for."""

    def __init__(self, machines: Machines) -> None:
        self.machines = machines

    def cluster(self) -> ClusterInfo:
        up = {n.id: "up" if n.state == "running" else "fenced" for n in self.machines.nodes()}
        return ClusterInfo("c", tuple(Broker(i, f"r{i}", "", 0, cast(Any, state)) for i, state in up.items()))

    def quorum(self) -> Quorum:
        return Quorum(1, tuple(Voter(i, 0) for i in (1, 2, 3)))

    def topics(self, names: Any = None, *, moves: bool = True) -> dict[str, Topic]:
        return {"orders": Topic("orders", "", False, (Partition("orders", 0, (1, 2, 3), (1, 2, 3), 1),))}


@contextlib.contextmanager
def site(folder: Path, limits: BlastRadius = BlastRadius()) -> Iterator[ChaosSite]:
    """A site. What was done to its machines: `machines(site).done`."""
    there = Machines()
    with (
        open_journal(f"sqlite:///{folder / 'journal.db'}") as journal,
        leases.hold(journal, leases.cluster_fault("c"), priority=leases.Priority.CHANGE, doing="a test") as lease,
    ):
        yield ChaosSite(
            "orders", "c", cast(ControlPlane, Cluster(there)), there, Connection("nowhere:1"), journal, lease,
            random.Random(1), stack="orders", run="chaos-1", limits=limits,
        )  # fmt: skip


def machines(of: ChaosSite) -> Machines:
    """Its machines."""
    return cast(Machines, of.nodes)


def without_machines(of: ChaosSite) -> ChaosSite:
    """The same cluster, whose brokers are not Asgard's."""
    return replace(of, nodes=None)
