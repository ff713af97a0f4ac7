"""Identifies processes. A pid is not enough: numbers are reused, containers have their own, machines reboot.

An identity is host, boot (with the pid namespace), pid and start time. The start time counts from boot if the system
reports it (Linux), so that changing the clock doesn't make a living process look dead.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_M_ARENA_MAX = -8


@dataclass(frozen=True)
class Identity:
    """One run of one process. `boot` names the machine's boot and the pid namespace: pids are comparable only within
    one."""

    host: str
    boot: str
    pid: int
    started: float

    def __str__(self) -> str:
        return f"pid {self.pid} on {self.host}"


@cache
def boot() -> str:
    """This boot of this machine and this pid namespace; the host's name if the system reports neither."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot_id}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def started(pid: int) -> float | None:
    """When the process with this pid started (seconds, comparable only within one boot); None if none runs.

    A zombie does not count as running.
    """
    try:
        # The name in brackets may contain anything, blanks and brackets too; the fields after it are fixed (proc(5)).
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZXx" else int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def identity() -> Identity:
    """The calling process. Looked up at each call: a forked child is another process."""
    pid = os.getpid()
    return Identity(socket.gethostname(), boot(), pid, started(pid) or 0.0)


def is_dead(who: Identity) -> bool:
    """True only if it is certain: the process belongs to this boot and pid namespace, and no longer runs."""
    return who.boot == boot() and started(who.pid) != who.started


def stay_small() -> None:
    """For a process that runs for months and keeps starting short-lived threads; call it before the first one.

    glibc gives threads memory from arenas, up to eight a core, each of which keeps its peak size (mallopt(3)). Two are
    enough.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
