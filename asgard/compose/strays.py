"""What users' own Pulumi programs left set when killed under an older version, which recorded it in files.

`asgard recover` sees them as operations of the journal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asgard.core.errors import AsgardError, Failed
from asgard.odin.provider import moves

if TYPE_CHECKING:
    from asgard.journal.operations import Handler, Operation, Settled
    from asgard.journal.store.database import Database


def found() -> list[Operation]:
    """All of them, as operations without a number."""
    from asgard.journal.leases import cluster_change
    from asgard.journal.operations import Operation

    return [
        Operation(
            0, record["format"], "a Pulumi program", record, cluster_change(file.stem), 0, "?", file.stat().st_mtime
        )
        for file, record in moves.abandoned().items()
    ]


def settle(journal: Database, operation: Operation, handler: Handler | None) -> Settled:
    """Put one of them back under its cluster's lease. Returns the result."""
    from asgard.journal import leases
    from asgard.journal.operations import Settled

    try:
        if handler is None:
            raise Failed(f"this version can't put {operation.kind} back")
        doing = f"settling {operation.kind} of a Pulumi program"
        with leases.hold(journal, operation.lease, priority=leases.Priority.CHANGE, doing=doing) as lease:
            outcome = handler(operation, lease)
            moves.left_behind(operation.lease.split("/")[1]).unlink(missing_ok=True)
    except AsgardError as error:
        return Settled(operation, False, error.what)
    return Settled(operation, True, outcome)
