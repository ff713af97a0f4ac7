"""Healing a cluster for real: Thor with the machines of a local stack, the journal, the lease, and the people to notify.

`reach` provides what a healing needs; `once` and `watch` are the two ways to use it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from asgard.cluster.held import HeldCluster
from asgard.cluster.limits import Limits
from asgard.compose import holding, settle
from asgard.core import contexts
from asgard.core.errors import AsgardError
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.thor.heal.policy import Policy

if TYPE_CHECKING:
    from asgard.journal.store.database import Database
    from asgard.thor.heal.notify import Notification
    from asgard.thor.heal.once import HealContext, Turn
    from asgard.thor.heal.situation import Decision

DOING = "thor heal"
PATIENCE_S = 10.0
"""A problem the watcher can't heal may pass by itself, as when controllers elect a leader: people hear of it after this long."""


@dataclass(frozen=True)
class Manner:
    """How a healing deals with people: whom it asks (None: nobody).

    `confirm` names a protected context; `doing` is shown to others who want the cluster meanwhile; `may_go_on` is called while
    replicas move, and raises if the healing should end.
    """

    agree: Callable[[Decision, str], None] | None = None
    confirm: str | None = None
    doing: str = DOING
    may_go_on: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Healing:
    """Which cluster is healed, by which policy and limits, and how it deals with people."""

    target: Target
    policy: Policy
    limits: Limits
    manner: Manner = field(default_factory=Manner)


@contextlib.contextmanager
def reach(
    healing: Healing,
    tell: Callable[[Notification], None],
    journal: Database,
    control: ControlPlane | None = None,
    patience_s: float = 0.0,
) -> Iterator[HealContext]:
    """A connection to the cluster and all that a healing needs. Raises Unreachable, and Refused for a protected context."""
    from asgard.thor.heal.once import HealContext

    target, policy, manner = healing.target, healing.policy, healing.manner
    with contextlib.ExitStack() as stack:
        if control is None:
            control = target.connect(deadline_s=settle.CALL_DEADLINE_S)
            stack.callback(control.close)
        connected = control
        cluster_id = connected.cluster().cluster_id
        if not policy.dry_run:
            contexts.refuse_protected_cluster(cluster_id, manner.confirm, healing=True)

        @contextlib.contextmanager
        def change(decision: Decision, wait_s: float) -> Iterator[HeldCluster]:
            with holding.to_change(
                target,
                priority=decision.priority,
                doing=f"{manner.doing} {target.name} ({decision.what})",
                confirm=manner.confirm,
                healing=decision.heals,
                wait_s=wait_s,
                control=connected,
                journal=journal,
            ) as held:
                yield held

        yield HealContext(
            target.name,
            cluster_id,
            connected,
            journal,
            policy,
            healing.limits,
            holding.node_control(target),
            change,
            manner.agree,
            tell,
            manner.may_go_on,
            patience_s,
        )


def once(healing: Healing, control: ControlPlane | None = None) -> Turn:
    """One turn of healing. Raises Busy if another command changes the cluster, Unreachable, and Refused."""
    from asgard.journal.store.database import open_journal
    from asgard.thor.heal.memory import Memory
    from asgard.thor.heal.notify import Notifier
    from asgard.thor.heal.once import once as turn

    with (
        Notifier(healing.policy.notify) as notifier,
        open_journal() as journal,
        reach(healing, notifier.tell, journal, control) as context,
    ):
        return turn(context, Memory())


def watch(
    healing: Healing,
    *,
    every_s: float,
    over: threading.Event,
    report: Callable[[Turn], None],
    complain: Callable[[AsgardError], None],
) -> None:
    """Heal until `over` is set; see `thor.heal.watch`."""
    from asgard.journal.store.database import open_journal
    from asgard.thor.heal.notify import Notifier
    from asgard.thor.heal.watch import watch as loop
    from asgard.thor.plan import planner  # noqa: F401

    watching = replace(healing, manner=replace(healing.manner, doing="thor watch"))
    # One journal for the whole watch: SQLAlchemy keeps compiled statements for each, until Python's cycle collector runs.
    with Notifier(healing.policy.notify) as notifier, open_journal() as journal:
        loop(
            lambda: reach(watching, notifier.tell, journal, patience_s=PATIENCE_S),
            every_s=every_s,
            over=over,
            report=report,
            complain=complain,
        )
