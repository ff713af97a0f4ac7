"""The log directories of a broker: `disks` evens them, `drain BROKER:DIRECTORY` empties one. No replica leaves its broker.

A directory should hold its share of its broker's data, by capacity. One above the tolerance or its limit sheds the excess, one
below draws what it lacks, and nothing else moves. Brokers are handled one after the other; while a batch runs, a directory
holds both what the batch brings and what it takes away.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable
from dataclasses import replace
from math import ceil

from asgard.cluster.directories import LogDirectory
from asgard.cluster.placement import Placement
from asgard.cluster.plan import BATCH_SECONDS, Batch, DirChange, Kind, Plan
from asgard.core.errors import WrongUsage
from asgard.kafka.model import ClusterSnapshot
from asgard.thor.plan.finish import finish
from asgard.thor.plan.place import Failures

_MORE_ROOM = "a higher limit, a larger directory, or `thor plan balance`"
Made = tuple[int, int, int, int]
"""A partition, its broker, and the directories it moves between, all by number."""


def even(placement: Placement, brokers: Collection[int]) -> tuple[list[tuple[Made, str]], int]:
    """Even the directories of these brokers (numbers). Returns what moves and why, and the bytes that must move."""
    made: list[tuple[Made, str]] = []
    bound = 0
    stuck, uneven = Failures("disk limit"), Failures("disk within tolerance", required=False)
    for b in sorted(brokers):
        if why := _closed(placement, b):
            stuck.add(f"broker {placement.ids[b]}", why, "run `thor plan heal`, or bring the directory back")
            continue
        work = _Even(placement, b)
        least = work.lower_bound()
        made += work.run()
        bound += least - work.lower_bound()
        for d, over in work.left():
            why = "no replica of the broker has a size that would help"
            (stuck if over else uneven).add(f"{d.path} of broker {placement.ids[b]}", why, _MORE_ROOM)
    placement.unmet += [*stuck.unmet(), *uneven.unmet()]
    return made, bound


def empty(placement: Placement, wanted: Iterable[tuple[int, int]]) -> tuple[list[tuple[Made, str]], int]:
    """Move everything out of these directories (numbers of broker and directory) into the others of the same broker."""
    made: list[tuple[Made, str]] = []
    bound = 0
    stuck = Failures("drain")
    leaving = set(wanted)
    for b, d in sorted(leaving):
        dirs = placement.dirs.of[b]
        others = [i for i, other in enumerate(dirs) if other.usable and (b, i) not in leaving]
        why_closed = _closed(placement, b)
        for p in sorted((p for p, at in _replicas(placement, b) if at == d), key=lambda p: (-placement.size[p], p)):
            size = placement.size[p]
            bound += size
            fitting = [i for i in others if dirs[i].bytes + size <= dirs[i].cap]
            if why_closed or p in placement.moving or not fitting:
                why = why_closed or "it is being reassigned" if why_closed or p in placement.moving else ""
                why = why or f"no other log directory of broker {placement.ids[b]} has room for it"
                stuck.add(placement.name(p), why, _MORE_ROOM if not fitting else "try again when that is done")
                bound -= size
                continue
            to = min(fitting, key=lambda i: (dirs[i].weight(size), dirs[i].count, i))
            placement.dirs.move(p, b, to, size)
            made.append(((p, b, d, to), f"{dirs[d].path} of broker {placement.ids[b]} is emptied"))
    placement.unmet += stuck.unmet()
    return made, bound


def named(placement: Placement, words: Collection[str]) -> list[tuple[int, int]]:
    """The numbers of broker and directory of each `BROKER:DIRECTORY`. Raises WrongUsage if one does not exist."""
    found = []
    for word in words:
        broker, _, path = word.partition(":")
        b = placement.index.get(int(broker)) if broker.isdecimal() else None
        if b is None:
            raise WrongUsage(f"broker {broker} is not in the snapshot", "Write a log directory as 3:/data/kafka-1.")
        paths = [d.path for d in placement.brokers[b].log_dirs]
        if path not in paths:
            raise WrongUsage(
                f"broker {broker} has no log directory {path!r}",
                f"It has {', '.join(paths) or 'not told which it has'}.",
            )
        if len(paths) < 2:
            raise WrongUsage(
                f"{path} is the only log directory of broker {broker}",
                f"`asgard thor plan drain {broker}` empties the broker.",
            )
        found.append((b, paths.index(path)))
    return found


def plan(
    placement: Placement, kind: Kind, arguments: tuple[str, ...], made: list[tuple[Made, str]], bound: int | None
) -> Plan:
    """The plan of such moves."""
    changes, batches = _batched(placement, made)
    return replace(finish(placement, kind, arguments, bound=bound), dir_changes=changes, batches=batches)


def undone(placement: Placement, changes: Iterable[DirChange]) -> list[tuple[Made, str]]:
    """How to undo moves between directories, for replicas that are still where they were moved to."""
    at = {(part.topic, part.partition): p for p, part in enumerate(placement.parts)}
    made: list[tuple[Made, str]] = []
    stuck = Failures("undo")
    for c in changes:
        p, b = at.get((c.topic, c.partition)), placement.index.get(c.broker)
        there = placement.dirs.at.get((p, b)) if p is not None and b is not None else None
        if p is None or b is None or there is None:
            stuck.add(c.name, "it no longer exists", "nothing: it was deleted, or moved to another broker")
            continue
        dirs = placement.dirs.of[b]
        back = next((i for i, d in enumerate(dirs) if d.path == c.source), None)
        if there == back:
            continue
        if back is None or dirs[back].offline:
            stuck.add(c.name, f"the log directory {c.source} is gone or offline", "bring the directory back")
        elif (capacity := dirs[back].capacity) is not None and dirs[back].used + placement.size[p] > capacity:
            stuck.add(c.name, f"the log directory {c.source} has no room for it", "room in it")
        else:
            placement.dirs.move(p, b, back, placement.size[p])
            made.append(((p, b, there, back), "undoes disks"))
    placement.unmet += stuck.unmet()
    return made


def several(snapshot: ClusterSnapshot) -> list[int]:
    """The brokers that have more than one directory."""
    return sorted(b.id for b in snapshot.brokers if len(b.log_dirs) > 1 and b.state == "up")


def _closed(placement: Placement, b: int) -> str:
    """Why nothing can be moved between the broker's directories."""
    if not placement.up[b] or placement.ids[b] in placement.snapshot.silent:
        return "the broker is not up, or does not answer"
    # Kafka creates no copy in another directory while one is offline.
    return "one of its log directories is offline" if placement.hurt[b] else ""


