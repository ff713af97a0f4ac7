"""What Thor works with while it changes a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asgard.kafka.ports import ControlPlane

if TYPE_CHECKING:
    from asgard.journal.leases import Lease
    from asgard.journal.store.database import Database


@dataclass(frozen=True)
class HeldCluster:
    """A cluster that this process may change. `control` looks at the lease before each write and raises LeaseLost.

    `name` is what sentences call the cluster; `lease` is that of its changes.
    """

    cluster_id: str
    name: str
    control: ControlPlane
    journal: Database
    lease: Lease
