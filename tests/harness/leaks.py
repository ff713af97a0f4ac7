"""Processes that a test left behind: those whose arguments name a directory of this run."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil


def leaked_processes(below: Path) -> list[psutil.Process]:
    """Processes (other than this one and its parents) that carry a path below that directory."""
    mine = {psutil.Process().pid, *(p.pid for p in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in mine and any(str(below) in argument for argument in process.cmdline()):
                found.append(process)
    return found
