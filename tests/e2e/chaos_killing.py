"""Runs the real command line in this process and kills it with SIGKILL in the midst of a fault.

    python -m tests.e2e.chaos_killing --phase half -- loki chaos run FILE --yes

Phases: `begun`, when the way back is on disk and nothing is broken yet; `half`, after the first deed of the fault (a process
signalled, a directory renamed, a request answered); `done`, when all of it is broken.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from asgard.cli import main as command_line
from asgard.kafka.admin import AdminClient
from asgard.loki.chaos import breaking
from asgard.loki.chaos.kind import FaultPlan
from asgard.machines.local.nodes import LocalNodes

PHASES = ("begun", "half", "done")
DEEDS: tuple[tuple[Any, str], ...] = (
    *((LocalNodes, name) for name in ("kill", "stop", "pause", "restart")),
    *((AdminClient, name) for name in ("reassign", "alter_quotas", "remove_members", "commit_offsets")),
    (Path, "rename"),
    (os, "kill"),
)


def die() -> None:
    """Now."""
    _kill(os.getpid(), signal.SIGKILL)


_kill = os.kill


def main() -> None:
    """Parse, arm, run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phase", choices=PHASES, required=True)
    parser.add_argument("arguments", nargs="+")
    options = parser.parse_args()
    planned = breaking.planned

    def armed(site: Any, action: str, arguments: Any) -> FaultPlan:
        plan = planned(site, action, arguments)

        def do() -> None:
            if options.phase == "begun":
                die()
            if options.phase == "half":
                for owner, name in DEEDS:
                    setattr(owner, name, deadly(getattr(owner, name)))
            plan.do()
            die()

        return replace(plan, do=do)

    breaking.planned = armed
    sys.exit(command_line.main(options.arguments))


def deadly(deed: Callable[..., Any]) -> Callable[..., Any]:
    """The deed, and then death."""

    def call(*args: Any, **named: Any) -> Any:
        answer = deed(*args, **named)
        die()
        return answer

    return call


if __name__ == "__main__":
    main()
