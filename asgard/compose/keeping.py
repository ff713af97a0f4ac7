"""A group's unread data is about to expire: its topics keep their records longer until the group has read them, then as before.

Heimdall's lag says which topics, Thor's plan how much longer. The operation in the journal outlives the command. It is settled once
it is no longer needed: by the recipe's next run, by any command that changes the cluster, or by `asgard recover`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from asgard.cluster import kept, look
from asgard.cluster.kept import Kept
from asgard.cluster.limits import Limits
from asgard.core import events as news
from asgard.core.errors import Busy, Refused, Unreachable
from asgard.core.schema import recipe as schema
from asgard.core.units import format_duration
from asgard.heimdall.lag.model import UNDATED
from asgard.thor import retention
from asgard.thor.recipes.run import Attempt, Done
from asgard.thor.retention import Disks

if TYPE_CHECKING:
    from asgard.cluster.held import HeldCluster
    from asgard.heimdall.lag.model import GroupLag
    from asgard.journal.leases import Lease
    from asgard.journal.operations import Operation
    from asgard.kafka.ports import ControlPlane

CAUGHT_UP = 0.1
"""A group has caught up when its oldest unread record is younger than this fraction of the topic's own retention."""
RAISED, RESTORED = "thor.retention.raised", "thor.retention.restored"
_CONFIGS = (retention.MS, retention.BYTES)
_APART_S = 0.2
_RATES_S = 2.0
_ALL = 1_000_000


def raise_retention(held: HeldCluster, attempt: Attempt, limits: Limits, group: str) -> Done:
    """Keep records longer in each topic where the group would lose unread data within `extra`.

    Raises Refused if there is no room, and Unreachable if what the group has not read can't be measured.
    """
    given = attempt.step.given
    assert isinstance(given, schema.RaiseRetention)
    urgent: dict[str, float] = {}
    lags = _lags(held.control, [group])
    for p in (p for g in lags for p in g.worst):
        if p.loses_data_in_s is not None and p.loses_data_in_s <= given.extra:
            urgent[p.topic] = min(p.loses_data_in_s, urgent.get(p.topic, math.inf))
    before = kept.found(held.journal, held.cluster_id)
    told = _again(held, attempt, before)
    wanted = [t for t in sorted(urgent, key=lambda t: urgent[t]) if t not in before or before[t][1].run != attempt.memory.run]  # fmt: skip
    if not wanted and not told:
        if not lags or lags[0].unmeasured & UNDATED:
            why = lags[0].because if lags else "its coordinator does not answer"
            raise Unreachable(f"whether {group} loses unread data can't be told: {why}")
        return Done("nothing", f"{group} loses no unread data within {format_duration(given.extra)}")
    disks = Disks(look.take(held.control, window_s=_RATES_S), limits)
    _promised(disks, before, held.journal.time())
    refused: list[Refused] = []
    for topic in wanted:
        try:
            told.append(_raise(held, attempt, disks, topic, group, before.get(topic)))
        except Refused as error:
            refused.append(error)
    if refused:
        raise Refused("; ".join([*told, *(error.what for error in refused)]), refused[0].hint)
    return Done("done", f"{'; '.join(told)}; as before once {group} has read them")


def _again(held: HeldCluster, attempt: Attempt, before: dict[str, tuple[Operation, Kept]]) -> list[str]:
    """Set what this run recorded before it was killed; it may already be set."""
    told = []
    for topic, (_, one) in before.items():
        if one.run == attempt.memory.run:
            kept.change(held.control, topic, one.values[-1])
            longer_s = (int(one.values[-1][retention.MS]) - one.was_ms) / 1000
            told.append(f"{topic} keeps its records {format_duration(longer_s)} longer")
            _note(held, topic, one.groups[-1], told[-1])
    return told


def _note(held: HeldCluster, topic: str, group: str, text: str) -> None:
    from asgard.journal import events

    events.record(held.journal, RAISED, topic, {"cluster_id": held.cluster_id, "group": group, "text": text})


