"""Brokers that go down and come back one after the other: a rolling restart, and a chase after a partition's leader."""

from __future__ import annotations

import time
from collections.abc import Iterable

from asgard.core import events as news
from asgard.core.errors import AsgardError, Failed, Interrupted, Refused, WrongUsage
from asgard.loki.chaos.faults.brokers import bring_back, nodes_of, noted
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Notes
from asgard.loki.chaos.limits import refusal
from asgard.loki.chaos.site import ChaosSite, state_now
from asgard.loki.load import scratch

PATIENCE_S = 90.0
_POLL_S = 0.1


def rolling_restart(site: ChaosSite, brokers: Iterable[int] | None = None) -> FaultPlan:
    """Restart brokers one by one (all by default), each once the others hold what it holds; the controller last."""
    nodes = nodes_of(site)
    known = {n.id for n in nodes.nodes()}
    ids = sorted(set(brokers) if brokers is not None else known)
    if not ids or set(ids) - known:
        raise WrongUsage(f"there is no broker {sorted(set(ids) - known)}", f"Brokers: {sorted(known)}.")

    notes = Notes()

    def restart(node: int) -> None:
        site.may_go_on()
        why = refusal(site.limits, [node], state_now(site))
        if why is not None:
            raise Refused(f"broker {node} is left alone: {why}", "The caller sets the limits: see --help.")
        notes.write(noted(nodes, [node], "stop"))
        news.note(f"node {node} restarting")
        nodes.restart(node)

    def do() -> None:
        from asgard.cluster import rolling

        for node in rolling.order(ids, site.control.quorum().leader):
            took_s = rolling.restart_one(site.control, nodes, node, deadline_s=PATIENCE_S, restart=restart)
            news.note(f"node {node} is back after {took_s:.1f} s")

    text = f"broker {', '.join(map(str, ids))} restarted one by one"
    return FaultPlan(f"broker {', '.join(map(str, ids))}", text, do, {"nodes": ids}, lasts=False, notes=notes)


def chase_leader(site: ChaosSite, topic: str | None = None, partition: int = 0, times: int = 5) -> FaultPlan:
    """Kill the leader of a partition and start it again, then the new leader, and so on (as Jepsen's bouncing nemesis does).

    If no topic is named, `site.rng` picks a replicated one.
    The next leader is killed once the limits allow it, so that an in-sync replica is left.
    """
    nodes = nodes_of(site)
    if times < 1:
        raise WrongUsage(f"times is {times}", "Allowed is 1 or more.")
    if topic is None:
        there = site.control.topics(moves=False)
        names = sorted(name for name, t in there.items() if not t.internal and t.replication > 1)
        if not names:
            raise WrongUsage("the cluster has no replicated topic whose leader could be chased")
        topic = site.rng.choice([name for name in names if not name.startswith(scratch.PREFIX)] or names)
    named = f"{topic}-{partition}"
    replicas = _replicas(site, topic, partition)

    notes = Notes()

    def do() -> None:
        last = -1
        for _ in range(times):
            last = _next_leader(site, topic, partition, other_than=last)
            notes.write(noted(nodes, [last], "kill"))
            nodes.kill(last)
            news.note(f"broker {last}, the leader of {named}, killed")
            try:
                _next_leader(site, topic, partition, other_than=last, look=True)
            finally:
                nodes.start(last)

    text = f"the leader of {named} killed {times} times, the new one each time"
    return FaultPlan(f"leader of {named}", text, do, {"nodes": replicas}, lasts=False, notes=notes)


def _replicas(site: ChaosSite, topic: str, partition: int) -> list[int]:
    found = site.control.topics([topic], moves=False).get(topic)
    if found is None or partition >= len(found.partitions):
        raise WrongUsage(f"there is no partition {topic}-{partition}")
    replicas = list(found.partitions[partition].replicas)
    if len(replicas) < 2:
        raise Refused(f"{topic}-{partition} has one replica: no other could lead", "Name a replicated one.")
    return replicas


def _next_leader(site: ChaosSite, topic: str, partition: int, *, other_than: int, look: bool = False) -> int:
    """The leader, once it has changed and the limits allow killing it (`look`: without asking the limits)."""
    give_up = time.monotonic() + PATIENCE_S
    why = "there is no other leader"
    while True:
        site.may_go_on()
        try:
            leader = site.control.topics([topic], moves=False)[topic].partitions[partition].leader
            if leader >= 0 and leader != other_than:
                refused = None if look else refusal(site.limits, [leader], state_now(site))
                if refused is None:
                    return leader
                why = refused
        except Interrupted:
            raise
        except AsgardError as error:  # the broker that was asked is just being killed
            why = error.what
        if time.monotonic() > give_up:
            raise Failed(
                f"the leader of {topic}-{partition} can't be chased any further after {PATIENCE_S:.0f} s: {why}"
            )
        time.sleep(_POLL_S)


KINDS = {"rolling_restart": FaultKind(rolling_restart, bring_back), "chase_leader": FaultKind(chase_leader, bring_back)}
