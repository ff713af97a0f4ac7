"""The whole test suite, the long tests too, three times: a test that passes now and then shows here, for nothing is tried again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNS = 3


def prove(runs: int = RUNS) -> tuple[dict[str, object], list[str]]:
    """The figures, and what went wrong."""
    figures: dict[str, object] = {}
    wrong: list[str] = []
    for run in range(1, runs + 1):
        whole = ("-q", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *whole], cwd=ROOT, capture_output=True, text=True, check=False
        )
        counts = {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)}
        figures[f"run {run}"] = counts
        failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if done.returncode and not failed:
            failed = [f"the tests did not run: {done.stdout[-300:]}"]
        wrong += [f"run {run}: {line}" for line in failed]
    return figures, wrong
