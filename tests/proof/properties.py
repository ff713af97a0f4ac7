"""Every property of the unit tests on many more generated cases than the test command has time for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.harness.examples import VARIABLE

ROOT = Path(__file__).parents[2]
CASES = 3000


def files() -> list[str]:
    """The test files that ask how many cases they are to try."""
    found = (ROOT / "tests" / "unit").rglob("test_*.py")
    return sorted(str(path.relative_to(ROOT)) for path in found if "=examples(" in path.read_text())


def prove(cases: int = CASES) -> tuple[dict[str, object], list[str]]:
    """The figures, and what went wrong."""
    chosen = files()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *chosen],
        cwd=ROOT,
        env={**os.environ, VARIABLE: str(cases)},
        capture_output=True,
        text=True,
        check=False,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    properties = sum((ROOT / path).read_text().count("=examples(") for path in chosen)
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not wrong:
        wrong = [f"the tests did not run: {done.stdout[-300:]}"]
    figures: dict[str, object] = {
        "files": chosen,
        "tests_passed": int(passed[1]) if passed else 0,
        "properties": properties,
        "cases_each": cases,
    }
    return figures, wrong
