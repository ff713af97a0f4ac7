"""Consumer groups that lose their members, or are rewound to records that they have read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.kafka.ports import ControlPlane
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite

_TRIES = 5


def kill_consumers(site: ChaosSite, group: str) -> FaultPlan:
    """Remove all members of a group; those that are alive rejoin by themselves."""
    members = site.control.group_members(group)
    if not members:
        raise Refused(
            f"group {group} has no members that can be removed",
            "Members that use the new consumer protocol (KIP-848) can only leave by themselves.",
        )

    def do() -> None:
        site.control.remove_members(group)

    text = f"{len(members)} member{'s' if len(members) > 1 else ''} of group {group} removed"
    return FaultPlan(f"group {group}", text, do, {"group": group}, lasts=False)


def nothing_left(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Members rejoin by themselves."""
    return "its members join again by themselves"


def rewind_group(site: ChaosSite, group: str, topic: str | None = None, records: int | None = None) -> FaultPlan:
    """Rewind a group's committed offsets: by `records` in each partition, or to the first record that is there.

    Its members are removed first, because Kafka lets no other client commit for a group with members.
    """
    if records is not None and records < 1:
        raise WrongUsage(f"records is {records}", "Allowed is 1 or more; without it, all of them.")
    before = {key: offset for key, offset in committed(site.control, group).items() if topic in (None, key[0])}
    if not before:
        raise WrongUsage(f"group {group} has committed nothing" + (f" in {topic}" if topic else ""))
    first = {key: offsets.start for key, offsets in site.control.offsets(list(before)).items()}
    back = {
        key: max(first[key], offset - records if records is not None else 0)
        for key, offset in before.items()
        if key in first
    }
    back = {key: offset for key, offset in back.items() if offset < before[key]}
    if not back:
        raise Refused(f"group {group} is at the first record everywhere: there is nothing to go back to")

    def do() -> None:
        commit(site.control, group, back)

    undo = {"group": group, "offsets": [[*key, before[key], offset] for key, offset in sorted(back.items())]}
    text = (
        f"group {group} sent back by {sum(before[key] - back[key] for key in back)} records in {len(back)} partitions"
    )
    return FaultPlan(f"group {group}", text, do, undo)


def committed(control: ControlPlane, group: str) -> dict[tuple[str, int], int]:
    """A group's committed offsets; empty if it has none. Raises Unreachable if its coordinator is down."""
    control.group_members(group)  # asks the coordinator; `group_offsets` leaves out groups of one that is down
    return control.group_offsets([group]).get(group, {})


def commit(control: ControlPlane, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
    """Commit for a group right after its members were removed; they may rejoin first, so it retries."""
    for turn in range(_TRIES):
        control.remove_members(group)
        try:
            return control.commit_offsets(group, offsets)
        except Failed:
            if turn == _TRIES - 1:
                raise
    return None


def put_back(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Restore committed offsets that are still where they were set. If the group has read on, leave them.

    Raises Unreachable if its coordinator is down.
    """
    control, group = reach.control(), str(undo["group"])
    now = committed(control, group)
    rows = [((str(t), int(p)), int(before), int(ours)) for t, p, before, ours in undo["offsets"]]
    back = {key: before for key, before, ours in rows if now.get(key) == ours}
    if not back:
        return f"group {group} has already read on"
    commit(control, group, back)
    return f"group {group} is back at its former offsets in {len(back)} partitions"


KINDS = {"kill_consumers": FaultKind(kill_consumers, nothing_left), "rewind_group": FaultKind(rewind_group, put_back)}
