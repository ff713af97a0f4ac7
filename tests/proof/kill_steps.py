"""`odin up` killed with SIGKILL at every provider step, in every phase, then run again: does it always converge?

Two stories (`tests.e2e.killed`): a local stack from nothing, and a stack on an external cluster changed in every way at once.
After each killed run a second `up` must leave a cluster and a state equal to those of an undisturbed run, nothing to do, one
process a broker, and nothing at all after `destroy`.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.e2e.killed import ExternalStory, LocalStory, Undisturbed
from tests.harness import RealCluster

PHASES = ("before", "done", "after")


def prove() -> tuple[dict[str, object], list[str]]:
    """Every step in every phase of both stories: the counts and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="asgard-kill-steps-") as scratch:
        local, external = Path(scratch, "local"), Path(scratch, "external")
        local.mkdir()
        external.mkdir()
        story = LocalStory(local)
        figures, wrong = _rounds("a local stack from nothing", story, story.undisturbed(), spawns=1)
        with RealCluster(Path(scratch, "cluster"), brokers=1) as running:
            other = ExternalStory(external, running)
            more, also = _rounds("a change on an external cluster", other, other.undisturbed())
    return {"stories": [figures, more]}, wrong + also


def _rounds(
    name: str, story: LocalStory | ExternalStory, told: Undisturbed, spawns: int = 0
) -> tuple[dict[str, object], list[str]]:
    rounds = [(step.number, step.name, phase) for step in told.steps for phase in PHASES]
    rounds += [(number, f"start of node {number}", "spawned") for number in range(1, spawns + 1)]
    wrong: list[str] = []
    converged: Counter[str] = Counter()
    for done, (number, what, phase) in enumerate(rounds, 1):
        print(f"{name}: {done} of {len(rounds)}: {phase} {what}", file=sys.stderr, flush=True)
        try:
            found = story.round(told, number, phase)
        except AssertionError as error:
            found = [str(error)]
        wrong += [f"{name}, killed {phase} {what}: {reason}" for reason in found]
        converged[phase] += not found
    figures: dict[str, object] = {
        "story": name,
        "steps": len(told.steps),
        "steps_by_verb": dict(Counter(step.verb for step in told.steps)),
        "kills": len(rounds),
        "converged": sum(converged.values()),
        "converged_by_phase": dict(converged),
    }
    return figures, wrong
