"""One run of the monkey: look, choose, record, take. Loki with a local stack's machines, the journal, and the lease of faults."""

from __future__ import annotations

import contextlib
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from asgard.compose import settle
from asgard.compose.holding import node_control
from asgard.core import events
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.loki.monkey import look
from asgard.loki.monkey.choose import Choice, Past, Victim, choose
from asgard.loki.monkey.config import Monkey
from asgard.loki.monkey.health import Health
from asgard.loki.monkey.hours import Hours

DOING = "loki monkey"


@dataclass(frozen=True)
class MonkeyRun:
    """What a run chose with which seed; `taken`: whether the victim was taken down."""

    choice: Choice
    seed: int
    taken: bool


def new_seed() -> int:
    """Small enough to type."""
    return secrets.randbelow(2**32)


def run(
    target: Target,
    monkey: Monkey,
    *,
    seed: int,
    dry_run: bool,
    agree: Callable[[Choice, Victim], None],
    confirm: str | None = None,
) -> MonkeyRun:
    """One run. `agree` is called before a victim is taken, and raises if the answer is no; then nothing is recorded.

    The lease of the cluster's faults is taken only if there is a victim; under it, everything is checked once more.
    A dry run looks at all candidates even outside the hours, and leaves nothing in the journal.

    Raises Busy if the cluster is being changed or broken, Unreachable, Refused (protected context), WrongUsage.
    """
    from asgard.compose import holding
    from asgard.journal.store.database import open_journal
    from asgard.loki import chaos
    from asgard.loki.monkey import act

    with (
        open_journal() as journal,
        contextlib.closing(target.connect(deadline_s=settle.CALL_DEADLINE_S)) as control,
    ):
        cluster_id = control.cluster().cluster_id
        past, now = look.past(journal, monkey.name, cluster_id), journal.time()
        closed = _hours(monkey).closed(now) is not None
        if closed and not dry_run:
            choice = choose(monkey, {}, Health(), past, now, random.Random(seed))
        else:
            choice = _choice(target, control, monkey, past, now, seed)
        if dry_run:
            return MonkeyRun(choice, seed, False)
        if choice.victim is None:
            if not closed:
                look.record(journal, monkey, target.name, cluster_id, choice, seed=seed)
            return MonkeyRun(choice, seed, False)
    agreed = choice.victim
    agree(choice, agreed)
    with holding.to_break(
        target,
        doing=f"{DOING} {monkey.name} on {target.name}",
        seed=seed,
        confirm=confirm,
        limits=chaos.BlastRadius(machines=1),
    ) as site:
        choice = _choice(target, site.control, monkey, past, site.journal.time(), seed)
        why = act.refusal(site, choice.victim) if choice.victim else ""
        if choice.victim and (choice.victim.group, choice.victim.member.id) != (agreed.group, agreed.member.id):
            why = "the members have changed since they were shown"
        if why:
            choice = replace(choice, victim=None, why=f"nothing is stopped: {why}")
        look.record(site.journal, monkey, target.name, cluster_id, choice, seed=seed, run=site.run)
        if choice.victim is None:
            return MonkeyRun(choice, seed, False)
        with events.silence():  # the choice already says it
            act.take(site, choice.victim)
    return MonkeyRun(choice, seed, True)


def _hours(monkey: Monkey) -> Hours:
    return Hours(monkey.hours, monkey.days_off, monkey.timezone)


def _choice(target: Target, control: ControlPlane, monkey: Monkey, past: Past, now: float, seed: int) -> Choice:
    """What the seed chooses for the cluster and all candidates, as they are now."""
    info = control.cluster()
    stack = target.context.stack if target.context else None
    found = look.everybody(monkey, info, node_control(target), stack, target.name)
    return choose(monkey, found, look.cluster_health(control, info, monkey), past, now, random.Random(seed))
