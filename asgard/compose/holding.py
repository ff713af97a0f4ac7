"""How a command gets a cluster to change or break: its lease, its journal, and cleanup after dead runs."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from asgard.cluster.held import HeldCluster
from asgard.compose import settle
from asgard.core import contexts
from asgard.core import events as news
from asgard.kafka.guarded import guarded
from asgard.kafka.ports import ControlPlane, NodeControl
from asgard.kafka.target import Target, pick

if TYPE_CHECKING:
    from asgard.journal.leases import Priority
    from asgard.journal.store.database import Database
    from asgard.loki.chaos import BlastRadius, ChaosSite


def node_control(target: Target) -> NodeControl | None:
    """What starts and stops the brokers that a command works on; None if they can't be reached from here."""
    from asgard.machines import targets

    return targets.nodes_of(target.context.stack if target.context else None)


@contextlib.contextmanager
def to_change(
    target: Target,
    *,
    priority: Priority,
    doing: str,
    confirm: str | None = None,
    healing: bool = False,
    wait_s: float = 0.0,
    control: ControlPlane | None = None,
    journal: Database | None = None,
) -> Iterator[HeldCluster]:
    """Hold a cluster in order to change it; first settles what dead runs left there, and says so.

    `wait_s` is how long to wait for less urgent holders. An open connection and journal may be passed in as `control` (whose
    calls take at most `CALL_DEADLINE_S`) and `journal`; they stay open.

    Raises Refused if the context is protected and `confirm` does not name it (`heal: allowed` lets healing through), and
    Busy with the holder of a lease. Only healing continues while a drill breaks things.
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
                on_wait=news.note,
            )
        )
        if not healing:
            leases.refuse_if_held(journal, leases.cluster_fault(cluster_id))
        for settled in operations.settle(
            journal, settle.handlers(control), under=f"cluster/{cluster_id}/", held=[lease], priority=priority
        ):
            settle.say_settled(settled)
        checked = guarded(control, lambda: lease.check(settle.CALL_DEADLINE_S))
        yield HeldCluster(cluster_id, target.name, checked, journal, lease)


@contextlib.contextmanager
def to_break(
    target: Target,
    *,
    doing: str,
    seed: int,
    confirm: str | None = None,
    while_healing: bool = False,
    limits: BlastRadius | None = None,
) -> Iterator[ChaosSite]:
    """Hold a cluster in order to break it. First settles what dead runs left there, and says so; puts everything back at the end.

    `while_healing`: for drills, in which Thor may change the cluster meanwhile. Raises Refused if the context is
    protected and `confirm` does not name it, and Busy if someone else breaks or changes the cluster.
    """
    from asgard.journal import leases, operations
    from asgard.journal.store.database import open_journal
    from asgard.loki.chaos import BlastRadius, ChaosSite, put_all_back

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
        site = ChaosSite(
            target.name,
            cluster_id,
            guarded(control, lambda: lease.check(settle.CALL_DEADLINE_S)),
            node_control(target),
            target.connection,
            journal,
            lease,
            random.Random(seed),
            stack=target.context.stack if target.context else None,
            run=f"chaos-{secrets.token_hex(4)}",
            limits=limits or BlastRadius(),
        )
        try:
            yield site
        finally:
            put_all_back(site)


def for_other_runner() -> contextlib.AbstractContextManager[ChaosSite]:
    """The cluster of ASGARD_CONTEXT (else the current context) for Loki's functions under a third-party runner.

    `pyproject.toml` declares it as the entry point `site` of the group `asgard.loki.chaos`.
    """
    picked = pick(os.environ.get("ASGARD_CONTEXT"))
    return to_break(picked, doing="an experiment of another runner", seed=secrets.randbits(32))
