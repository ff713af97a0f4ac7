"""Loki killed with SIGKILL in the midst of every kind of fault, in three phases: does the next command put everything back?

The story is `tests.e2e.chaos_killed`. The commands that come after take turns: `recover`, `loki chaos recover`, another experiment,
and one of Thor's.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path

from asgard.kafka.admin import connect
from tests.e2e.chaos_killed import THEN, ChaosStory, context
from tests.e2e.chaos_killing import PHASES
from tests.harness import RealCluster


def prove() -> tuple[dict[str, object], list[str]]:
    """Every kind in every phase: the counts and what went wrong."""
    with tempfile.TemporaryDirectory(prefix="asgard-loki-chaos-kills-") as scratch:
        below = Path(scratch)
        (below / "work").mkdir()
        before = os.environ.get("ASGARD_HOME")
        os.environ["ASGARD_HOME"] = str(below / "cluster")
        try:
            with (
                RealCluster(below / "cluster", brokers=3, racks=3, log_dirs=2) as running,
                closing(connect(running.connection, deadline_s=20)) as control,
                context(running),
            ):
                return _rounds(ChaosStory(running, control, below / "work"))
        finally:
            os.environ.pop("ASGARD_HOME")
            if before is not None:
                os.environ["ASGARD_HOME"] = before


def _rounds(story: ChaosStory) -> tuple[dict[str, object], list[str]]:
    kinds = story.kinds()
    rounds = [(kind, phase) for kind in kinds.values() for phase in PHASES]
    wrong: list[str] = []
    sound: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for done, ((kind, phase), then) in enumerate(zip(rounds, itertools.cycle(THEN)), 1):
        what = f"{kind.action} killed when {phase}, then {then}"
        print(f"{done} of {len(rounds)}: {what}", file=sys.stderr, flush=True)
        try:
            found = story.round(kind, phase, then)
        except AssertionError as error:
            found = [str(error)]
        wrong += [f"{what}: {reason}" for reason in found]
        sound[kind.action] += not found
        used[then] += 1
    figures: dict[str, object] = {
        "kinds": len(kinds),
        "phases": list(PHASES),
        "kills": len(rounds),
        "put_back_by_kind": dict(sound),
        "commands_after": dict(used),
        "left_over": len(wrong),
    }
    return figures, wrong
