"""The control plane as one object, and how to get one."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from asgard.core.errors import AsgardError
from asgard.kafka.admin.cluster import ClusterCalls
from asgard.kafka.admin.configs import ConfigCalls
from asgard.kafka.admin.described import DescribedCalls
from asgard.kafka.admin.groups import GroupCalls
from asgard.kafka.admin.placement import PlacementCalls
from asgard.kafka.admin.security import SecurityCalls
from asgard.kafka.admin.wire import Wire
from asgard.kafka.connection import Connection

if TYPE_CHECKING:
    from asgard.kafka.admin.bulk import Bulk


class AdminClient(ClusterCalls, ConfigCalls, SecurityCalls, PlacementCalls, GroupCalls, DescribedCalls):
    """`kafka.ports.ControlPlane` over the network. Safe to use from several threads. A context manager."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def bulk(self) -> Bulk:
        """Monitoring's reads: every partition and every group in few requests, as arrays."""
        from asgard.kafka.admin.bulk import Bulk  # imports numpy, which other commands don't need

        return Bulk(self._wire)

    def close(self) -> None:
        """Close all connections."""
        self._wire.close()

    def __enter__(self) -> AdminClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def connect(connection: Connection, *, deadline_s: float = 30, patience_s: float = 5) -> AdminClient:
    """A control plane for a cluster that is reachable now.

    `deadline_s` is for one request with its retries on other brokers; `patience_s` is how long to continue if no server
    accepts a connection at all. Raises Unreachable (no broker answers, TLS problems) and LoginRefused (wrong password).
    """
    return AdminClient(Wire(connection, deadline_s=deadline_s, patience_s=patience_s))


def check_login(connection: Connection, *, deadline_s: float = 10) -> AsgardError | None:
    """Log in and disconnect: None if the credentials work, else why not."""
    try:
        connect(connection, deadline_s=deadline_s, patience_s=deadline_s).close()
    except AsgardError as error:
        return error
    return None
