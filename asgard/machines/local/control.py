"""Operations on a local node. Each function may be killed at any instant and called again: it then finishes the work.

Times are seconds. `create` and `start` return as soon as the process is spawned; only `wait_ready` waits.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as changed
from pathlib import Path

from asgard.core import events
from asgard.core.errors import Failed, Refused
from asgard.kafka.model import Node
from asgard.machines.local import certificates, process, registration, storage
from asgard.machines.local.rundir import RunDir
from asgard.machines.local.spec import Credentials, NodeSpec

READY_S = 90.0
STOP_S = 60.0
AUTO_JOIN = (4, 2)
"""The first Kafka whose controllers join a running quorum by themselves (`controller.quorum.auto.join.enable`)."""
_READY_WORDS = b"Kafka Server started"
_POLL_S = 0.02
_OBEYS_S = 10.0
_LOOK_S = 5.0
"""How often the log of a node that is not ready yet is read."""


def create(run_dir: RunDir, spec: NodeSpec, credentials: Credentials | None) -> int:
    """Describe, format and start a node; return its pid. Called again for the same node, it changes nothing."""
    with run_dir.alone():
        if run_dir.exists and run_dir.formatted.is_file():
            before = run_dir.spec()
            if (before.id, before.cluster_id) != (spec.id, spec.cluster_id):
                raise Refused(
                    f"{run_dir.path} holds node {before.id} of cluster {before.cluster_id}, "
                    f"not node {spec.id} of {spec.cluster_id}",
                    "Remove the old cluster first: `asgard odin destroy`.",
                )
        run_dir.write(spec, credentials)
        return _start(run_dir)


def update(run_dir: RunDir, spec: NodeSpec) -> None:
    """Rewrite the node's description, with the credentials it has; a restart applies it. Raises `Refused` for fewer log
    directories."""
    with run_dir.alone():
        if spec.log_dirs < (before := run_dir.spec()).log_dirs:
            raise Refused(
                f"node {spec.id} has {before.log_dirs} log directories, and {spec.log_dirs} are asked for: replicas would be lost",
                f"Set kafka.log_dirs to {before.log_dirs}.",
            )
        run_dir.write(spec, run_dir.credentials())


def start(run_dir: RunDir) -> int:
    """Start the node and return its pid; a running one stays as it is."""
    with run_dir.alone():
        return _start(run_dir)


def _start(run_dir: RunDir) -> int:
    running = process.find(run_dir)
    if running is not None and process.state(running) != "stopped":
        if process.state(running) == "paused":
            process.send(running, signal.SIGCONT)
        return running.pid
    storage.ensure_formatted(run_dir)
    if (spec := run_dir.spec()).tls != "off" and certificates.due(run_dir.key_store):
        run_dir.renew_certificate(spec)
    return process.spawn(run_dir)


def wait_ready(run_dirs: Collection[RunDir], deadline_s: float = READY_S) -> None:
    """Wait until every node reports that it serves. Raises `Failed` with its last output if one ended, or is too slow.

    A node that can no longer register with its controllers (`registration`) is restarted, once.
    """
    until = time.monotonic() + deadline_s
    waiting = list(run_dirs)
    restarted: set[Path] = set()
    next_look = time.monotonic() + _LOOK_S
    while waiting:
        waiting = [run_dir for run_dir in waiting if not _is_ready(run_dir)]
        if not waiting:
            return
        look, now = False, time.monotonic()
        if now > next_look:
            look, next_look = True, now + _LOOK_S
        for run_dir in waiting:
            ended = process.state(process.find(run_dir)) == "stopped" and not _is_ready(run_dir)
            if (ended or look) and run_dir.path not in restarted and _cannot_register(run_dir, ended):
                restarted.add(run_dir.path)
                _start_again(run_dir)
            elif ended:
                raise process.failed_start(run_dir)
        if time.monotonic() > until:
            names = ", ".join(str(run_dir.spec().id) for run_dir in waiting)
            raise Failed(
                f"node {names} is not ready after {deadline_s:.0f} s: {process.complaint(waiting[0])}",
                f"Its log is {waiting[0].logs / 'server.log'}.",
            )
        time.sleep(_POLL_S)


def _cannot_register(run_dir: RunDir, ended: bool) -> bool:
    log = process.log_of_this_life(run_dir)
    return registration.never_registered(log) if ended else registration.forgot_voters(log)


def _start_again(run_dir: RunDir) -> None:
    """Restart a node that never served: it has nothing to lose, so it is not shut down in a controlled way."""
    events.warn(f"node {run_dir.spec().id} could not register with the controllers; it is restarted")
    with run_dir.alone():
        kill(run_dir)
        _start(run_dir)


def _is_ready(run_dir: RunDir) -> bool:
    try:
        return _READY_WORDS in run_dir.out.read_bytes()
    except OSError:
        return False


def status(run_dir: RunDir) -> Node:
    """What the machine knows of the node."""
    spec = run_dir.spec()
    found = process.find(run_dir)
    state = process.state(found)
    pid = found.pid if found is not None and state != "stopped" else None
    return Node(spec.id, state, spec.rack, spec.roles, pid)


def list_nodes(nodes_dir: Path) -> list[RunDir]:
    """The nodes described below a directory, by id."""
    if not nodes_dir.is_dir():
        return []
    found = [RunDir(path) for path in nodes_dir.iterdir() if path.name.isdigit()]
    return sorted((run_dir for run_dir in found if run_dir.exists), key=lambda r: int(r.path.name))


def stop(run_dir: RunDir, deadline_s: float = STOP_S) -> None:
    """Controlled shutdown. Raises `Failed` if it does not finish within the deadline; the node is then still
    stopping."""
    with run_dir.alone():
        _stop(run_dir, deadline_s)


def _stop(run_dir: RunDir, deadline_s: float) -> None:
    found = process.find(run_dir)
    if found is None:
        return
    process.send(found, signal.SIGTERM)
    process.send(found, signal.SIGCONT)
    if not process.wait_gone(found, deadline_s):
        raise Failed(
            f"node {run_dir.spec().id} has not stopped after {deadline_s:.0f} s",
            "Brokers that can't reach a controller quorum stop slowly; killing it is safe for replicated data.",
        )


def kill(run_dir: RunDir) -> None:
    """SIGKILL; returns when the process is gone."""
    found = process.find(run_dir)
    if found is not None:
        process.send(found, signal.SIGKILL)
        if not process.wait_gone(found, 30):
            raise Failed(f"process {found.pid} does not exit", "Is its disk hanging?")


def pause(run_dir: RunDir) -> None:
    """SIGSTOP: it hangs, with its connections open; returns once it does. Raises `Failed` if it is not running."""
    _signal_running(run_dir, signal.SIGSTOP, "paused")


def resume(run_dir: RunDir) -> None:
    """SIGCONT; returns once it runs. Raises `Failed` if there is no process."""
    _signal_running(run_dir, signal.SIGCONT, "running")


def _signal_running(run_dir: RunDir, number: signal.Signals, wanted: process.State) -> None:
    found = process.find(run_dir)
    if found is None or process.state(found) == "stopped":
        raise Failed(f"node {run_dir.spec().id} is not running", "Start it first.")
    process.send(found, number)
    # The system delivers the signal when it gets to it: on a busy machine that is not immediate.
    until = time.monotonic() + _OBEYS_S
    while process.state(found) != wanted:
        if time.monotonic() > until:
            raise Failed(f"node {run_dir.spec().id} is {process.state(found)}, not {wanted}, after {_OBEYS_S:.0f} s")
        time.sleep(_POLL_S)


def restart(run_dir: RunDir, deadline_s: float = STOP_S + READY_S) -> None:
    """Stop in a controlled way, start, wait until it serves."""
    until = time.monotonic() + deadline_s
    with run_dir.alone():
        _stop(run_dir, min(STOP_S, deadline_s))
        _start(run_dir)
    wait_ready([run_dir], max(1.0, until - time.monotonic()))


def replace(run_dir: RunDir) -> None:
    """Recreate the node, empty, with the same id: it joins the running cluster and fetches its replicas from the others.

    Its data is gone afterwards; the caller must know that the others have all of it. A controller rejoins the quorum by
    itself with a new directory id, and its old one is removed (KIP-853). Raises `Refused` if the quorum could not
    tolerate that.
    """
    with run_dir.alone():
        _refuse_without_quorum(run_dir)
        found = process.find(run_dir)
        if found is not None:
            process.send(found, signal.SIGKILL)
            process.wait_gone(found, 30)
        run_dir.write(changed(run_dir.spec(), joins=True), run_dir.credentials())
        wiped = run_dir.path / ".data.wiped"
        shutil.rmtree(wiped, ignore_errors=True)
        if run_dir.data.exists():
            run_dir.data.rename(wiped)
        run_dir.write(run_dir.spec(), run_dir.credentials())
        _start(run_dir)
        shutil.rmtree(wiped, ignore_errors=True)


def _refuse_without_quorum(run_dir: RunDir) -> None:
    spec = run_dir.spec()
    if not spec.is_controller:
        return
    if tuple(int(part) for part in spec.version.split(".")[:2]) < AUTO_JOIN:
        raise Refused(
            f"node {spec.id} is a controller, and a controller of Kafka {spec.version} can't be replaced by an empty one",
            "Its data directory is what makes it a voter; Kafka 4.2 and newer let it join again.",
        )
    others = [RunDir(run_dir.path.parent / str(voter.id)) for voter in spec.voters if voter.id != spec.id]
    running = [other for other in others if process.state(process.find(other)) == "running"]
    if len(running) <= len(spec.voters) // 2:
        raise Refused(
            f"node {spec.id} is a controller: without it {len(running)} of {len(spec.voters)} run, which is not a majority",
            "Start the other controllers first; a cluster with one controller lives in that controller's data.",
        )


def remove(run_dir: RunDir) -> None:
    """Kill the node and delete its directory with all data."""
    for what in ("node", "format"):
        found = process.find(run_dir, what)
        if found is not None:
            process.send(found, signal.SIGKILL)
            process.wait_gone(found, 30)
    if run_dir.path.exists():
        run_dir.delete()


def stop_all(run_dirs: Iterable[RunDir], deadline_s: float = 20.0) -> None:
    """Stop a whole cluster: all nodes at once, killing those that have not stopped by the deadline (the last brokers
    have no controllers left to hand over to)."""

    def end(run_dir: RunDir) -> None:
        try:
            stop(run_dir, deadline_s)
        except Failed:
            kill(run_dir)

    chosen = list(run_dirs)
    with ThreadPoolExecutor(max(1, len(chosen))) as pool:
        list(pool.map(end, chosen))
