"""What a service works with while it changes a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgard.kafka.ports import ControlPlane

if TYPE_CHECKING:
    from asgard.journal.leases import Held
    from asgard.journal.store.database import Database


@dataclass(frozen=True)
class HeldCluster:
    """A cluster that this process may change. `control` looks at the lease before each write and raises LeaseLost.

    `name` is what sentences call the cluster; `lease` is that of its changes; `service` is who changes it, in the journal.
    """

    cluster_id: str
    name: str
    control: ControlPlane
    journal: Database
    lease: Held
    service: str = "thor"
