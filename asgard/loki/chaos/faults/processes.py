"""A process of this machine other than a broker: a consumer, a connector, a proxy. Named by its pid file and a word of its command.

Both must match, so that a stale pid file does no harm. The process is killed, or hangs for a while; restarting it is up to
its supervisor.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from asgard.core import process
from asgard.core.errors import Refused, WrongUsage
from asgard.loki.chaos.kind import FaultKind, FaultPlan, Reach
from asgard.loki.chaos.site import ChaosSite

_BROKERS = ("-Dasgard.node=", "kafka.Kafka")
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGTERM, "pause": signal.SIGSTOP}


def kill_process(
    site: ChaosSite, pid_file: str, command: str, how: Literal["kill", "stop", "pause"] = "kill"
) -> FaultPlan:
    """Kill (SIGKILL), stop (SIGTERM) or pause (SIGSTOP) the process whose pid is in `pid_file` and whose command has `command` in it."""
    import psutil

    if how not in _SIGNALS:
        raise WrongUsage(f"how is {how!r}", f"Allowed: {', '.join(_SIGNALS)}.")
    try:
        pid = int(Path(pid_file).read_text())
    except (OSError, ValueError) as error:
        raise WrongUsage(f"{pid_file} has no pid: {error}") from error
    began = process.started(pid)
    if began is None:
        raise Refused(f"process {pid} is not running ({pid_file})")
    line = " ".join(psutil.Process(pid).cmdline())
    if not command.strip() or command not in line:
        raise Refused(f"process {pid} is not {command!r}: it is {line[:120] or 'unreadable'}")
    if any(word in line for word in _BROKERS):
        raise Refused(f"process {pid} is a Kafka node", "Name it as a broker: kill_broker, stop_broker, pause_broker.")
    if pid in (1, os.getpid(), os.getppid()):
        raise Refused(f"process {pid} is this command, its parent, or the system's first")
    _send(pid, began, 0)

    def do() -> None:
        _send(pid, began, _SIGNALS[how])

    done = {"kill": "killed", "stop": "stopped", "pause": "paused"}[how]
    host = process.identity().host if how == "pause" else None
    undo = {"pid": pid, "began": began, "boot": process.boot(), "host": host, "how": how}
    return FaultPlan(f"process {pid}", f"process {pid} ({command}) {done}", do, undo, processes=1, lasts=how == "pause")


def _send(pid: int, began: float, number: int) -> bool:
    """Send a signal, or with 0 none; whether the process was still there. Raises Refused if it is another user's."""
    if process.started(pid) != began:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise Refused(
            f"process {pid} belongs to another user: no signal can be sent to it", "Run this as that user, or as root."
        ) from error
    return True


def put_back(reach: Reach, undo: Mapping[str, Any]) -> str:
    """Resume a paused process; starting one that was ended is up to its supervisor. Raises Refused as `_send` does."""
    pid = int(undo["pid"])
    if undo["how"] != "pause":
        return "its supervisor starts it again"
    if undo["boot"] != process.boot() or not _send(pid, float(undo["began"]), signal.SIGCONT):
        return f"process {pid} is gone"
    return f"process {pid} runs again"


KINDS = {"kill_process": FaultKind(kill_process, put_back)}
