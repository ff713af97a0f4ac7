"""`asgard odin up` with its gate: what Odin makes must stand the load that its stack file names, put on it by Loki."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.compose.settle import leftovers
from asgard.odin.lifecycle import apply
from asgard.odin.lifecycle.options import Options
from asgard.odin.spec.model import StackSpec

if TYPE_CHECKING:
    from asgard.kafka.connection import Connection
    from asgard.kafka.ports import LoadGate
    from asgard.odin.lifecycle.apply import Approve, Outcome


def up(
    spec: StackSpec,
    options: Options,
    approve: Approve,
    *,
    skip_gate: bool = False,
) -> Outcome:
    """Make the cluster what the stack file says, then run its gate where one is due. Raises as `odin.apply.up` and the gate do."""
    left = leftovers()

    def gate(connection: Connection) -> LoadGate:
        from asgard.kafka.target import Target
        from asgard.loki.load.gate import Gate

        return Gate(Target(connection), leftovers=left)

    return apply.up(spec, options, approve, leftovers=left, gatekeeper=None if skip_gate else gate)
