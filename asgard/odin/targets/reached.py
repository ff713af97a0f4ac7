"""What a target's part of the program returns: how everything in Kafka reaches the cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pulumi

Pack = Callable[[str], tuple[str, str]]
"""Gives the archive of a Kafka version for machines that install it, and its SHA-256."""


@dataclass(frozen=True)
class Reached:
    """`provider`: the inputs of Asgard's provider for this cluster. `ready`: what everything in Kafka waits for, and is
    deleted with; None for a cluster that the stack does not own. `outputs`: what the stack exports."""

    provider: Mapping[str, Any]
    ready: pulumi.Resource | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
