"""Thor's plans: hard rules on random clusters, and bytes, spread, time and memory on large ones.

Two thousand random clusters for each property of tests/unit/thor/test_thor_plan_rules.py (ASGARD_EXAMPLES), then every plan of
tests/benchmarks/thor_plans.py at both sizes, beside Kafka's own reassignment tool.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.thor_clusters import KINDS
from tests.benchmarks.thor_plans import LARGE, SMALL, bench, table

ROOT = Path(__file__).parents[2]
EXAMPLES = 2000


def prove() -> tuple[dict[str, object], list[str]]:
    """The figures, and what went wrong."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/unit/thor/test_thor_plan_rules.py"],
        cwd=ROOT,
        env={**os.environ, "ASGARD_EXAMPLES": str(EXAMPLES)},
        capture_output=True,
        text=True,
        check=False,
    )
    passed = re.search(r"(\d+) passed", done.stdout)
    properties = int(passed[1]) if passed else 0
    wrong = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode and not wrong:
        wrong = [f"the property tests did not run: {done.stdout[-300:]}"]
    results, missed = bench([SMALL, LARGE], list(KINDS))
    print(table(results), flush=True)
    figures: dict[str, object] = {
        "properties": properties,
        "random_clusters_each": EXAMPLES,
        "plans": [
            {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(result).items()} for result in results
        ],
    }
    return figures, wrong + missed
