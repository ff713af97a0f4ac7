"""Programs that Asgard runs on this machine: no shell, nothing on stdin, a separate environment, a time limit.

A recipe runs programs only if its caller allows it (`--allow-run`), and only from a file that no one else may write:
anyone able to write it could run anything as the user whose crontab runs it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from asgard.core import paths
from asgard.core.errors import Failed, Refused
from asgard.core.units import format_duration

PATH = "/usr/local/bin:/usr/bin:/bin"
_KEPT_BYTES = 64 * 1024
_SHOWN = 300
_LATE_S = 2.0
"""A grandchild that left the process group may keep the pipe open: it is not waited for."""


def refuse_writable_by_others(file: Path) -> None:
    """Raise Refused if anyone but this user and root may change the file, or put another in its place."""
    for path in (file, file.parent):
        found = path.stat()
        sticky = path.is_dir() and found.st_mode & stat.S_ISVTX
        if found.st_uid not in (os.getuid(), 0) or (found.st_mode & 0o022 and not sticky):
            raise Refused(
                f"{file} runs programs, and others may write {'it' if path == file else f'its folder {path}'}",
                f"Remove that permission: chmod go-w {path}",
            )


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """A program's environment: a PATH, Asgard's directories, and these variables; nothing from the caller's own
    environment."""
    return {"PATH": PATH, "LANG": "C.UTF-8", "ASGARD_HOME": str(paths.home()), **variables}


def run(command: Sequence[str], variables: Mapping[str, str], timeout_s: float) -> str:
    """Run a program and return the last line of its output. Raises Failed: not found, another exit code than 0, too
    slow."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(variables),
            start_new_session=True,
        )
    except OSError as error:
        raise Failed(f"{command[0]} can't be run: {error.strerror}", "Give the full path of the program.") from error
    tail = _Tail(process)
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        raise Failed(f"{command[0]} timed out after {format_duration(timeout_s)} and was killed") from None
    finally:
        # Its child processes must end with it, whether it succeeded, timed out, or this run is interrupted.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        said = tail.last_line()
    if code != 0:
        raise Failed(f"{command[0]} ended with {code}" + (f": {said}" if said else ""))
    return said


class _Tail:
    """The end of a program's output, however much there is."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self.stream = process.stdout
        self.content = b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self.stream:
            while chunk := os.read(self.stream.fileno(), _KEPT_BYTES):
                self.content = (self.content + chunk)[-_KEPT_BYTES:]

    def last_line(self) -> str:
        """Its last non-empty line, cut to fit in a log."""
        self.thread.join(_LATE_S)
        lines = [line.strip() for line in self.content.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1][:_SHOWN] if lines else ""
