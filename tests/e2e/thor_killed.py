"""Rounds of `thor apply` killed at a step, and what the command after it must leave behind.

A drain in three batches under a throttle shows every kind of step: the cordon, the throttle set, moved on and lifted, moves,
elections. After each killed run comes either the same command again, which must end as if nothing had happened, or `thor
cancel`, which must leave nothing set and every partition either as before or as planned.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from asgard.cluster import look
from asgard.cluster.limits import Limits
from asgard.kafka.model import ConfigChange, Move
from asgard.kafka.ports import ControlPlane
from asgard.thor.plan import file as plan_file
from asgard.thor.plan import planner
from tests.e2e.command import Answer, Home, finished
from tests.harness import RealCluster
from tests.harness.placing import eventually, filled, led_by_preferred, placed, replicas_of, throttles

BROKERS = (1, 2, 3, 4)
LAYOUT = [(4, 1, 2), (1, 4, 3), (2, 4, 3), (4, 3, 2), (1, 2, 4), (3, 2, 4)]
CORDONED = {"4": {"cordoned.log.dirs": "*"}}
THEN = ("the same again", "cancel")


@dataclass(frozen=True)
class Step:
    """A write of the undisturbed run."""

    number: int
    name: str


class DrainStory:
    """A topic of its own on a cluster of four, drained from broker 4 again and again."""

    def __init__(self, cluster: RealCluster, control: ControlPlane, below: Path, topic: str) -> None:
        self._control = control
        self._topic = topic
        self._below = below
        self._home = Home(below / "home", {"PYTHONPATH": str(Path(__file__).parents[2])})
        self._home.path.mkdir(parents=True, exist_ok=True)
        self._options = ["--bootstrap-server", cluster.bootstrap_servers]
        self._options += ["--command-config", str(cluster.client_properties), "--yes"]
        placed(control, topic, LAYOUT)
        filled(cluster.connection, topic, len(LAYOUT), 4.8)
        # Kafka's own topics stay out of it: their moves would only make each round longer.
        self._plan = planner.drain(look.take(control), [4], Limits(moves_per_broker=2))
        self._file = below / "drain.json"
        plan_file.write(self._plan, self._file)
        self._after = {(c.topic, c.partition): c.after for c in self._plan.changes}
        self._before = {(c.topic, c.partition): c.before for c in self._plan.changes}

    @property
    def batches(self) -> int:
        """Of the plan."""
        return len(self._plan.batches)

    def undisturbed(self) -> list[Step]:
        """The steps of a run to its end."""
        self._reset()
        steps = self._apply()
        assert self._sound("the same again") == []
        return steps

    def round(self, step: int, phase: str, then: str) -> list[str]:
        """Kill, run the next command, look; what was wrong."""
        self._reset()
        self._apply(step, phase)
        if then == "cancel":
            self._home.run("thor", "cancel", *self._options)
        else:
            self._home.run("thor", "apply", self._file, "--throttle", "2MB/s", *self._options)
        return self._sound(then)

    def _reset(self) -> None:
        self._control.alter_configs([ConfigChange("broker", "4", unset=("cordoned.log.dirs",))])
        self._control.reassign([Move(*key, replicas) for key, replicas in self._before.items()])
        eventually(lambda: self._there() == self._before and self._control.reassignments() == [])
        self._control.elect_preferred_leaders(list(self._before))
        eventually(lambda: led_by_preferred(self._control, [self._topic]))
        eventually(lambda: throttles(self._control, BROKERS) == {})

    def _apply(self, step: int = 0, phase: str = "before") -> list[Step]:
        trace = self._below / "trace"
        trace.write_text("")
        command = (sys.executable, "-m", "tests.e2e.thor_killing")
        driver = ("--step", str(step), "--phase", phase, "--trace", trace, "--", "thor", "apply", self._file)
        process = self._home.start(*driver, "--throttle", "2MB/s", *self._options, command=command)
        finished(process, -signal.SIGKILL if step else 0)
        return [Step(int(n), name) for n, name in (line.split() for line in trace.read_text().splitlines())]

    def _there(self) -> dict[tuple[str, int], tuple[int, ...]]:
        topics = {topic for topic, _ in self._before}
        found = {(t, n): r for t in topics for n, r in enumerate(replicas_of(self._control, t))}
        return {key: found[key] for key in self._before}

    def _sound(self, then: str) -> list[str]:
        wrong = []
        there, left = self._there(), throttles(self._control, BROKERS)
        if then == "cancel":
            strange = {key: r for key, r in there.items() if r not in (self._before[key], self._after[key])}
            if strange:
                wrong.append(f"these are neither as before nor as planned: {strange}")
            # Where everything had moved already the drain was done, and its cordon is what was wanted.
            if left and (left != CORDONED or there != self._after):
                wrong.append(f"set are {left}")
        else:
            if there != self._after:
                wrong.append(f"the replicas are {there}, planned were {self._after}")
            if left != CORDONED:
                wrong.append(f"set are {left}")
            if not led_by_preferred(self._control, [self._topic]):
                wrong.append("not every first replica leads, or not all are in sync")
        if moving := self._control.reassignments():
            wrong.append(f"still moving are {[(p.topic, p.partition) for p in moving]}")
        status: Answer = self._home.run("journal", "operations", "--json")
        if unfinished := status.json:
            wrong.append(f"unfinished is {unfinished}")
        return wrong
