"""What a lease's holder may meet."""

from __future__ import annotations

from asgard.core.errors import Busy


class LeaseLost(Busy):
    """The lease ran out or passed to somebody else: its old holder must change nothing more."""
