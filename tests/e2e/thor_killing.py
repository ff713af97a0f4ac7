"""Runs the real command line in this process and kills it with SIGKILL at a chosen step of an execution.

    python -m tests.e2e.thor_killing --step 3 --phase after --trace FILE -- thor apply plan.json --yes

A step is a write, to the undo log (begin, amend, finish) or to Kafka (settings, moves, elections), counted in the order in which
they begin. Phases: `before` the write, or `after` it, when nobody knows of it yet. Without --step nothing is killed; `--trace`
gets a line for each step in any case: its number and what it writes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asgard.cli import main as command_line
from asgard.journal import operations
from asgard.kafka.admin import AdminClient

PHASES = ("before", "after")
TO_THE_LOG = ("begin", "amend", "finish")
TO_KAFKA = ("alter_configs", "reassign", "elect_preferred_leaders")


def main() -> None:
    """Parse, arm, run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--phase", choices=PHASES, default="before")
    parser.add_argument("--trace", type=Path, required=True)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    numbers = itertools.count(1)

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **named: Any) -> Any:
            number = next(numbers)
            with options.trace.open("a") as file:
                file.write(f"{number} {name}\n")
            if (number, "before") == (options.step, options.phase):
                os.kill(os.getpid(), signal.SIGKILL)
            answer = call(*args, **named)
            if (number, "after") == (options.step, options.phase):
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return step

    for name in TO_THE_LOG:
        setattr(operations, name, counted(name, getattr(operations, name)))
    for name in TO_KAFKA:
        setattr(AdminClient, name, counted(name, getattr(AdminClient, name)))
    sys.exit(command_line.main(options.arguments))


if __name__ == "__main__":
    main()
