"""`thor apply` killed with SIGKILL before and after every write of a drain: is it gone on with, is nothing left?

The story is `tests.e2e.thor_killed`: a drain in several batches under a throttle. Each kill is followed once by the same command
and once by `thor cancel`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from asgard.kafka.admin import connect
from tests.e2e.thor_killed import THEN, DrainStory
from tests.e2e.thor_killing import PHASES
from tests.harness import RealCluster


def prove() -> tuple[dict[str, object], list[str]]:
    """Every step, in both phases, with both commands after it: the counts and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="asgard-thor-kill-steps-") as scratch:
        below = Path(scratch)
        with (
            RealCluster(below / "cluster", brokers=4, racks=3) as running,
            connect(running.connection) as control,
        ):
            return _rounds(DrainStory(running, control, below, "killed"))


def _rounds(story: DrainStory) -> tuple[dict[str, object], list[str]]:
    steps = story.undisturbed()
    rounds = [(step, phase, then) for then in THEN for step in steps for phase in PHASES]
    wrong: list[str] = []
    sound: Counter[str] = Counter()
    for done, (step, phase, then) in enumerate(rounds, 1):
        what = f"killed {phase} step {step.number} ({step.name}), then {then}"
        print(f"{done} of {len(rounds)}: {what}", file=sys.stderr, flush=True)
        try:
            found = story.round(step.number, phase, then)
        except AssertionError as error:
            found = [str(error)]
        wrong += [f"{what}: {reason}" for reason in found]
        sound[then] += not found
    figures: dict[str, object] = {
        "batches": story.batches,
        "steps": len(steps),
        "steps_by_kind": dict(Counter(step.name for step in steps)),
        "kills": len(rounds),
        "ended_as_undisturbed": sound["the same again"],
        "taken_back": sound["cancel"],
        "throttles_or_cordons_left": sum("set are" in reason for reason in wrong),
    }
    return figures, wrong