def _replicas(placement: Placement, b: int) -> list[tuple[int, int]]:
    return [(p, d) for p in placement.on[b] if (d := placement.dirs.at.get((p, b))) is not None]


class _Even:
    """One broker."""

    def __init__(self, placement: Placement, b: int) -> None:
        self.placement = placement
        self.b = b
        self.dirs = placement.dirs.of[b]
        self.part = [i for i, d in enumerate(self.dirs) if d.usable]
        tolerance = placement.limits.tolerance
        by_capacity = all(self.dirs[i].capacity for i in self.part)
        total = sum(self.dirs[i].used for i in self.part)
        whole = sum((self.dirs[i].capacity or 0) if by_capacity else 1 for i in self.part) or 1
        share = [total * ((d.capacity or 0) if by_capacity else 1) / whole for d in self.dirs]
        self.high = [min(s * (1 + tolerance), d.base + d.cap) for s, d in zip(share, self.dirs, strict=True)]
        self.low = [min(s * (1 - tolerance), h) for s, h in zip(share, self.high, strict=True)]
        self.pieces: list[list[tuple[int, int]]] = [[] for _ in self.dirs]
        for p, d in _replicas(placement, b):
            if placement.size[p] and p not in placement.moving and p not in placement.excluded:
                self.pieces[d].append((placement.size[p], p))
        for pieces in self.pieces:
            pieces.sort()

    def above(self, i: int) -> float:
        return self.dirs[i].used - self.high[i]

    def below(self, i: int) -> float:
        return self.low[i] - self.dirs[i].used

    def lower_bound(self) -> int:
        over = sum(max(0.0, self.above(i)) for i in self.part)
        return ceil(max(over, sum(max(0.0, self.below(i)) for i in self.part)))

    def left(self) -> list[tuple[LogDirectory, bool]]:
        """Directories still outside the tolerance, and whether they are over their hard limit."""
        off = [i for i in self.part if self.above(i) > 0 or self.below(i) > 0]
        return [(self.dirs[i], self.dirs[i].bytes > self.dirs[i].cap) for i in off]

    def run(self) -> list[tuple[Made, str]]:
        made: list[tuple[Made, str]] = []
        path = [d.path for d in self.dirs]
        for src in sorted(self.part, key=lambda i: (-self.above(i), i)):
            while (need := self.above(src)) > 0:
                order = sorted((i for i in self.part if i != src), key=lambda i: (self.dirs[i].weight(), i))
                found = next((f for i in order if (f := self._piece(src, i, need))), None)
                if found is None:
                    break
                made.append((self._move(*found), f"{path[src]} holds more than its share"))
        for dst in sorted(self.part, key=lambda i: (-self.below(i), i)):
            while (need := self.below(dst)) > 0:
                order = sorted((i for i in self.part if i != dst), key=lambda i: (-self.dirs[i].weight(), i))
                found = next((f for i in order if (f := self._piece(i, dst, need, keep=True))), None)
                if found is None:
                    break
                made.append((self._move(*found), f"{path[dst]} holds less than its share"))
        return made

    def _piece(self, src: int, dst: int, need: float, keep: bool = False) -> tuple[int, int, int] | None:
        """The replica to move: the largest up to the need, else the smallest above it, if it leaves `dst` within its share."""
        room = self.high[dst] - self.dirs[dst].used
        if keep:
            room = min(room, self.dirs[src].used - self.low[src])
        pieces = self.pieces[src]
        at = bisect_right(pieces, (need, len(self.placement.parts)))
        for size, p in (*pieces[at - 1 : at], *pieces[at : at + 1]):
            if size <= room:
                return p, src, dst
        at = bisect_right(pieces, (min(room, need), len(self.placement.parts)))
        return (pieces[at - 1][1], src, dst) if at else None

    def _move(self, p: int, src: int, dst: int) -> Made:
        entry = (self.placement.size[p], p)
        del self.pieces[src][bisect_left(self.pieces[src], entry)]
        insort(self.pieces[dst], entry)
        self.placement.dirs.move(p, self.b, dst, entry[0])
        return p, self.b, src, dst


