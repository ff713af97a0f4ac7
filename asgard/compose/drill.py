"""A disaster drill for real: Loki's load and faults, Thor's healing, and the check of every record, in one run.

    order = Order("broker-dies", seed=7)
    lines = preview(plan(target, order), target.name, order.runs)      # of asgard.loki.drill.preview
    series = added_up(list(run(target, order)), target.name, command(target, order))

In any case everything is put back; after kill -9 the next command that changes the cluster does it (`compose/settle.py`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from asgard.cluster import limits
from asgard.cluster.limits import Limits
from asgard.compose import drill_faults, holding, settle
from asgard.core import contexts
from asgard.core import events as news
from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import Partition
from asgard.kafka.ports import ControlPlane
from asgard.kafka.target import Target
from asgard.loki.chaos import BlastRadius
from asgard.loki.drill import scenarios, verdict
from asgard.loki.drill.result import Drill
from asgard.loki.drill.scenarios import DrilledCluster, DrillPlan
from asgard.loki.load import run as runs
from asgard.loki.load import scratch
from asgard.thor.heal import policy as policies
from asgard.thor.heal.policy import Flapping, Policy

RATE_PER_S = 500.0
LOOK_DEADLINE_S = 3.0
"""A hung broker must not hold up a look for as long as it may hold up a change."""
MANY = 1_000_000


@dataclass(frozen=True)
class DrillOrder:
    """What to drill. `policy_file`: Thor heals as this thor.yaml says; else at once, as often as the drill breaks something.

    `allow_data_loss`: a scenario that loses records on purpose may run even if the cluster has topics that could lose some.
    """

    scenario: str
    seed: int
    runs: int = 1
    rate_per_s: float = RATE_PER_S
    policy_file: Path | None = None
    confirm: str | None = None
    allow_data_loss: bool = False


def plan(target: Target, order: DrillOrder) -> DrillPlan:
    """What the first run would do. Raises Refused if the cluster can't be drilled, WrongUsage for an unknown scenario or policy."""
    _healing(order)
    if order.scenario not in scenarios.KINDS:
        raise WrongUsage(f"there is no scenario {order.scenario}", f"There are {', '.join(scenarios.KINDS)}.")
    if holding.node_control(target) is None:
        raise Refused(
            f"Asgard can't stop the brokers of {target.name}: drills break only those of local stacks",
            "Make one with `asgard odin init local-ha` and `asgard odin up`, or `asgard demo --keep`.",
        )
    control = target.connect(deadline_s=runs.CALL_DEADLINE_S)
    try:
        contexts.refuse_protected_cluster(control.cluster().cluster_id, order.confirm)
        return _plan(control, order)
    finally:
        control.close()


def _healing(order: DrillOrder) -> tuple[Policy, Limits]:
    """How Thor heals during the drill."""
    if order.policy_file is None:
        return Policy(grace_s=0, max_dead=MANY, flapping=Flapping(times=MANY)), Limits()
    return policies.read(order.policy_file), limits.read(order.policy_file)


def _plan(control: ControlPlane, order: DrillOrder) -> DrillPlan:
    if scenarios.KINDS[order.scenario].loses and not order.allow_data_loss:
        _refuse_with_data(control)
    brokers = tuple(b for b in control.cluster().brokers if b.state == "up")
    return scenarios.plan(
        order.scenario, order.seed, DrilledCluster(brokers, control.quorum().leader), order.rate_per_s
    )


def _partitions(control: ControlPlane, topics: scratch.WrittenTopics) -> list[Partition]:
    """The scratch topic's partitions."""
    there = control.topics(list(topics.stands_in), moves=False)
    return [p for topic in there.values() for p in topic.partitions]


def _refuse_with_data(control: ControlPlane) -> None:
    """Two brokers fail at a time: a topic that relies on one replica can lose records just like the scratch topic."""
    theirs = sorted(name for name, topic in control.topics(moves=False).items() if not topic.internal)
    if theirs:
        raise Refused(
            f"this scenario loses records on purpose, and other topics of the cluster could lose some too ({_few(theirs)})",
            "Run it on a cluster without valuable data, or add --allow-data-loss.",
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def run(
    target: Target,
    order: DrillOrder,
    *,
    approved: DrillPlan | None = None,
    agree: Callable[[DrillPlan], None] = lambda plan: None,
) -> Iterator[Drill]:
    """One drill after the other, with increasing seeds. Raises Busy if another command breaks, loads or changes the cluster.

    `approved` is the plan of the first run that was agreed to. If the cluster has changed, so that the seed draws another one,
    `agree` is called before anything is broken, and raises if the answer is no.
    """
    runs.check_installed()
    for number in range(order.runs):
        yield _one(target, replace(order, seed=order.seed + number), None if number else approved, agree)


def any_seed() -> int:
    """A seed, if none was given."""
    return secrets.randbelow(100_000)


def command(target: Target, order: DrillOrder) -> str:
    """The command that repeats it."""
    where = f"--context {target.context.name}" if target.context else f"--bootstrap-server {target.name}"
    rate = f" --rate {order.rate_per_s:g}/s" if order.rate_per_s != RATE_PER_S else ""
    many = f" --runs {order.runs}" if order.runs > 1 else ""
    policy = f" --policy {order.policy_file}" if order.policy_file else ""
    loss = " --allow-data-loss" if order.allow_data_loss else ""
    return f"asgard loki drill {order.scenario} --seed {order.seed}{many}{rate}{policy}{loss} {where}"


def _one(
    target: Target,
    order: DrillOrder,
    approved: DrillPlan | None,
    agree: Callable[[DrillPlan], None],
) -> Drill:
    from asgard.journal import events, leases

    policy, within = _healing(order)
    radius = BlastRadius()
    if scenarios.KINDS[order.scenario].loses:
        radius = BlastRadius(brokers=2, in_sync=0, quorum=False)
    doing = f"loki drill {order.scenario} (seed {order.seed})"
    with holding.to_break(
        target, doing=doing, seed=order.seed, confirm=order.confirm, while_healing=True, limits=radius
    ) as site:
        leases.refuse_if_held(site.journal, leases.cluster_change(site.cluster_id))
        looks = target.connect(deadline_s=LOOK_DEADLINE_S)
        try:
            drawn = _plan(looks, order)
            if approved is not None and drawn != approved:
                agree(drawn)
            load = scenarios.load_of(drawn)
            topics = scratch.plan(looks, load, runs.new_run())
            about = {"cluster_id": site.cluster_id, "scenario": order.scenario, "seed": order.seed}
            with runs.begin(target, site.control, load, topics, leftovers=settle.leftovers()) as running:
                events.record(site.journal, "loki.drill.started", target.name, about, correlation=site.run)
                drawn = scenarios.aimed(drawn, _partitions(looks, topics), looks.quorum().leader)
                with (
                    drill_faults.watched(target, policy, within, order.confirm) as sights,
                    drill_faults.breaking(site, drawn, running, looks, sights) as breaker,
                ):
                    for event in running.events():
                        if event["event"] == "progress":
                            news.progress("drill", f"{event['acked']:,}/s acknowledged, {event['read']:,}/s read")
                news.progress("drill", "checking every record")
                result = runs.finish(running, site.control, nodes=runs.disks_of(target))
        finally:
            looks.close()
        drill = verdict.judged(drawn, breaker.struck, result, command(target, replace(order, runs=1)))
        about |= {"passed": drill.passed, "acknowledged": drill.acknowledged, "lost": drill.lost}
        events.record(site.journal, "loki.drill.finished", target.name, about, correlation=site.run)
    return drill
