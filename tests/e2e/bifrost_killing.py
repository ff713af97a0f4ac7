"""Runs a command of Bifrost in this process and kills it with SIGKILL at a chosen moment.

    python -m tests.e2e.bifrost_killing --moment 7 --trace FILE -- bifrost apply

Moments are counted in the order in which they come: after each committed write of the store, and around each writing of the managed
file, each commit and each `odin up`. Without --moment nothing is killed; `--trace` gets a line for each in any case.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

from asgard.bifrost.store.tables import SCHEMA
from asgard.cli import main as command_line
from asgard.compose import bifrost_stack, up
from asgard.core.database import Database


class Killer:
    """Counts moments and dies at the chosen one."""

    def __init__(self, moment: int, trace: Path) -> None:
        self._moment, self._trace, self._numbers = moment, trace, itertools.count(1)

    def moment(self, name: str) -> None:
        """One of them."""
        number = next(self._numbers)
        with self._trace.open("a") as file:
            file.write(f"{number} {name}\n")
        if number == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, module: Any, name: str) -> None:
        """A moment before and one after each call of a function."""
        inner = getattr(module, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.moment(f"before {name}")
            result = inner(*args, **kwargs)
            self.moment(f"after {name}")
            return result

        setattr(module, name, call)


def main() -> int:
    """Run the command after `--`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moment", type=int, default=0)
    parser.add_argument("--trace", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    killer = Killer(options.moment, options.trace)
    inner = Database.write

    @contextlib.contextmanager
    def write(database: Database) -> Any:
        with inner(database) as connection:
            yield connection
        if database.schema is SCHEMA:
            killer.moment("store written")

    Database.write = write  # type: ignore[method-assign]
    killer.around(bifrost_stack, "write_part")
    killer.around(bifrost_stack, "commit_part")
    killer.around(up, "up")
    return command_line.main(options.command)


if __name__ == "__main__":
    sys.exit(main())
