"""Writes to a cluster under leases: each checks them first, and temporary settings go into the undo log before they are made.

The process that holds the leases may have another one do the work: the Pulumi CLI starts the provider itself. Names and
fences are passed in its environment (`ASGARD_LEASES`); before each write the other process checks in the journal that
they are still held.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from asgard.core.errors import WrongUsage
from asgard.kafka.connection import Connection
from asgard.kafka.guarded import guarded
from asgard.kafka.ports import ControlPlane

if TYPE_CHECKING:
    from asgard.journal.leases import Held
    from asgard.journal.store.database import Database

CALL_DEADLINE_S = 10.0
"""Deadline of a call to the cluster that is made under a lease."""
LEASES, SUBJECT = "ASGARD_LEASES", "ASGARD_SUBJECT"


@dataclass
class Writes:
    """What makes a process's writes safe. `subject` names their owner in the undo log: `stack orders`. Without leases
    the process only reads."""

    journal: Database
    subject: str
    leases: list[Held] = field(default_factory=list)

    def check(self) -> None:
        """Raise LeaseLost if this process may no longer write."""
        for lease in self.leases:
            lease.check(CALL_DEADLINE_S)

    def connect(self, connection: Connection) -> ControlPlane:
        """A control plane whose writes check the leases first."""
        from asgard.kafka.admin import connect

        return guarded(connect(connection, deadline_s=CALL_DEADLINE_S), self.check)

    def environment(self) -> dict[str, str]:
        """What another process needs so that its writes use the same leases; empty if this one only reads."""
        if not self.leases:
            return {}
        return {LEASES: " ".join(f"{lease.name}#{lease.fence}" for lease in self.leases), SUBJECT: self.subject}


def from_environment() -> Writes | None:
    """The writes of a process started by one that holds leases; None for a user's own program."""
    text = os.environ.get(LEASES)
    if not text:
        return None
    from asgard.journal.borrowed import Borrowed
    from asgard.journal.store.database import open_journal

    pairs = [entry.rpartition("#") for entry in text.split()]
    if not all(name and fence.isdigit() for name, _, fence in pairs):
        raise WrongUsage(f"{LEASES} is {text!r}; allowed is NAME#FENCE, with spaces between")
    journal = open_journal()
    held: list[Held] = [Borrowed(journal, name, int(fence)) for name, _, fence in pairs]
    return Writes(journal, os.environ.get(SUBJECT, ""), held)
