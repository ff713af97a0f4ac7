"""`thor rewind`: records a group's committed offsets, then sets them, and can undo that.

A group with members is refused: Kafka would reject the offsets, or the members would overwrite them. The lease covers only the
group, for seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from asgard.core import contexts
from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.journal import events as journalled
from asgard.journal import leases
from asgard.journal.events import Event, EventFilter
from asgard.journal.store.database import Database
from asgard.kafka.groups import ListedGroup
from asgard.kafka.model import Offsets
from asgard.kafka.ports import ControlPlane
from asgard.thor import offsets
from asgard.thor.rewind.goal import Goal, OffsetChange, TopicPartition, changes

_CALL_S = 10.0
_STARTED, _FINISHED = "thor.rewind.started", "thor.rewind.finished"


@dataclass(frozen=True)
class PreparedRewind:
    """A rewind that is ready to start. `undoes` is the id of the event whose rewind it undoes."""

    group: str
    cluster_id: str
    words: str
    changes: list[OffsetChange]
    undoes: int | None = None
    type: str = "classic"


def offsets_of(control: ControlPlane, group: str) -> dict[TopicPartition, int]:
    """A group's committed offsets."""
    return control.group_offsets([group]).get(group, {})


def prepare(control: ControlPlane, group: str, goal: Goal, topics: Collection[str]) -> PreparedRewind:
    """What would change. `topics` are names or patterns; none: all that the group has offsets for.

    Raises Refused, WrongUsage, and Failed if a partition has no leader.
    """
    listed = inactive(control, group)
    if listed is None and not topics and goal.kind != "offsets":
        raise WrongUsage(f"there is no group {group}", "`asgard heimdall lag` lists groups; a new one needs --topic.")
    committed = offsets_of(control, group) if listed is not None else {}
    about = goal.offsets if goal.kind == "offsets" else committed
    keys = _partitions(control, {topic for topic, _ in about}, topics)
    if goal.kind == "offsets":
        keys = [key for key in keys if key in goal.offsets]
    elif goal.kind == "by" or not topics:
        keys = [key for key in keys if key in committed]
    if not keys:
        raise WrongUsage(f"group {group} has no offsets of these topics", "Name topics that exist with --topic.")
    holds = offsets.held(control, keys)
    at = control.offsets_at(keys, goal.at_ms) if goal.kind == "time" else {}
    made = changes(goal, committed, holds, at)
    return PreparedRewind(
        group, control.cluster().cluster_id, goal.words, made, type=listed.type if listed else "classic"
    )


def prepare_undo(control: ControlPlane, group: str, journal: Database) -> PreparedRewind:
    """The undo of this group's last rewind that wasn't undone yet; without changes if its offsets are as they were.

    Raises Refused and WrongUsage.
    """
    cluster_id = control.cluster().cluster_id
    event = _last(journal, group, cluster_id)
    if event is None:
        raise WrongUsage(f"no rewind of group {group} is left to undo")
    listed = inactive(control, group)
    committed = offsets_of(control, group)
    before: dict[TopicPartition, int | None] = {(topic, p): old for topic, p, old, _ in event.data["changes"]}
    holds = control.offsets(list(before))
    made = [
        OffsetChange(*key, committed.get(key), old, known.start, known.end)
        for key, old in before.items()
        if (known := holds.get(key, Offsets(0, 0))) and committed.get(key) != old
    ]
    words = f"back to before the rewind {event.data['words']}"
    return PreparedRewind(group, cluster_id, words, made, event.id, listed.type if listed else "classic")


def inactive(control: ControlPlane, group: str) -> ListedGroup | None:
    """The group, None if it does not exist. Raises Refused if it has members, or is a share group."""
    listed = control.groups().listed.get(group)
    if listed is None:
        return None
    if listed.type == "share":
        raise Refused(f"{group} is a share group: it has no committed offsets to set")
    if listed.active:
        described, _ = control.describe_groups([listed])
        members = described[group].members if group in described else ()
        who = ", ".join(f"{m.client_id} at {m.host.lstrip('/')}" for m in members[:3]) or "members"
        more = f" and {len(members) - 3} more" if len(members) > 3 else ""
        raise Refused(
            f"group {group} is active ({listed.state}): {who}{more}",
            "Stop its consumers first: they would continue from their own offsets and overwrite these.",
        )
    return listed


def run(control: ControlPlane, prepared: PreparedRewind, journal: Database, confirm: str | None = None) -> None:
    """Record the current offsets, set the new ones, and check them. Raises Refused, Busy and Failed."""
    contexts.refuse_protected_cluster(prepared.cluster_id, confirm)
    group = prepared.group
    name = f"cluster/{prepared.cluster_id}/group/{group}"
    with leases.hold(journal, name, priority=leases.Priority.CHANGE, doing=f"thor rewind {group}") as lease:
        inactive(control, group)
        data = {
            "cluster": prepared.cluster_id,
            "words": prepared.words,
            "undoes": prepared.undoes,
            "changes": [[c.topic, c.partition, c.before, c.after] for c in prepared.changes],
        }
        begun = journalled.record(journal, _STARTED, group, data)
        to_set = {(c.topic, c.partition): c.after for c in prepared.changes if c.after is not None}
        to_delete = [(c.topic, c.partition) for c in prepared.changes if c.after is None]
        lease.check(_CALL_S)
        if to_set:
            control.commit_offsets(group, to_set)
        if to_delete:
            control.delete_offsets(group, to_delete)
        _check(control, group, to_set, to_delete)
        journalled.record(journal, _FINISHED, group, {"cluster": prepared.cluster_id, "began": begun.id})


def _check(
    control: ControlPlane, group: str, to_set: Mapping[TopicPartition, int], to_delete: Collection[TopicPartition]
) -> None:
    """A reset that reports success and does nothing is the worst outcome: check."""
    now = offsets_of(control, group)
    wrong = [key for key, offset in to_set.items() if now.get(key) != offset] + [key for key in to_delete if key in now]
    if wrong:
        topic, partition = min(wrong)
        raise Failed(
            f"{len(wrong)} offsets of group {group} are not what was set, {topic}-{partition} among them: {now.get((topic, partition))}",
            "Did its consumers start meanwhile? Stop them, and run the same command again.",
        )


def _last(journal: Database, group: str, cluster_id: str) -> Event | None:
    """The last rewind that wasn't undone; an undo doesn't count as a rewind. An undo that did not finish undid nothing for sure."""
    found = journalled.read(journal, EventFilter(kind=_STARTED, subject=group))
    found = [event for event in found if event.data["cluster"] == cluster_id]
    finished = {e.data["began"] for e in journalled.read(journal, EventFilter(kind=_FINISHED, subject=group))}
    undone = {event.data["undoes"] for event in found if event.id in finished}
    left = [event for event in found if event.data["undoes"] is None and event.id not in undone]
    return left[-1] if left else None


def _partitions(control: ControlPlane, about: Collection[str], topics: Collection[str]) -> list[TopicPartition]:
    """Partitions of the matching topics with offsets; a topic named without a star is included even without offsets."""
    named = {topic for topic in topics if not set(topic) & set("*?[")}
    wanted = named | {t for t in about if not topics or any(fnmatchcase(t, pattern) for pattern in topics)}
    found = control.topics(wanted)
    if named - found.keys():
        raise WrongUsage(f"there is no topic {min(named - found.keys())}")
    return [(name, p.partition) for name, topic in found.items() for p in topic.partitions]
