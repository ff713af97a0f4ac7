"""`asgard thor watch` for ten minutes beside brokers that are killed, hang, and are restarted: is each loss healed exactly once, and
does the watcher stay as large as it was?

Four brokers in three racks (Kafka's own session time-out), records flowing all the while. The watcher may restart nodes, so a
killed broker and one that hangs are healed by a start of their process; a restart by somebody else must cost nothing more than
that. Every two seconds the watcher's resident memory and open file descriptors are noted.
"""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from asgard.machines import local as nodes
from tests.harness.watched import HealContext, Watcher, watched

SEED = 5
SECONDS = 600.0
WARM_S = 180.0
"""By then it has met each kind of loss, and imported what it needs for it."""
POLICY = "grace: 5m, restart: {attempts: 2, wait: 90s}, flapping: {times: 1000}"
MAY_GROW = 1.05
MAY_GROW_FDS = 2


def prove(seconds: float = SECONDS, seed: int = SEED) -> tuple[dict[str, object], list[str]]:
    """The figures and what went wrong."""
    wrong: list[str] = []
    source = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="asgard-watch-") as scratch, watched(Path(scratch), POLICY) as context:
        with context.watching() as watcher, context.traffic(seed) as traffic, Sizes(watcher) as sizes:
            until = time.monotonic() + seconds
            losses: Counter[str] = Counter()
            while time.monotonic() < until:
                what = source.choice(("kill", "stop", "restart"))
                broker = source.choice((1, 2, 3, 4))
                time.sleep(source.uniform(1, 6))
                found = _lose(context, watcher, broker, what)
                losses[what] += 1
                wrong += found
                print(f"{what} of broker {broker}: {found or 'healed once'}", file=sys.stderr, flush=True)
            code = watcher.stop()
        lost = traffic.lost()
        _, history = context.run("thor", "history", "--last", "10000")
    wrong += [f"the watcher ended with {code}"] if code else []
    wrong += [f"{lost} acknowledged records are lost"] if lost else []
    wrong += [f"{h['action']}: {h['state']}: {h['outcome']}" for h in history if h["state"] in ("failed", "begun")]
    wrong += sizes.grown()
    figures = {
        "seconds": round(seconds),
        "seed": seed,
        "losses": dict(losses),
        "healings": dict(Counter(h["decision"] for h in history if h["state"] == "done")),
        "acknowledged_records": traffic.acked,
        "acknowledged_records_lost": lost,
        **sizes.figures(),
    }
    return figures, wrong


def _lose(context: HealContext, watcher: Watcher, broker: int, what: str) -> list[str]:
    """Lose a broker and wait until all is well again; what was wrong about how it was healed."""
    before = len(_restarts(watcher, broker))
    if what == "restart":
        nodes.restart(context.cluster.run_dir(broker))
    else:
        (context.cluster.kill if what == "kill" else context.cluster.pause)(broker)
        context.until(lambda: len(_restarts(watcher, broker)) > before, f"a restart of broker {broker}")
    context.until(lambda: not context.fenced() and context.whole(), "every partition in sync")
    context.until(lambda: watcher.turns()[-1]["state"] == "healthy", "all well, as the watcher sees it")
    healed = len(_restarts(watcher, broker)) - before
    allowed = (0, 1) if what == "restart" else (1,)
    return [] if healed in allowed else [f"{what} of broker {broker} was healed {healed} times"]


def _restarts(watcher: Watcher, broker: int) -> list[dict[str, Any]]:
    return [
        t
        for t in watcher.turns()
        if t["state"] in ("healed", "failed") and t["decision"] not in ("resume", "elect") and broker in t["brokers"]
    ]


class Sizes:
    """Memory and file descriptors of the watcher, noted all the while. A context manager."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._began = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._note, daemon=True)
        self.noted: list[tuple[float, int, int]] = []

    def __enter__(self) -> Sizes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _note(self) -> None:
        while not self._over.wait(2) and self._watcher.process.poll() is None:
            self.noted.append((time.monotonic() - self._began, *self._watcher.resources()))

    def _early_and_late(self, of: Callable[[tuple[float, int, int]], int]) -> tuple[float, float]:
        """The median of the two minutes after it got warm, and that of the last two."""
        end = self.noted[-1][0]
        early = [of(n) for n in self.noted if WARM_S <= n[0] <= WARM_S + 120] or [of(self.noted[0])]
        late = [of(n) for n in self.noted if n[0] >= end - 120]
        return median(early), median(late)

    def grown(self) -> list[str]:
        """What got larger that should not."""
        memory, files = self._early_and_late(lambda n: n[1]), self._early_and_late(lambda n: n[2])
        wrong = []
        if memory[1] > MAY_GROW * memory[0]:
            wrong.append(f"memory grew from {memory[0] / 1e6:.1f} to {memory[1] / 1e6:.1f} MB")
        if files[1] > files[0] + MAY_GROW_FDS:
            wrong.append(f"open files grew from {files[0]:.0f} to {files[1]:.0f}")
        return wrong

    def figures(self) -> dict[str, object]:
        """In MB and counts."""
        memory, files = self._early_and_late(lambda n: n[1]), self._early_and_late(lambda n: n[2])
        minutes = range(int(self.noted[-1][0] // 60) + 1)
        by_minute = [[rss for at, rss, _ in self.noted if at // 60 == minute] for minute in minutes]
        return {
            "memory_mb": {"early": round(memory[0] / 1e6, 1), "late": round(memory[1] / 1e6, 1)},
            "memory_mb_by_minute": [round(median(found) / 1e6, 1) for found in by_minute if found],
            "open_files": {"early": files[0], "late": files[1], "most": max(n[2] for n in self.noted)},
        }
