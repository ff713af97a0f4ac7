"""Which cluster a command works on: a context by name, or a bootstrap server given by hand.

One function serves every service, with the guard of a context: the cluster id it saw first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asgard.core import contexts
from asgard.core.contexts import Context
from asgard.core.errors import WrongUsage
from asgard.kafka.addresses import check_servers
from asgard.kafka.connection import Connection, read_properties
from asgard.kafka.ports import ControlPlane


@dataclass(frozen=True)
class Target:
    """A cluster to work with; `context` is None if it was named by its servers."""

    connection: Connection
    context: Context | None = None

    @property
    def name(self) -> str:
        """Its name in sentences."""
        return self.context.name if self.context else self.connection.bootstrap_servers

    def connect(self, *, deadline_s: float = 30.0) -> ControlPlane:
        """The control plane of this cluster, after checking that it is the one the context knows."""
        from asgard.kafka.admin import connect

        control = connect(self.connection, deadline_s=deadline_s)
        if self.context is not None:
            contexts.check_cluster_id(self.context, control.cluster().cluster_id)
        return control


def pick(context: str | None, bootstrap_server: str | None = None, command_config: str | None = None) -> Target:
    """The cluster that a command's options name."""
    if bootstrap_server:
        check_servers(bootstrap_server, "--bootstrap-server")
        properties = read_properties(Path(command_config)) if command_config else {}
        return Target(Connection(bootstrap_server, properties))
    if command_config:
        raise WrongUsage("--command-config requires --bootstrap-server")
    return of_context(contexts.load().pick(context))


def of_context(context: Context) -> Target:
    """The cluster of a context."""
    properties = read_properties(Path(context.client_properties)) if context.client_properties else {}
    return Target(Connection(context.bootstrap_servers, properties), context)
