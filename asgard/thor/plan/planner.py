"""The planners, one function each: a snapshot and limits in, a plan out. The same input gives the same plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from asgard.cluster.health import as_if_ended
from asgard.cluster.limits import Limits
from asgard.cluster.placement import Placement
from asgard.cluster.plan import Plan
from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import ClusterSnapshot
from asgard.thor.plan import balance as balance_goals
from asgard.thor.plan import disks as disk_goals
from asgard.thor.plan import evacuate, given, reshape
from asgard.thor.plan import undo as way_back
from asgard.thor.plan.finish import finish
from asgard.thor.plan.leaders import balance_leaders, name_unbalanced

DEFAULTS = Limits()


def heal(snapshot: ClusterSnapshot, limits: Limits = DEFAULTS) -> Plan:
    """Replace every replica on a broker that is not up, or on an offline log directory.

    Moves to such a broker count as ended: they can't finish, and a healing takes them back first.
    """
    placement = Placement(as_if_ended(snapshot), limits)
    return finish(placement, "heal", bound=evacuate.heal(placement), urgent=True)


def drain(snapshot: ClusterSnapshot, brokers: Collection[int], limits: Limits = DEFAULTS) -> Plan:
    """Empty the brokers. Raises WrongUsage if one is not in the snapshot."""
    _known(snapshot, brokers)
    placement = Placement(snapshot, limits, brokers)
    bound = evacuate.drain(placement)
    return finish(placement, "drain", _named(brokers), bound=bound)


def drain_directories(snapshot: ClusterSnapshot, wanted: Collection[str], limits: Limits = DEFAULTS) -> Plan:
    """Empty log directories, each `BROKER:DIRECTORY`, into the others of their broker. Raises WrongUsage."""
    placement = Placement(snapshot, limits)
    made, bound = disk_goals.empty(placement, disk_goals.named(placement, wanted))
    return disk_goals.plan(placement, "drain", tuple(sorted(set(wanted))), made, bound)


def disks(snapshot: ClusterSnapshot, brokers: Collection[int] = (), limits: Limits = DEFAULTS) -> Plan:
    """Even the log directories of the brokers; if none are named, of all with several. Raises WrongUsage."""
    if brokers:
        _known(snapshot, brokers)
    placement = Placement(snapshot, limits)
    several = disk_goals.several(snapshot)
    if single := sorted(set(brokers) - set(several)):
        raise WrongUsage(
            f"broker {single[0]} has no second log directory", "`asgard thor plan balance` evens brokers instead."
        )
    chosen = sorted(set(brokers)) or several
    made, bound = disk_goals.even(placement, [placement.index[b] for b in chosen])
    return disk_goals.plan(placement, "disks", _named(brokers), made, bound)


def fill(snapshot: ClusterSnapshot, brokers: Collection[int], limits: Limits = DEFAULTS) -> Plan:
    """Give lightly loaded brokers their share of the load. Raises WrongUsage if one does not exist or may get nothing."""
    _known(snapshot, brokers)
    placement = Placement(snapshot, limits)
    new = [placement.index[b] for b in sorted(set(brokers))]
    for b in new:
        if placement.refusal[b]:
            raise WrongUsage(f"broker {placement.ids[b]} can't be filled: it is {placement.refusal[b]}")
    bound = balance_goals.fill(placement, new)
    return finish(placement, "fill", _named(brokers), bound=bound)


def balance(snapshot: ClusterSnapshot, limits: Limits = DEFAULTS) -> Plan:
    """Bring disk, replicas, leaders and their traffic of all brokers within the tolerance."""
    placement = Placement(snapshot, limits)
    return finish(placement, "balance", bound=balance_goals.balance(placement))


def leaders(snapshot: ClusterSnapshot, limits: Limits = DEFAULTS) -> Plan:
    """Spread preferred leaders, by the order of replicas alone; nothing is copied."""
    placement = Placement(snapshot, limits)
    balance_leaders(placement)
    name_unbalanced(placement)
    return finish(placement, "leaders", bound=0)


def set_rf(snapshot: ClusterSnapshot, wanted: Mapping[str, int], limits: Limits = DEFAULTS) -> Plan:
    """Give topics another replication factor. Raises WrongUsage (no such topic, below 1), Refused (below min.insync.replicas)."""
    topics = {p.topic for p in snapshot.partitions}
    for topic, factor in wanted.items():
        if topic not in topics:
            raise WrongUsage(f"topic {topic} is not in the snapshot", "Name an existing topic, as in orders=3.")
        if factor < 1:
            raise WrongUsage(f"a replication factor of {factor} is not possible", "Allowed is 1 or more.")
        facts = snapshot.topics.get(topic)
        if facts and facts.min_isr and factor < facts.min_isr:
            raise Refused(
                f"{topic} with {factor} replicas could not be written to: its min.insync.replicas is {facts.min_isr}",
                "Lower min.insync.replicas of the topic first.",
            )
    placement = Placement(snapshot, limits)
    arguments = tuple(f"{topic}={factor}" for topic, factor in sorted(wanted.items()))
    return finish(placement, "set-rf", arguments, bound=reshape.set_replication(placement, wanted))


def rack_repair(snapshot: ClusterSnapshot, limits: Limits = DEFAULTS) -> Plan:
    """Spread the replicas of each partition over the racks as far as the racks allow."""
    placement = Placement(snapshot, limits)
    return finish(placement, "rack-repair", bound=reshape.repair_racks(placement))


def undo(snapshot: ClusterSnapshot, plan: Plan, limits: Limits = DEFAULTS) -> Plan:
    """The way back of a plan. Raises Refused for a plan of another cluster."""
    if plan.cluster_id != snapshot.cluster_id:
        raise Refused(
            f"the plan is for the cluster {plan.cluster_id}, the snapshot is of {snapshot.cluster_id}",
            "Take a snapshot of the plan's cluster.",
        )
    placement = Placement(snapshot, limits)
    bound = way_back.undo(placement, plan)
    arguments = tuple(dict.fromkeys((plan.kind, *plan.arguments)))
    if plan.dir_changes:
        made = disk_goals.undone(placement, plan.dir_changes)
        back = disk_goals.plan(placement, "undo", arguments, made, None)
        if not plan.changes:
            return back
        return _followed(finish(placement, "undo", arguments, bound=bound, limited=False), back)
    return finish(placement, "undo", arguments, bound=bound, limited=False)


def reassign(
    snapshot: ClusterSnapshot, wanted: Collection[given.WantedReplicas], limits: Limits = DEFAULTS, source: str = ""
) -> Plan:
    """What another tool's reassignment, in the file `source`, asks for, within the limits."""
    placement = Placement(snapshot, limits)
    within, bound = given.reassign(placement, wanted)
    arguments = (source,) if source else ()
    first = finish(placement, "reassign", arguments, bound=bound)
    return _followed(first, disk_goals.plan(placement, "reassign", arguments, within, None)) if within else first


def _followed(first: Plan, then: Plan) -> Plan:
    """A plan of moves between brokers, followed by moves between directories."""
    later = tuple(replace(c, batch=c.batch + len(first.batches)) for c in then.dir_changes)
    batches = tuple(replace(b, number=b.number + len(first.batches)) for b in then.batches)
    return replace(first, dir_changes=later, batches=(*first.batches, *batches), lower_bound_bytes=None)


def _known(snapshot: ClusterSnapshot, brokers: Collection[int]) -> None:
    known = {b.id for b in snapshot.brokers}
    unknown = sorted(set(brokers) - known)
    if unknown:
        listed = ", ".join(map(str, sorted(known)[:20])) + (", …" if len(known) > 20 else "")
        raise WrongUsage(f"broker {unknown[0]} is not in the snapshot", f"Its brokers are {listed}.")
    if not brokers:
        raise WrongUsage("no broker was named", "Name one or more broker ids.")


def _named(brokers: Collection[int]) -> tuple[str, ...]:
    return tuple(str(b) for b in sorted(set(brokers)))
