"""Errors that a lease's holder may get."""

from __future__ import annotations

from asgard.core.errors import Busy


class LeaseLost(Busy):
    """The lease expired or passed to another process: its old holder must not change anything more."""


TAKEN = "another process took it over"


def lease_lost(name: str, why: str) -> LeaseLost:
    """The error for a write that is no longer allowed."""
    return LeaseLost(
        f"the lease {name} is no longer ours: {why}",
        "Nothing more was changed. Run the command again: it finds what is unfinished and continues from there.",
    )
