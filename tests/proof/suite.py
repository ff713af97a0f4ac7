"""The test command three times in a row: a test that fails now and then shows here, since nothing is retried."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RUNS = 3


def prove(runs: int = RUNS) -> tuple[dict[str, object], list[str]]:
    """The figures, and what went wrong."""
    figures: dict[str, object] = {}
    wrong: list[str] = []
    for run in range(1, runs + 1):
        counts, failed = _run()
        figures[f"run {run}"] = counts
        wrong += [f"run {run}: {line}" for line in failed]
        print(f"run {run}: {counts}", *failed, sep="\n  ", file=sys.stderr, flush=True)
    return figures, wrong


def _run() -> tuple[dict[str, Any], list[str]]:
    """Counts by outcome with the seconds that it took, and a line for each failure."""
    command = [sys.executable, "-m", "nox", "-s", "tests"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", done.stdout)
    counts: dict[str, Any] = {what: int(count) for count, what in found}
    counts["seconds"] = round(time.monotonic() - began)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not failed:
        failed = [f"the tests did not run: {done.stdout[-300:]}"]
    return counts, failed