def _promised(disks: Disks, before: dict[str, tuple[Operation, Kept]], now: float) -> None:
    """Count what earlier raises will still add to the disks."""
    for topic, (operation, one) in before.items():
        longer_s = (int(one.values[-1][retention.MS]) - one.was_ms) / 1000
        disks.promise(topic, one.was_ms / 1000, max(longer_s - (now - operation.began_at), 0.0))


def _raise(
    held: HeldCluster, attempt: Attempt, disks: Disks, topic: str, group: str, before: tuple[Operation, Kept] | None
) -> str:
    from asgard.journal import operations

    given = attempt.step.given
    assert isinstance(given, schema.RaiseRetention)
    in_force = held.control.effective_topic_configs([topic], _CONFIGS)[topic]
    was_ms = before[1].was_ms if before else int(in_force[retention.MS])
    most_s = given.at_most - (int(in_force[retention.MS]) - was_ms) / 1000
    longer = retention.plan(topic, in_force, disks, given.extra, most_s)
    subject = f"retention of {topic}, raised until {group} has read it"
    if before is None:
        own = held.control.topic_configs([topic]).get(topic, {})
        until = held.journal.time() + given.at_most
        one = Kept(topic, was_ms, {k: own.get(k) for k in longer.values}, (longer.values,), (group,), until, attempt.memory.run)  # fmt: skip
        operations.begin(held.journal, kept.RETENTION, subject, one.undo(held.cluster_id), held.lease)
    else:
        again = before[1].again(longer.values, group, attempt.memory.run)
        operations.amend(held.journal, before[0], again.undo(held.cluster_id), held.lease)
    kept.change(held.control, topic, longer.values)
    text = retention.words(longer)
    _note(held, topic, group, text)
    news.note(text)
    return text


def settle(control: ControlPlane, operation: Operation, lease: Lease) -> str:
    """Put a retention back. Raises Busy while a group would lose unread data, until the operation's time is over."""
    from asgard.journal import events

    one = kept.parse(operation.undo)
    why = needed(control, one)
    if why and lease.journal.time() < one.until:
        raise Busy(why)
    outcome = kept.put_back(control, one) + (f", although {why}: its time is over" if why else "")
    about = {"cluster_id": operation.undo["cluster_id"], "text": outcome, "unread": bool(why)}
    events.record(lease.journal, RESTORED, one.topic, about)
    return outcome


def needed(control: ControlPlane, one: Kept) -> str:
    """Why the topic's own retention would delete unread data; empty if it would not, or if no group is left to read it.

    A group that had already lost records counts only if the retention was raised for it.
    """
    from asgard.heimdall.lag import ask

    if one.topic not in control.topics([one.topic]):
        return ""
    seen = ask.look(control)
    if seen.problems:
        what, why = next(iter(seen.problems.items()))
        return f"whether {one.topic} was read can't be told: {what}: {why}"
    readers = [name for name, topics in seen.committed.items() if one.topic in topics]
    if readers and one.topic in seen.ends and (seen.ends[one.topic] < 0).any():
        return f"whether {one.topic} was read can't be told: a partition has no leader that answers"
    young_s = CAUGHT_UP * one.was_ms / 1000
    for group in _lags(control, readers):
        parts = [p for p in group.worst if p.topic == one.topic]
        if group.name not in one.groups and any(p.expired_unread for p in parts):
            continue
        late = [p for p in parts if p.lag and (p.time_lag_s is None or p.time_lag_s >= young_s)]
        if late:
            age = max((p.time_lag_s or 0.0 for p in late), default=0.0)
            return f"{group.name} has {sum(p.lag for p in late):,} records of {one.topic} unread, the oldest {format_duration(age)} old"
    return ""


def _lags(control: ControlPlane, names: Iterable[str]) -> tuple[GroupLag, ...]:
    from asgard.heimdall.lag import ask

    wanted = list(names)
    return ask.report(control, wanted, apart_s=_APART_S, shown=_ALL).groups if wanted else ()
