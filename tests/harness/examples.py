"""How many cases a property is tried on: a sample in the test command, the full count in the proof `properties`."""

from __future__ import annotations

import os

VARIABLE = "ASGARD_EXAMPLES"


def examples(sample: int) -> int:
    """`sample`, unless the environment asks for another number (ASGARD_EXAMPLES)."""
    return int(os.environ.get(VARIABLE, sample))
