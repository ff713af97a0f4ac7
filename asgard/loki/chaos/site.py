"""What fault injection works with: a cluster held for it, and a fault that was injected."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgard.kafka.ports import ControlPlane, NodeControl
from asgard.loki.chaos.limits import BlastRadius, ClusterState

if TYPE_CHECKING:
    from asgard.journal.leases import Lease
    from asgard.journal.operations import Operation
    from asgard.journal.store.database import Database
    from asgard.kafka.connection import Connection

CALL_DEADLINE_S = 10.0
"""Deadline of a call to the cluster under the lease of its faults."""


@dataclass(frozen=True)
class ChaosSite:
    """A cluster that this process may break. `control` checks the lease before each write and raises LeaseLost.

    `nodes` is None if the brokers are not Asgard's to stop; `stack` is the one they belong to. `lease` is that of the cluster's
    faults. `run` ties together this run's entries in the journal. `rng` makes every choice. `may_go_on` raises if the run
    must end: long actions call it between steps. `breaking` is held while something is being broken or put back.
    """

    name: str
    cluster_id: str
    control: ControlPlane
    nodes: NodeControl | None
    connection: Connection
    journal: Database
    lease: Lease
    rng: random.Random
    stack: str | None = None
    run: str = ""
    limits: BlastRadius = field(default_factory=BlastRadius)
    may_go_on: Callable[[], None] = lambda: None
    breaking: threading.RLock = field(default_factory=threading.RLock)


@dataclass(frozen=True)
class Fault:
    """Something that was broken at a time (seconds since 1970). `brokers` are those that don't serve because of it.

    `operation` is its entry in the undo log: while it is open there, any process can put it back.
    """

    action: str
    subject: str
    brokers: tuple[int, ...]
    at: float
    operation: Operation

    def __str__(self) -> str:
        return str(self.operation.undo.get("text") or f"{self.action} {self.subject}")


def state_now(site: ChaosSite) -> ClusterState:
    """The current state: what Kafka and the machines report, the worse of both."""
    brokers = site.control.cluster().brokers
    machines = site.nodes.nodes() if site.nodes is not None else []
    racks = {b.id: b.rack for b in brokers} | {n.id: n.rack for n in machines}
    down = {b.id for b in brokers if b.state != "up"} | {n.id for n in machines if n.state != "running"}
    voters = frozenset(v.id for v in site.control.quorum().voters)
    partitions = [p for t in site.control.topics(moves=False).values() for p in t.partitions]
    return ClusterState(racks, frozenset(down), voters, partitions)
