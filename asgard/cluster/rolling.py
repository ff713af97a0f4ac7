"""Restarts many nodes, one at a time, so that the cluster stays available and no partition accidentally depends on its last replica.

Before each restart all other replicas of the partitions it holds must be in sync, and the other controllers a majority:
this keeps min.insync.replicas. After it: the node is registered and unfenced, in sync for every replica it holds, and
caught up in the quorum. The active controller goes last: each controller change stops metadata changes for a moment. No
state is kept here: to resume an interrupted run, pass the nodes that still need a restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from asgard.cluster import health
from asgard.core.errors import AsgardError, Busy, Failed, Interrupted, Refused
from asgard.kafka.model import Partition, Quorum, Topic
from asgard.kafka.ports import ControlPlane, NodeControl

_QUORUM_LAG = 1000
"""Records that a voter may be behind its leader (which appends a few per second when idle) and still count as caught
up."""
_WHOLE_POLL_S = 0.5
_ELECTED_WITHIN_S = 15.0
"""Seconds after which Kafka, which elects a moment after a node is up, will no longer elect a leader."""


def restart_one(
    control: ControlPlane,
    nodes: NodeControl,
    node: int,
    *,
    deadline_s: float = 120,
    poll_s: float = 0.2,
    restart: Callable[[int], None] | None = None,
) -> float:
    """Restart one node once that is safe, and wait until it is back in all ISRs; how many seconds that took.

    Callers take turns, one node at a time in the `order`. `deadline_s` is for the node to be back; `restart` replaces
    the default. Raises Refused before stopping anything that must not be stopped (partitions that would lose
    availability, a quorum without a majority), and Failed if the node does not come back, or earlier if a partition
    that it holds is left without a leader for good. Waits for partitions that are under-replicated at the start.
    """
    _wait_until_safe(control, nodes, node, deadline_s, poll_s)
    started = time.monotonic()
    (restart or nodes.restart)(node)
    _wait_until_back(control, nodes, node, deadline_s, poll_s)
    return time.monotonic() - started


def wait_until_whole(control: ControlPlane, node: int | None, give_up: float) -> None:
    """Wait until no partition of the cluster lacks a replica, except those on the next node: it may be down because a
    run was killed. `give_up` is by `time.monotonic`. Raises Refused before a node is stopped, Failed after the last
    one."""
    while True:
        try:
            lacking = [
                f"{p.topic}-{p.partition}"
                for t in control.topics().values()
                for p in t.partitions
                if health.offline(p) or set(health.missing(p)) - {node}
            ]
        except (Busy, Refused, Interrupted):
            raise
        except AsgardError as error:  # no broker answers at this moment
            lacking = [error.what]
        if not lacking:
            return
        if time.monotonic() > give_up:
            shown = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
            what = "the nodes were restarted, but" if node is None else f"node {node} was not restarted:"
            raise (Failed if node is None else Refused)(
                f"{what} {len(lacking)} partitions are under-replicated ({shown})",
                "Heal that first, then run it again: nodes that were restarted already are left alone.",
            )
        time.sleep(_WHOLE_POLL_S)


def order(ids: Collection[int], controller: int) -> list[int]:
    """By id, the active controller last."""
    return sorted(set(ids), key=lambda node: (node == controller, node))


@dataclass(frozen=True)
class Obstacle:
    """Why a node must not be stopped now; `passes`: it may resolve by itself, like a replica that catches up."""

    what: str
    passes: bool


def obstacles(node: int, topics: Iterable[Topic], quorum: Quorum, alive: Collection[int]) -> list[Obstacle]:
    """The obstacles to stopping a node; none: it may be stopped. `alive` are the nodes whose processes run.

    Partitions with one replica, or with min.insync.replicas equal to their replicas, can't be kept available at all.
    """
    found = []
    behind = [p for t in topics for p in t.partitions if node in p.target_replicas and _others_behind(p, node)]
    if behind:
        named = ", ".join(f"{p.topic}-{p.partition}" for p in behind[:3]) + (", …" if len(behind) > 3 else "")
        late = {r for p in behind for r in _others_behind(p, node)}
        who = f"node {', '.join(map(str, sorted(late)))} is not in sync"
        down = late.difference(alive)
        if down:
            who += f" (node {', '.join(map(str, sorted(down)))} is down)"
        found.append(Obstacle(f"{who} for {_count(len(behind))} that node {node} holds too ({named})", not down))
    if len(quorum.voters) > 1 and node in {v.id for v in quorum.voters}:
        running = [v for v in quorum.voters if v.id != node and v.id in alive]
        caught_up = [v for v in running if v.lag <= _QUORUM_LAG]
        needed = len(quorum.voters) // 2 + 1
        if len(caught_up) < needed:
            what = (
                f"the quorum would have {len(caught_up)} caught-up controllers without node {node}; it needs {needed}"
            )
            found.append(Obstacle(what, len(running) >= needed))
    return found


def _count(partitions: int) -> str:
    return f"{partitions} partition{'s' if partitions > 1 else ''}"


def _others_behind(p: Partition, node: int) -> list[int]:
    """Stricter than "under-replicated": waits for a move that is still adding replicas."""
    return [r for r in health.awaited(p) if r != node]


def _wait_until_safe(control: ControlPlane, nodes: NodeControl, node: int, deadline_s: float, poll_s: float) -> None:
    """Wait for obstacles that resolve by themselves; Refused if they stay."""
    give_up = time.monotonic() + deadline_s
    while True:
        alive = {n.id for n in nodes.nodes() if n.state == "running"}
        found = obstacles(node, control.topics().values(), control.quorum(), alive)
        if not found:
            return
        if time.monotonic() > give_up or not all(o.passes for o in found):
            raise Refused(
                f"node {node} can't be restarted now: {'; '.join(o.what for o in found)}",
                "Heal that first, then run it again: nodes that were restarted already are not restarted again.",
            )
        time.sleep(poll_s)


def _wait_until_back(control: ControlPlane, nodes: NodeControl, node: int, deadline_s: float, poll_s: float) -> None:
    started = time.monotonic()
    roles = next((n.roles for n in nodes.nodes() if n.id == node), ())
    lacking_since = started
    while True:
        try:
            found = lack(node, roles, control)
        except Interrupted:
            raise
        except AsgardError as error:  # no broker answers, or the quorum has no leader at this moment
            found = Lack(error.what)
        if found is None:
            return
        now = time.monotonic()
        if found.passes:
            lacking_since = now
        if now - started > deadline_s or now - lacking_since > _ELECTED_WITHIN_S:
            raise Failed(
                f"node {node} was restarted and is not back after {now - started:.0f} s: {found.what}",
                found.hint
                or f"Check its log; the nodes after it were not restarted. `asgard kafka nodes` shows node {node}.",
            )
        time.sleep(poll_s)


@dataclass(frozen=True)
class Lack:
    """What a restarted node still lacks; `passes`: it may resolve by itself, like a replica that catches up."""

    what: str
    passes: bool = True
    hint: str = ""


def lack(node: int, roles: Collection[str], control: ControlPlane) -> Lack | None:
    """What the node still lacks to be back; None: nothing. Without `roles` it counts as a broker."""
    if "broker" in roles or not roles:
        brokers = {b.id: b.state for b in control.cluster().brokers}
        if brokers.get(node) != "up":
            return Lack(f"its broker is {'fenced' if node in brokers else 'not registered'}")
        up = {broker for broker, state in brokers.items() if state == "up"}
        if found := behind(node, control.topics().values(), up):
            return found
    if "controller" in roles:
        quorum = control.quorum()
        voter = next((v for v in quorum.voters if v.id == node), None)
        if quorum.leader < 0:
            return Lack("the quorum has no leader")
        if voter is not None and voter.lag > _QUORUM_LAG:
            return Lack(f"its controller is {voter.lag} records behind")
    return None


def behind(node: int, topics: Iterable[Topic], up: Collection[int]) -> Lack | None:
    """Whether the node, which is up, has an out-of-sync replica.

    It can't catch up if the partition has no leader and no live replica may become one: Kafka then waits for a replica
    that was in sync, and waits for ever if that one lost its claim too, like a single replica whose log is gone.
    """
    late = [p for t in topics for p in t.partitions if node in health.awaited(p)]
    stuck = [p for p in late if health.offline(p) and not set(up).intersection((*p.isr, *p.elr))]
    if stuck:
        name = f"{stuck[0].topic}-{stuck[0].partition}"
        has, others = ("has", "") if len(stuck) == 1 else ("have", f" and {len(stuck) - 1} more")
        safe = sorted({*stuck[0].isr, *stuck[0].elr})
        hint = (
            f"Start node {safe[0]}: it was in sync last, so it has every acknowledged record of {name}."
            if safe
            else f"No replica is known to hold all its records: `asgard thor elect --unclean {name}` says what a leader would lack."
        )
        return Lack(f"{name}{others} {has} no leader, and no live node may lead", passes=False, hint=hint)
    if late:
        named = f"{late[0].topic}-{late[0].partition}"
        waits = "waits" if len(late) == 1 else "wait"
        return Lack(f"{_count(len(late))} {waits} for it to catch up, {named} among them")
    return None
