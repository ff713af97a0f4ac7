"""Brokers that die, stop, hang or lose their rack: processes that Asgard runs, through `NodeControl`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

from asgard.core.errors import Refused, WrongUsage
from asgard.kafka.model import Node
from asgard.kafka.ports import NodeControl
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite

How = Literal["kill", "stop", "pause"]
DONE = {"kill": "killed", "stop": "stopped", "pause": "paused"}
_FELT_S = 1.0
_POLL_S = 0.1


def nodes_of(site: ChaosSite) -> NodeControl:
    """The machines of the brokers. Raises Refused if they are not Asgard's."""
    if site.nodes is None:
        raise Refused(
            f"Asgard can't stop the brokers of {site.name}: it runs only those of local stacks",
            "There are other actions for cloud instances and containers: `asgard loki chaos list --actions`.",
        )
    return site.nodes


def running(site: ChaosSite, broker: int | None) -> Node:
    """The node of that broker, or a running one that `site.rng` picks. Raises WrongUsage and Refused."""
    there = [n for n in nodes_of(site).nodes() if "broker" in n.roles]
    if broker is None:
        up = [n for n in there if n.state == "running"]
        if not up:
            raise Refused("no broker is running", "asgard kafka nodes shows them.")
        return site.rng.choice(up)
    found = next((n for n in nodes_of(site).nodes() if n.id == broker), None)
    if found is None:
        raise WrongUsage(f"there is no broker {broker}", f"Brokers: {', '.join(str(n.id) for n in there) or 'none'}.")
    if found.state != "running":
        raise Refused(f"broker {broker} is {found.state} already", "asgard kafka nodes shows them.")
    return found


def kill_broker(site: ChaosSite, broker: int | None = None) -> FaultPlan:
    """SIGKILL."""
    return taken(site, [running(site, broker).id], "kill")


def stop_broker(site: ChaosSite, broker: int | None = None) -> FaultPlan:
    """Controlled shutdown: its leaders move away first."""
    return taken(site, [running(site, broker).id], "stop")


def pause_broker(site: ChaosSite, broker: int | None = None) -> FaultPlan:
    """SIGSTOP: it hangs, with its connections open."""
    return taken(site, [running(site, broker).id], "pause")


def kill_controller(site: ChaosSite) -> FaultPlan:
    """SIGKILL for the node whose controller is active."""
    leader = running(site, site.control.quorum().leader)
    return taken(site, [leader.id], "kill", f"controller {leader.id}")


def lose_rack(site: ChaosSite, rack: str | None = None, how: How = "kill") -> FaultPlan:
    """All brokers of a rack at once, or of one that `site.rng` picks. `how`: kill, stop or pause."""
    if how not in DONE:
        raise WrongUsage(f"how is {how!r}", f"Allowed: {', '.join(DONE)}.")
    up = [n for n in nodes_of(site).nodes() if n.state == "running" and n.rack is not None]
    racks = sorted({str(n.rack) for n in up})
    if rack is None and racks:
        rack = site.rng.choice(racks)
    if rack not in racks:
        raise WrongUsage(f"no node is running in rack {rack}", f"Racks: {', '.join(racks) or 'none'}.")
    return taken(site, [n.id for n in up if n.rack == rack], how, f"rack {rack}")


def restart_broker(site: ChaosSite, broker: int | None = None) -> FaultPlan:
    """Controlled shutdown and start; it serves again when this is over."""
    nodes, node = nodes_of(site), running(site, broker)

    def do() -> None:
        nodes.restart(node.id)

    undo = {"nodes": [node.id], **noted(nodes, [node.id], "stop")}
    return FaultPlan(f"broker {node.id}", f"broker {node.id} restarted", do, undo, brokers=(node.id,), lasts=False)


def taken(site: ChaosSite, brokers: Iterable[int], how: How, subject: str | None = None) -> FaultPlan:
    """Take brokers away, all at once."""
    nodes, ids = nodes_of(site), tuple(sorted(brokers))
    named = subject or f"broker {', '.join(map(str, ids))}"

    def do() -> None:
        each(ids, partial(_take, nodes, how))

    what = f"{named} {DONE[how]}" + (f" (broker {', '.join(map(str, ids))})" if subject else "")
    return FaultPlan(named, what, do, {"nodes": list(ids), **noted(nodes, ids, how)}, brokers=ids)


def _take(nodes: NodeControl, how: How, broker: int) -> None:
    getattr(nodes, how)(broker)


def noted(nodes: NodeControl, brokers: Iterable[int], how: How) -> dict[str, Any]:
    """What `bring_back` needs to know about brokers that are about to be taken away like this."""
    ids = set(brokers)
    return {"how": how, "pids": {str(n.id): n.pid for n in nodes.nodes() if n.id in ids}}


def bring_back(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Bring back brokers that were taken away. Those that run, or no longer exist, are left alone.

    A broker may still be going down when this is called: its process is then the one noted before.
    """
    nodes, ids = reach.nodes, [int(b) for b in undo["nodes"]]
    named = ", ".join(map(str, ids))
    if nodes is None:
        raise Refused(
            f"broker {named} can't be started from here: its stack is not on this machine",
            "Run `asgard recover` on the machine that has it.",
        )
    pids = {int(node): pid for node, pid in undo.get("pids", {}).items()}
    there = _settled(nodes, pids if undo.get("how") != "stop" else {})
    stopping = {n.id for n in there if n.state == "running" and undo.get("how") == "stop" and pids.get(n.id) == n.pid}
    away = [n for n in there if n.id in ids and (n.state != "running" or n.id in stopping)]
    each([n.id for n in away], partial(_bring, nodes, {n.id: n.state for n in away}))
    if away:
        return f"broker {', '.join(str(n.id) for n in away)} runs again"
    return f"broker {named} {'runs' if any(n.id in ids for n in there) else 'is gone'} already"


def _settled(nodes: NodeControl, pids: Mapping[int, int | None]) -> list[Node]:
    """The nodes, after a signal just sent to one of these processes has had time to take effect."""
    give_up = time.monotonic() + _FELT_S
    while True:
        there = nodes.nodes()
        same = [n for n in there if n.state == "running" and n.id in pids and n.pid == pids[n.id]]
        if not same or time.monotonic() > give_up:
            return there
        time.sleep(_POLL_S)


def _bring(nodes: NodeControl, states: Mapping[int, str], broker: int) -> None:
    match states[broker]:
        case "running":
            nodes.restart(broker)  # it is on its way down: wait until it is
        case "paused":
            nodes.resume(broker)
        case _:
            nodes.start(broker)


def each(brokers: Iterable[int], act: Callable[[int], None]) -> None:
    """Do it to all of them in parallel: a quorum comes back only together."""
    chosen = list(brokers)
    if len(chosen) == 1:  # also while Python exits and starts no more threads
        act(chosen[0])
    elif chosen:
        with ThreadPoolExecutor(len(chosen)) as pool:
            list(pool.map(act, chosen))


KINDS = {
    "kill_broker": FaultKind(kill_broker, bring_back),
    "stop_broker": FaultKind(stop_broker, bring_back),
    "pause_broker": FaultKind(pause_broker, bring_back),
    "kill_controller": FaultKind(kill_controller, bring_back),
    "lose_rack": FaultKind(lose_rack, bring_back),
    "restart_broker": FaultKind(restart_broker, bring_back),
}
