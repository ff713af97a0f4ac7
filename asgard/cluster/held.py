"""What a service gets to work with while it changes a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgard.kafka.ports import ControlPlane

if TYPE_CHECKING:
    from asgard.journal.leases import Held
    from asgard.journal.store.database import Database


@dataclass(frozen=True)
class HeldCluster:
    """A cluster that this process may change. `control` checks the lease before each write and raises LeaseLost.

    `name` is the cluster's name in sentences; `lease` is the one for changes; `service` is the actor in the journal.
    """

    cluster_id: str
    name: str
    control: ControlPlane
    journal: Database
    lease: Held
    service: str = "thor"
