"""The child processes of a load, as their parent sees them: started with an order, followed by their output, and always ended.

The parent imports neither Locust nor gevent. Each child has its own session, so that Ctrl-C at a terminal reaches only the
parent, which then ends them cleanly.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from asgard.core.errors import AsgardError, ExitCode, Failed
from asgard.loki.load.order import OUTCOME, ChildOrder
from asgard.loki.load.outcome import LoadOutcome

Event = dict[str, Any]
_END_S = 5.0


class Children:
    """Processes of one load. A context manager: on exit none of them is left running."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lines: queue.Queue[tuple[str, Event | None]] = queue.Queue()

    def __enter__(self) -> Children:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM if kind is None else signal.SIGKILL)
        give_up = time.monotonic() + _END_S
        for process in self._processes.values():
            try:
                process.wait(max(give_up - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str, order: ChildOrder) -> int:
        """Start a child; returns its pid."""
        with (self.directory / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "asgard.loki.load.child", str(self.directory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.close()
        threading.Thread(target=self._follow, args=(name, process), daemon=True).start()
        return process.pid

    def stop(self) -> None:
        """Ask the first child, which leads the load, to end the sending early."""
        first = next(iter(self._processes.values()))
        with contextlib.suppress(ProcessLookupError):
            first.send_signal(signal.SIGTERM)

    def events(self, name: str, within_s: float) -> Iterator[Event]:
        """That child's events until it ends. Raises its failure, or Failed if it died or took too long.

        Another child that dies before the load began ends it too; from then on the master reports lost workers.
        """
        give_up = time.monotonic() + within_s
        began = False
        while True:
            try:
                who, event = self._lines.get(timeout=max(give_up - time.monotonic(), 0.01))
            except queue.Empty:
                raise Failed(
                    f"the load did not end within {within_s:.0f} s and was stopped", self._last_words(name)
                ) from None
            if event is None:
                if who == name or not began:
                    raise Failed(f"the load's process {who} died ({self._how(who)})", self._last_words(who))
                continue
            if event["event"] == "failed":
                raise _failure(event)
            began = began or event["event"] == "go"
            if who == name:
                yield event
                if event["event"] == "done":
                    return

    def outcome(self) -> LoadOutcome:
        """What the processes saw."""
        return msgspec.json.decode((self.directory / OUTCOME).read_bytes(), type=LoadOutcome)

    def _follow(self, name: str, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):
                self._lines.put((name, json.loads(line)))
        self._lines.put((name, None))

    def _how(self, name: str) -> str:
        code = self._processes[name].wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _last_words(self, name: str) -> str | None:
        lines = (self.directory / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return f"Its last output: {lines[-1][:300]}" if lines else None


def _failure(event: Event) -> AsgardError:
    error = Failed(event["what"], event["hint"])
    error.exit_code = ExitCode(event["exit_code"])
    return error
