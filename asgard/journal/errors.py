"""What a lease's holder may meet."""

from __future__ import annotations

from asgard.core.errors import Busy


class LeaseLost(Busy):
    """The lease expired or passed to another process: its old holder must change nothing more."""


TAKEN = "another process took it over"


def lease_lost(name: str, why: str) -> LeaseLost:
    """The error of a write that may not be made any more."""
    return LeaseLost(
        f"the lease {name} is no longer ours: {why}",
        "Nothing more was changed. Run the command again: it finds what is unfinished and continues from there.",
    )
