"""A reassignment that Kafka's own tools or others wrote (`{"version": 1, "partitions": […]}`), taken as a plan.

It is carried out as far as the hard limits allow, in batches that keep to them at every moment; what they forbid is named.
A directory it names is used, even for a replica that stays; `any` is the planner's choice. Racks are up to the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from asgard.cluster.placement import Placement
from asgard.thor.plan.disks import Made
from asgard.thor.plan.place import Failures

_WHY = "the file asks for it"


@dataclass(frozen=True)
class WantedReplicas:
    """The replicas that a partition should have, and the directory of each (`""`: any; empty: any for all)."""

    topic: str
    partition: int
    replicas: tuple[int, ...]
    log_dirs: tuple[str, ...] = ()


def parse(root: Mapping[str, Any]) -> tuple[WantedReplicas, ...]:
    """From the JSON. Raises ValueError with what is wrong."""
    if root.get("version") != 1:
        raise ValueError(f"version is {root.get('version')!r}; allowed is 1")
    rows = root.get("partitions")
    if not isinstance(rows, list) or not rows:
        raise ValueError("partitions is empty or not a list; allowed is a list of topic, partition and replicas")
    found = [_wanted(row, f"partitions[{i}]") for i, row in enumerate(rows)]
    seen: set[tuple[str, int]] = set()
    for w in found:
        if (w.topic, w.partition) in seen:
            raise ValueError(f"{w.topic}-{w.partition} is in it more than once; allowed is once")
        seen.add((w.topic, w.partition))
    return tuple(found)


def _wanted(row: Any, at: str) -> WantedReplicas:
    def whole(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0

    if not isinstance(row, dict) or not isinstance(row.get("topic"), str) or not whole(row.get("partition")):
        raise ValueError(
            f"{at} lacks a topic or a partition; allowed is {{topic: orders, partition: 3, replicas: [1, 2]}}"
        )
    replicas, dirs = row.get("replicas"), row.get("log_dirs") or []
    if not isinstance(replicas, list) or not replicas or not all(map(whole, replicas)):
        raise ValueError(f"{at}.replicas is {replicas!r}; allowed is a list of broker ids")
    if len(set(replicas)) != len(replicas):
        raise ValueError(f"{at}.replicas names a broker more than once")
    if not isinstance(dirs, list) or not all(isinstance(d, str) for d in dirs) or len(dirs) not in (0, len(replicas)):
        raise ValueError(f"{at}.log_dirs is {dirs!r}; allowed is a directory, or `any`, for each replica")
    return WantedReplicas(row["topic"], row["partition"], tuple(replicas), tuple("" if d == "any" else d for d in dirs))


def reassign(placement: Placement, wanted: Iterable[WantedReplicas]) -> tuple[list[tuple[Made, str]], int]:
    """Bring the partitions there. Returns the moves between directories of one broker, and the bytes that must move."""
    stuck = Failures("reassign")
    at = {(part.topic, part.partition): p for p, part in enumerate(placement.parts)}
    chosen: list[tuple[int, WantedReplicas, list[int]]] = []
    for w in wanted:
        p = at.get((w.topic, w.partition))
        name = f"{w.topic}-{w.partition}"
        unknown = next((r for r in w.replicas if r not in placement.index), None)
        if p is None:
            stuck.add(name, "there is no such partition", "use another file, or create the topic")
        elif unknown is not None:
            stuck.add(name, f"broker {unknown} is not in the cluster", "bring the broker back")
        elif p in placement.offline and {*w.replicas} - {*placement.parts[p].target_replicas}:
            stuck.add(name, "it is offline: no replica can be copied", "bring its leader back")
        else:
            chosen.append((p, w, [placement.index[r] for r in w.replicas]))
    # What leaves makes room first: the batches make sure that this holds while they run.
    for p, _, goal in chosen:
        for src in [b for b in placement.reps[p] if b not in goal]:
            placement.discard(p, src, _WHY)
    within: list[tuple[Made, str]] = []
    bound = 0
    for p, w, goal in chosen:
        why = _obstacle(placement, p, w, goal)
        if why:
            stuck.add(placement.name(p), why, "room there, a higher limit, or another file")
            placement.revert(p)
            continue
        for b, path in zip(goal, w.log_dirs or ("",) * len(goal), strict=True):
            if b in placement.reps[p]:
                within += _inside(placement, p, b, path)
                continue
            placement.dirs.send_home(p, b, path)
            placement.add(p, b, _WHY)
            bound += placement.size[p]
        placement.reps[p] = list(goal)
        if placement.lead[p] != goal[0] and not placement.lost(p, goal[0]):
            placement.set_lead(p, goal[0])
    placement.unmet += stuck.unmet()
    return within, bound


def _obstacle(placement: Placement, p: int, w: WantedReplicas, goal: list[int]) -> str:
    """Why the partition can't be brought there; empty if it can."""
    for b, path in zip(goal, w.log_dirs or ("",) * len(goal), strict=True):
        broker, size = placement.ids[b], placement.size[p]
        there = next((d for d in placement.dirs.of.get(b, ()) if d.path == path), None)
        if path and path not in {d.path for d in placement.brokers[b].log_dirs}:
            return f"broker {broker} has no log directory {path}"
        stays = b in placement.reps[p] or b in placement.before[p]
        if stays and not (there and placement.dirs.path(p, b) not in ("", path)):
            continue
        if not stays and (why := placement.why_not(p, b)):
            return f"broker {broker} can't take it: {why}"
        if there is not None and (not there.usable or there.bytes + size > there.cap):
            return f"the log directory {path} of broker {broker} has no room for it within its limit"
    return ""


def _inside(placement: Placement, p: int, b: int, path: str) -> list[tuple[Made, str]]:
    """The move of a replica that stays on its broker to the directory named for it."""
    src = placement.dirs.at.get((p, b))
    dst = next((i for i, d in enumerate(placement.dirs.of.get(b, ())) if d.path == path), None)
    if src is None or dst is None or src == dst:
        return []
    placement.dirs.move(p, b, dst, placement.size[p])
    return [((p, b, src, dst), _WHY)]
