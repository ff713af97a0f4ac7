"""How a command gets a cluster to break: the lease of its faults, its machines, and nothing left over from runs that died."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Callable, Iterator

from asgard.compose import settle
from asgard.core import console, contexts
from asgard.kafka.guarded import guarded
from asgard.kafka.target import Target
from asgard.loki.chaos import BlastRadius, Site, put_all_back


@contextlib.contextmanager
def hold(
    target: Target,
    *,
    doing: str,
    seed: int,
    confirm: str | None = None,
    while_healing: bool = False,
    limits: BlastRadius = BlastRadius(),
    say: Callable[[str], None] = console.say,
) -> Iterator[Site]:
    """Hold a cluster in order to break it. What dead runs left there is settled first, and said; at the end all is put back.

    `while_healing`: for drills, in which Thor holds the cluster's changes meanwhile. Raises Refused where the context is
    protected and `confirm` does not name it, and Busy where somebody else breaks or changes the cluster.
    """
    from asgard.compose.heal import node_control
    from asgard.journal import leases, operations
    from asgard.journal.store.database import open_journal

    with contextlib.ExitStack() as stack:
        control = target.connect(deadline_s=settle.CALL_DEADLINE_S)
        stack.callback(control.close)
        cluster_id = control.cluster().cluster_id
        contexts.refuse_protected_cluster(cluster_id, confirm)
        journal = stack.enter_context(open_journal())
        fault = leases.cluster_fault(cluster_id)
        lease = stack.enter_context(leases.hold(journal, fault, priority=leases.Priority.CHANGE, doing=doing))
        if not while_healing:
            leases.refuse_if_held(journal, leases.cluster_change(cluster_id))
        for settled in operations.settle(
            journal, settle.handlers(control), under=f"cluster/{cluster_id}/", held=[lease]
        ):
            settle.say_settled(settled)
        site = Site(
            target.name,
            cluster_id,
            guarded(control, lambda: lease.check(settle.CALL_DEADLINE_S)),
            node_control(target),
            target.connection,
            journal,
            lease,
            random.Random(seed),
            say,
            stack=target.context.stack if target.context else None,
            run=f"chaos-{secrets.token_hex(4)}",
            limits=limits,
        )
        try:
            yield site
        finally:
            put_all_back(site)
