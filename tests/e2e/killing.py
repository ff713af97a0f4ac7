"""Runs the real command line in this process and kills it with SIGKILL at a chosen moment of a chosen provider step.

    python -m tests.e2e.killing --step 3 --phase done --trace FILE -- odin up --yes

`--with SIGINT` is Ctrl-C at that moment.

A step is a call of the provider that changes something (create, update, delete), counted in the order in which they begin. Phases:

    before   the intent is on disk, nothing has happened yet
    spawned  within the creation of a broker: its process runs, its pid file is not written (the n-th spawn, other steps aside)
    done     it has happened, the engine does not know it yet
    after    the engine has written it down

Without --step nothing is killed; `--trace` gets a line for each step in any case: its number, verb and URN.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from asgard.cli import main as command_line
from asgard.core import paths
from asgard.machines.local import process
from asgard.odin.engine.steplog import StepLog
from asgard.odin.provider.provider import AsgardProvider

PHASES = ("before", "spawned", "done", "after")


class Killer:
    """Counts steps and dies at the chosen one."""

    def __init__(self, step: int, phase: str, trace: Path, number: signal.Signals) -> None:
        self._signal = number
        self._step = step
        self._phase = phase
        self._trace = trace
        self._numbers = itertools.count(1)
        self._urn = ""

    def die(self) -> None:
        """The signal to this very process."""
        os.kill(os.getpid(), self._signal)

    def wrap(self, verb: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The provider's method with the counter around it. Previews are no steps."""

        async def counted(provider: AsgardProvider, urn: str, *about: Any, preview: bool = False) -> Any:
            more = {} if verb == "delete" else {"preview": preview}
            if preview:
                return await call(provider, urn, *about, **more)
            number = next(self._numbers)
            with self._trace.open("a") as file:
                file.write(f"{number} {verb} {urn}\n")
            chosen = number == self._step
            if chosen and self._phase == "before":
                self.die()
            answer = await call(provider, urn, *about, **more)
            if chosen and self._phase == "done":
                self.die()
            if chosen and self._phase == "after":
                self._urn = urn
            return answer

        return counted

    def watch_log(self, write: Callable[[StepLog, bytes], None]) -> Callable[[StepLog, bytes], None]:
        """Die once the line that ends the chosen step is on disk."""

        def written(log: StepLog, data: bytes) -> None:
            write(log, data)
            if (
                self._urn
                and any(f'"do":"{did}"'.encode() in data for did in ("put", "drop"))
                and self._urn.encode() in data
            ):
                self.die()

        return written

    def watch_pid_files(self, write: Callable[..., None]) -> Callable[..., None]:
        """Die where a broker's process was spawned and nobody has written down its number."""
        spawned = itertools.count(1)

        def written(path: Path, content: str | bytes, mode: int = 0o600) -> None:
            if path.name == "pid" and self._phase == "spawned" and next(spawned) == self._step:
                self.die()
            write(path, content, mode)

        return written


def main() -> None:
    """Parse, arm, run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--phase", choices=PHASES, default="before")
    parser.add_argument("--with", dest="signal", type=signal.Signals.__getitem__, default=signal.SIGKILL)
    parser.add_argument("--trace", type=Path, required=True)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    killer = Killer(options.step, options.phase, options.trace, options.signal)
    for verb in ("create", "update", "delete"):
        setattr(AsgardProvider, verb, killer.wrap(verb, getattr(AsgardProvider, verb)))
    StepLog._write = killer.watch_log(StepLog._write)  # type: ignore[method-assign]
    assert process.paths is paths
    paths.write_atomic = killer.watch_pid_files(paths.write_atomic)
    sys.exit(command_line.main(options.arguments))


if __name__ == "__main__":
    main()
