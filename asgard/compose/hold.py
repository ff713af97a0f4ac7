"""How a command gets a cluster to change: its lease, its journal, and nothing left over from runs that died."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from asgard.cluster.held import Hold
from asgard.compose import settle
from asgard.core import console, contexts
from asgard.kafka.guarded import guarded
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target

if TYPE_CHECKING:
    from asgard.journal.leases import Priority
    from asgard.journal.store.database import Database


@contextlib.contextmanager
def change(
    target: Target,
    *,
    priority: Priority,
    doing: str,
    confirm: str | None = None,
    healing: bool = False,
    wait_s: float = 0.0,
    control: ControlPlane | None = None,
    journal: Database | None = None,
) -> Iterator[Hold]:
    """Hold a cluster in order to change it; what dead runs left there is settled first, and said.

    `wait_s` is how long to wait in line for whoever is less urgent. A connection and a journal that are open already may be
    handed in as `control` (whose calls take `CALL_DEADLINE_S` at most) and `journal`; they stay open.

    Raises Refused where the context is protected and `confirm` does not name it (`heal: allowed` lets healing through), and
    Busy with who holds a lease. Only healing goes on while a drill breaks things.
    """
    from asgard.journal import leases, operations
    from asgard.journal.store.database import open_journal

    with contextlib.ExitStack() as stack:
        if control is None:
            control = target.connect(deadline_s=settle.CALL_DEADLINE_S)
            stack.callback(control.close)
        cluster_id = control.cluster().cluster_id
        contexts.refuse_protected_cluster(cluster_id, confirm, healing=healing)
        if journal is None:
            journal = stack.enter_context(open_journal())
        lease = stack.enter_context(
            leases.hold(
                journal,
                leases.cluster_change(cluster_id),
                priority=priority,
                doing=doing,
                wait_s=wait_s,
                on_wait=console.say,
            )
        )
        if not healing:
            leases.refuse_if_held(journal, leases.cluster_fault(cluster_id))
        for settled in operations.settle(
            journal, settle.handlers(control), under=f"cluster/{cluster_id}/", held=[lease], priority=priority
        ):
            settle.say_settled(settled)
        checked = guarded(control, lambda: lease.check(settle.CALL_DEADLINE_S))
        yield Hold(cluster_id, target.name, checked, journal, lease)
