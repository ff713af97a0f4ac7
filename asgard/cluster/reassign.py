"""Moves of replicas with a throttle: submitted in one go, watched to the end, and everything set for a while put back.

The throttle is the cluster-wide default of `leader/follower.replication.throttled.rate` (broker `""`) with each topic's
`…throttled.replicas`: unlike a per-broker rate it can be lifted while a broker is down. A per-broker rate that an operator
has set wins over it. What was there before is handed to `remember` before anything is set, as plain JSON; `undo` puts
it back from that record alone, in another process, after a kill -9, and twice without harm.

Units: bytes per second for the throttle, seconds for times. Two of these at once would take each other's throttle for an
operator's, so moves that run already are refused: give all moves to one call.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from asgard.core.errors import AsgardError, Busy, Failed, Refused
from asgard.core.units import format_duration
from asgard.kafka import temporary
from asgard.kafka.model import Move, Partition, Topic
from asgard.kafka.ports import ControlPlane
from asgard.kafka.temporary import Key, PutBack, Setting

RATES = ("leader.replication.throttled.rate", "follower.replication.throttled.rate")
REPLICAS = ("leader.replication.throttled.replicas", "follower.replication.throttled.replicas")
FORMAT = "asgard.reassignment/v1"
_SIZES_EVERY_S = 2.0

Record = dict[str, Any]
"""`format`; `moves`: [topic, partition, replicas]; `settings`: those of the throttle, as `temporary.plain` writes them."""


@dataclass(frozen=True)
class Progress:
    """How far the moves are. Bytes are those that new replicas still lack; None where not measured."""

    partitions: int
    partitions_left: int
    bytes_left: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of the moves: done, or why not."""

    done: tuple[Move, ...]
    refused: dict[tuple[str, int], AsgardError]


def execute(
    control: ControlPlane,
    moves: Collection[Move],
    *,
    remember: Callable[[Record], None],
    forget: Callable[[], None],
    throttle_bytes_per_s: float | None = None,
    allow_replication_factor_change: bool = False,
    progress: Callable[[Progress], None] | None = None,
    deadline_s: float = 3600,
    poll_s: float = 0.2,
) -> Outcome:
    """Move replicas and wait until they are where they should be.

    Raises Refused where partitions are moving already, Failed where the moves don't end in time or end differently, and what
    the control plane raises. When it is interrupted while moves run (Ctrl-C, a lost connection), the moves run on under their
    throttle and the record stays: `undo` settles it.
    """
    if not moves:
        return Outcome((), {})
    _refuse_others(control.reassignments())
    topics = control.topics({move.topic for move in moves})
    record = make_record(control, moves, topics, throttle_bytes_per_s)
    remember(record)
    try:
        temporary.write(control, {s.key: s.ours[-1] for s in temporary.parse(record["settings"])})
        errors = control.reassign(moves, allow_replication_factor_change=allow_replication_factor_change)
    except AsgardError:
        # Nothing moves, unless the answer was lost: then the record must stay.
        if not _still_moving(control, record):
            _restore(control, record)
            forget()
        raise
    refused = {key: error for key, error in errors.items() if error is not None}
    accepted = tuple(move for move in moves if (move.topic, move.partition) not in refused)
    _watch(control, accepted, progress, deadline_s, poll_s)
    _restore(control, record)
    forget()
    return Outcome(accepted, refused)


def undo(
    control: ControlPlane, record: Record, *, cancel: bool = False, wait_s: float = 60, poll_s: float = 0.2
) -> str:
    """Settle what a killed `execute` left: wait for its moves (or cancel them), then lift its throttle. Says what it did.

    A setting that is neither what was set nor what was before is somebody else's by now and stays. Raises Busy where the moves
    still run after `wait_s`; the throttle then stays on, so that they don't take all bandwidth.
    """
    if record.get("format") != FORMAT:
        raise Failed(f"this is not a record of a reassignment: format {record.get('format')!r}, not {FORMAT}")
    if cancel:
        running = {(p.topic, p.partition) for p in _still_moving(control, record)}
        _raise_first(control.reassign([Move(topic, partition, ()) for topic, partition in sorted(running)]))
    give_up = time.monotonic() + wait_s
    while moving := _still_moving(control, record):
        if time.monotonic() > give_up:
            raise Busy(
                f"{_named(moving)} still being moved by a run that was cut short; their throttle stays on until they are done",
                "Try again later.",
            )
        time.sleep(poll_s)
    back = _restore(control, record)
    told = (
        f"lifted the throttle of {len(record['moves'])} moves"
        if back.restored
        else "there was no throttle left to lift"
    )
    foreign = ", ".join(map(str, back.foreign))
    return told + (f"; {foreign} was changed by somebody else since and stays" if foreign else "")


def cancel(control: ControlPlane, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], AsgardError | None]:
    """Stop moves: the partitions go back to the replicas they had. One that is not moving is no error."""
    return control.reassign([Move(topic, partition, ()) for topic, partition in partitions])


