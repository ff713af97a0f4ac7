"""A control plane that checks before every write whether its caller may still write.

Kafka has no fences: before each write, a lease holder must check that the lease outlives the call. The check is passed
in, so that this layer does not depend on leases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from asgard.kafka.ports import ControlPlane

WRITES = frozenset(
    {
        "create_topics",
        "delete_topics",
        "create_partitions",
        "alter_configs",
        "upsert_users",
        "delete_users",
        "create_acls",
        "delete_acls",
        "alter_quotas",
        "reassign",
        "move_directories",
        "elect_preferred_leaders",
        "elect_unclean_leaders",
        "raise_features",
        "unregister_broker",
        "remove_members",
        "commit_offsets",
        "delete_offsets",
    }
)


def guarded(control: ControlPlane, check: Callable[[], None]) -> ControlPlane:
    """The same control plane; `check` runs before each of its writes and raises if the caller must stop."""
    return cast(ControlPlane, _Guarded(control, check))


class _Guarded:
    def __init__(self, control: ControlPlane, check: Callable[[], None]) -> None:
        self._control = control
        self._check = check

    def __getattr__(self, name: str) -> Any:
        if name in WRITES:
            self._check()
        return getattr(self._control, name)