def _batched(placement: Placement, made: Iterable[tuple[Made, str]]) -> tuple[tuple[DirChange, ...], tuple[Batch, ...]]:
    """One broker after the other, each batch about a minute at the throttle, and never more in a directory than it may hold."""
    rate = placement.limits.rate_bytes_per_s
    start = placement.dirs.start()
    changes: list[DirChange] = []
    batches: list[Batch] = []
    leaving: list[tuple[int, int, int]] = []
    last, size_of_batch, count = -1, 0, 0

    def close() -> None:
        nonlocal size_of_batch, count
        if count:
            batches.append(Batch(len(batches) + 1, count, size_of_batch, round(size_of_batch / rate, 1)))
        for b, d, size in leaving:
            start[b][d] -= size
        leaving.clear()
        size_of_batch = count = 0

    # A replica that was moved twice goes straight to its final place.
    ends: dict[tuple[int, int], tuple[Made, str]] = {}
    for (p, b, src, dst), why in made:
        first = ends.pop((p, b), None)
        source = first[0][2] if first else src
        if source != dst:
            ends[p, b] = ((p, b, source, dst), why)
    for (p, b, src, dst), why in sorted(ends.values(), key=lambda m: m[0][1]):
        size, part = placement.size[p], placement.parts[p]
        full = start[b][dst] + size > placement.dirs.of[b][dst].cap
        if b != last or full or (size_of_batch and size_of_batch + size > rate * BATCH_SECONDS):
            close()
        last = b
        start[b][dst] += size
        leaving.append((b, src, size))
        size_of_batch, count = size_of_batch + size, count + 1
        dirs = placement.dirs.of[b]
        changes.append(
            DirChange(
                placement.ids[b],
                part.topic,
                part.partition,
                part.replicas,
                dirs[src].path,
                dirs[dst].path,
                size,
                len(batches) + 1,
                why,
            )
        )
    close()
    return tuple(changes), tuple(batches)
