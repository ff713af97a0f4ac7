"""The target `local`: brokers are processes of this machine, below the stack's directory."""

from __future__ import annotations

from collections.abc import Sequence

from asgard.core import paths
from asgard.kafka.ports import NodeControl
from asgard.machines.local.control import list_nodes
from asgard.machines.local.nodes import LocalNodes
from asgard.machines.local.rundir import RunDir


class Local:
    """See the module."""

    makes_brokers = True
    installs_kafka = True
    logins_in_kafka = True

    def nodes(self, stack: str) -> NodeControl | None:
        """The processes of the stack's brokers."""
        found = LocalNodes(paths.stack_dir(stack))
        return found if found.nodes() else None

    def disks(self, stack: str) -> Sequence[RunDir]:
        """All of the stack's brokers."""
        return list_nodes(paths.stack_dir(stack) / "nodes")

    def outdated(self, stack: str) -> Sequence[int]:
        """None: `up` restarts processes whose description changed."""
        return ()
