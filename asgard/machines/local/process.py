"""The Java processes of local nodes: they outlive the command that started them, and can always be found again.

A process is recognised by a marker among its arguments, never by its number alone: a pid file may be late, lost, or
name a newer process. Nothing secret is in its arguments or environment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Literal

import psutil

from asgard.core import paths
from asgard.core.errors import Failed
from asgard.kafka.distribution.home import ensure_kafka
from asgard.kafka.distribution.java import find_java
from asgard.machines.local.rundir import RunDir
from asgard.machines.local.spec import NodeSpec

_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
_FAST_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8")
_POLL_S = 0.02
_STARTS_S = 0.5
_TROUBLE = (" ERROR ", " FATAL ", "Exception", "Error:", "Unable to register broker")
_FIRST_WORDS = "Log4jController"
State = Literal["running", "paused", "stopped"]


def java_command(version: str, *flags: str) -> list[str]:
    """`java` with Asgard's flags and Kafka's jars, up to the main class."""
    java = find_java()
    kafka = ensure_kafka(version)
    return [str(java.path), *_FAST_START, *flags, "-cp", kafka.classpath]


def environment() -> dict[str, str]:
    """The environment variables that a child gets: none that could hold a secret."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


def run_tool(command: list[str], doing: str, within_s: float) -> subprocess.CompletedProcess[str]:
    """Run one of Kafka's tools to its end. `doing` begins the sentence of a Failed if it takes too long."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=environment(),
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{doing} took longer than {within_s:g} s", "Is the machine out of memory or disk?") from error


def first_words(done: subprocess.CompletedProcess[str]) -> str:
    """The first line that a tool printed, errors first."""
    words = (done.stderr + done.stdout).strip().splitlines()
    return words[0][:300] if words else "it printed nothing"


def marker(run_dir: RunDir, what: str = "node") -> str:
    """The argument that identifies a process's node."""
    return f"-Dasgard.{what}={run_dir.path.absolute()}"


def find(run_dir: RunDir, what: str = "node") -> psutil.Process | None:
    """The process of this node, by its pid file or, if that does not help, in the process table."""
    wanted = marker(run_dir, what)
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int(run_dir.pid_file.read_text()))
        _reap(process)
        if wanted in _arguments(process):
            return process
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if wanted in process.cmdline():
                return process
    return None


def _arguments(process: psutil.Process) -> list[str]:
    """Its arguments. A process that has just started shows none until its program is loaded (execve)."""
    until = time.monotonic() + _STARTS_S
    while not (arguments := process.cmdline()) and time.monotonic() < until:
        time.sleep(_POLL_S)
    return arguments


def _reap(process: psutil.Process) -> None:
    """Reap a child of this process that has ended: a long-running process would collect zombies."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)


def state(process: psutil.Process | None) -> State:
    """What the machine reports about it."""
    if process is None:
        return "stopped"
    try:
        status = process.status()
    except psutil.NoSuchProcess:
        return "stopped"
    if status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return "stopped"
    return "paused" if status in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP) else "running"


def server_command(run_dir: RunDir, spec: NodeSpec) -> list[str]:
    """The node's process: its program and all arguments."""
    return [
        *java_command(spec.version, f"-Xmx{spec.heap_bytes // 1024}k", "-XX:+ExitOnOutOfMemoryError"),
        f"-Dlog4j2.configurationFile={run_dir.log4j2.absolute()}",
        marker(run_dir),
        "kafka.Kafka",
        str(run_dir.properties.absolute()),
    ]


def spawn(run_dir: RunDir) -> int:
    """Start the broker process in a session of its own and return its pid; it may take seconds until it serves."""
    command = server_command(run_dir, run_dir.spec())
    with contextlib.suppress(FileNotFoundError):
        run_dir.out.replace(run_dir.out.with_name("out.1.log"))
    with run_dir.out.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=run_dir.path,
            env=environment(),
            start_new_session=True,
        )
    paths.write_atomic(run_dir.pid_file, f"{process.pid}\n")
    # The process must outlive this one: drop the handle, or Python would wait for its end.
    process.returncode = 0
    return process.pid


def send(process: psutil.Process, number: signal.Signals) -> None:
    """Signal it; no error if it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def wait_gone(process: psutil.Process, deadline_s: float) -> bool:
    """Whether it ended within the deadline. A child of this process is reaped."""
    until = time.monotonic() + deadline_s
    while True:
        _reap(process)
        if state(process) == "stopped" or not process.is_running():
            return True
        if time.monotonic() >= until:
            return False
        time.sleep(_POLL_S)


def complaint(run_dir: RunDir) -> str:
    """The best explanation of why a process ended or is not ready: its last error, else the last line that it printed.

    A process that printed nothing may have logged what is blocking it, for example controllers that reject it.
    """
    printed = _lines(run_dir.out)
    # The log also covers earlier runs.
    logged = log_of_this_life(run_dir) if not printed else []
    told = [line for line in printed + logged if any(word in line for word in _TROUBLE)]
    causes = [line for line in printed if line.startswith("Caused by:")]
    return (causes or told or printed or ["it printed nothing"])[-1][:300]


def log_of_this_life(run_dir: RunDir) -> list[str]:
    """The node's log since its last start."""
    return _lines(run_dir.logs / "server.log", since=_FIRST_WORDS)


def _lines(path: Path, since: str | None = None) -> list[str]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in (text.rpartition(since)[2] if since else text).splitlines() if line.strip()]


def failed_start(run_dir: RunDir) -> Failed:
    """The error of a process that ended before it served."""
    spec = run_dir.spec()
    return Failed(
        f"node {spec.id} stopped before it was ready: {complaint(run_dir)}",
        f"Its log is {run_dir.logs / 'server.log'}; what it printed is {run_dir.out}.",
    )
