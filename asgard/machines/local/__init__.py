"""Kafka nodes on this machine: KRaft processes that outlive the command that started them.

A node is a run directory (`rundir`), described by a `NodeSpec` (`spec`). The operations on it are in `control`: every
function there may be killed at any instant and called again.
"""

from asgard.machines.local.control import (
    create,
    kill,
    list_nodes,
    pause,
    remove,
    replace,
    restart,
    resume,
    start,
    status,
    stop,
    stop_all,
    update,
    wait_ready,
)
from asgard.machines.local.quorum import wait_voter
from asgard.machines.local.rundir import RunDir
from asgard.machines.local.spec import Credentials, InitialController, NodeSpec, random_uuid
from asgard.machines.local.tcp_ports import free_ports

__all__ = [
    "Credentials",
    "InitialController",
    "NodeSpec",
    "RunDir",
    "create",
    "free_ports",
    "kill",
    "list_nodes",
    "pause",
    "random_uuid",
    "remove",
    "replace",
    "restart",
    "resume",
    "start",
    "status",
    "stop",
    "stop_all",
    "update",
    "wait_ready",
    "wait_voter",
]
