"""What a command tells the processes of its load."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

OUTCOME = "outcome.json"
"""Where the child writes its outcome, in the order's directory."""


@dataclass(frozen=True)
class ChildOrder:
    """What the child is to do. `host` and `port` are the master's: to listen on, or to connect to.

    `plan` is what a master tells its workers besides the scenario; a worker has neither. `cluster_id` is that of the cluster
    the servers belong to. `ship`: send the history to a master on another machine.
    """

    role: Literal["alone", "master", "worker"]
    directory: str
    bootstrap_servers: str
    properties: dict[str, str]
    cluster_id: str
    scenario: str | None = None
    plan: dict[str, Any] = field(default_factory=dict)
    workers: int = 1
    host: str = "127.0.0.1"
    port: int = 0
    ship: bool = False
    ready_within_s: float = 60.0