def make_record(
    control: ControlPlane, moves: Collection[Move], topics: Mapping[str, Topic], throttle_bytes_per_s: float | None
) -> Record:
    """What is about to be set, and what is there now. Sets nothing."""
    settings: list[Setting] = []
    marks = throttled_replicas(moves, topics)
    if throttle_bytes_per_s is not None and marks:
        rate = str(max(1, round(throttle_bytes_per_s)))
        wanted: dict[Key, str] = {("broker", "", key): rate for key in RATES}
        wanted |= {("topic", t, key): m for t, lists in marks.items() for key, m in zip(REPLICAS, lists, strict=True)}
        before = temporary.read(control, wanted)
        settings = [
            Setting(key, (value if key[0] == "broker" else union(before.get(key), value),), before.get(key))
            for key, value in sorted(wanted.items())
        ]
    return {
        "format": FORMAT,
        "moves": [[m.topic, m.partition, list(m.replicas)] for m in moves],
        # A value that is there already is not written again.
        "settings": temporary.plain(s for s in settings if s.ours[0] != s.before),
    }


def throttled_replicas(moves: Collection[Move], topics: Mapping[str, Topic]) -> dict[str, tuple[str, str]]:
    """Topic to its lists for leaders (replicas that are there: they send) and followers (new ones: they fetch).

    As Kafka's own tool marks them. Topics whose moves add no replica need none.
    """
    sending: dict[str, list[str]] = defaultdict(list)
    fetching: dict[str, list[str]] = defaultdict(list)
    there = {(p.topic, p.partition): p for t in topics.values() for p in t.partitions}
    for move in sorted(moves, key=lambda m: (m.topic, m.partition)):
        now = there.get((move.topic, move.partition))
        new = [r for r in move.replicas if now is not None and r not in now.replicas]
        if now is not None and new:
            sending[move.topic] += [f"{move.partition}:{r}" for r in now.replicas]
            fetching[move.topic] += [f"{move.partition}:{r}" for r in new]
    return {topic: (",".join(sending[topic]), ",".join(fetching[topic])) for topic in sending}


def union(old: str | None, wanted: str) -> str:
    """Both lists of throttled replicas; `*` marks all replicas already."""
    if not old:
        return wanted
    return old if old == "*" else ",".join(dict.fromkeys([*old.split(","), *wanted.split(",")]))


def _restore(control: ControlPlane, record: Record) -> PutBack:
    return temporary.put_back(control, temporary.parse(record["settings"]))


def _watch(
    control: ControlPlane,
    moves: Collection[Move],
    progress: Callable[[Progress], None] | None,
    deadline_s: float,
    poll_s: float,
) -> None:
    wanted = {(move.topic, move.partition): move.replicas for move in moves if move.replicas}
    give_up, sized_at, bytes_left = time.monotonic() + deadline_s, float("-inf"), None
    while True:
        moving = [p for p in control.reassignments() if (p.topic, p.partition) in wanted]
        if progress is not None:
            if time.monotonic() - sized_at > _SIZES_EVERY_S:
                bytes_left, sized_at = _bytes_left(control, moving), time.monotonic()
            progress(Progress(len(wanted), len(moving), bytes_left if moving else 0))
        if not moving:
            break
        if time.monotonic() > give_up:
            raise Failed(
                f"{_named(moving)} still being moved after {format_duration(deadline_s)}",
                "They go on under their throttle; the next command that changes the cluster lifts it when they are done.",
            )
        time.sleep(poll_s)
    # The controller lists no move any more; the broker asked for topics may hear of the end a moment later.
    give_up = min(give_up, time.monotonic() + 10)
    while wrong := _elsewhere(control, wanted):
        if time.monotonic() > give_up:
            raise Failed(
                f"{_named(wrong)} not where the move was to bring them",
                "Somebody cancelled the move, or moved them elsewhere. Look at them and try again.",
            )
        time.sleep(poll_s)


def _elsewhere(control: ControlPlane, wanted: Mapping[tuple[str, int], tuple[int, ...]]) -> list[Partition]:
    topics = control.topics({topic for topic, _ in wanted})
    return [
        p
        for t in topics.values()
        for p in t.partitions
        if (p.topic, p.partition) in wanted and p.replicas != wanted[p.topic, p.partition]
    ]


def _bytes_left(control: ControlPlane, moving: Collection[Partition]) -> int:
    """What the new replicas still lack of their leaders' size."""
    sizes = control.replica_sizes({broker for p in moving for broker in (p.leader, *p.adding) if broker >= 0})
    return sum(
        max(0, sizes.get((p.leader, p.topic, p.partition), 0) - sizes.get((new, p.topic, p.partition), 0))
        for p in moving
        for new in p.adding
    )


def _still_moving(control: ControlPlane, record: Record) -> list[Partition]:
    ours = {(topic, partition) for topic, partition, _ in record["moves"]}
    return [p for p in control.reassignments() if (p.topic, p.partition) in ours]


def _refuse_others(moving: Collection[Partition]) -> None:
    if moving:
        raise Refused(
            f"{_named(moving)} being moved already",
            "Wait until they are done, or cancel them (kafka-reassign-partitions.sh --cancel).",
        )


def _named(partitions: Collection[Partition]) -> str:
    names = sorted(f"{p.topic}-{p.partition}" for p in partitions)
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} partition{'s' if len(names) > 1 else ''} ({shown}) {'are' if len(names) > 1 else 'is'}"


def _raise_first(errors: Mapping[Any, AsgardError | None]) -> None:
    for error in errors.values():
        if error is not None:
            raise error
