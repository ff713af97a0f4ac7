"""Runs a recipe: its conditions, its steps one after the other, and its actions for when one of them fails.

The actions of steps are passed in (`World`), so this module knows nothing of Kafka. Each step has a deadline and tries; its
result is noted in the journal before the next one starts. A killed run is continued at the step it was in, which looks at the
cluster as it is now (plans are made again, a rolling restart remembers its brokers).

Times are seconds of `time.monotonic`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from asgard.core import events as news
from asgard.core.condition import Condition
from asgard.core.errors import AsgardError, Busy, ExitCode, Failed, Interrupted, Unreachable, WrongUsage
from asgard.core.units import format_duration
from asgard.thor.recipes import memory as journal_of
from asgard.thor.recipes.facts import ClusterFacts, ConditionVerdict
from asgard.thor.recipes.memory import Memory
from asgard.thor.recipes.model import Recipe, RecipeStep

if TYPE_CHECKING:
    from asgard.journal.events import Event

Outcome = Literal["done", "nothing", "waiting", "skipped", "failed"]
"""`nothing`: it was already so; `waiting`: not yet, as inside a grace; `skipped`: a killed run had done it."""
POLL_S = 1.0
PATIENCE_S = 300.0
"""How long a run that has changed something waits while another command changes the cluster."""


class HandedOver(Busy):
    """A step handed the cluster over to a more urgent command, and continues after it."""


@dataclass(frozen=True)
class Done:
    """The result of a step, in a sentence."""

    outcome: Outcome
    text: str


@dataclass(frozen=True)
class Attempt:
    """One try of a step, and what an action may use. `deadline` is a time of `time.monotonic`, infinite if there is none.

    `begun`: the run has already changed something, so it waits for the cluster rather than leave its work half done.
    """

    step: RecipeStep
    memory: Memory
    deadline: float
    begun: bool
    facts: Callable[[], ClusterFacts]

    @property
    def left_s(self) -> float:
        """Seconds until its deadline, never below 0."""
        return max(0.0, self.deadline - time.monotonic())

    @property
    def patience_s(self) -> float:
        """How long to wait while another command changes the cluster."""
        return min(PATIENCE_S, self.left_s) if self.begun else 0.0

    def check(self) -> None:
        """Raise Failed if the deadline has passed."""
        if time.monotonic() > self.deadline:
            raise Failed(
                f"{self.step.name} timed out",
                "What it started is recorded; run the recipe again, or give the step a longer timeout.",
            )


Action = Callable[[Attempt], Done]


@dataclass(frozen=True)
class World:
    """What a recipe works with: the cluster's current facts, and its actions."""

    facts: Callable[[], ClusterFacts]
    actions: Mapping[str, Action]


@dataclass
class StepReport:
    """The result of a step."""

    number: int
    action: str
    name: str
    outcome: Outcome
    text: str
    seconds: float
    tries: int = 1
    on_failure: bool = False


@dataclass
class Report:
    """The result of a run. `resumed`: it continued a killed run. `hint`: what to do if it failed."""

    recipe: str
    cluster: str
    run: str
    outcome: Outcome
    text: str
    seconds: float = 0.0
    resumed: bool = False
    steps: list[StepReport] = field(default_factory=list)
    exit_code: int = ExitCode.OK
    hint: str | None = None


def run(
    recipe: Recipe,
    world: World,
    memory: Memory,
    cluster: str,
    *,
    agree: Callable[[], None],
    trigger: Event | None = None,
) -> Report:
    """Run a recipe. `agree` is called before anything is done, and raises if that is declined.

    Later failures are in the report; an interruption is raised, and the next run continues from there.
    """
    began = time.monotonic()
    report = Report(recipe.name, cluster, memory.run, "done", "", resumed=memory.resumes is not None)
    if memory.resumes is not None:
        at = datetime.fromtimestamp(memory.resumes, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        news.note(f"resuming the run of {at}, which was interrupted")
    else:
        verdicts = _judged(world, recipe.when)
        unknown = [v for v in verdicts if v.holds is None]
        if unknown:
            raise Failed(f"can't tell whether there is anything to do: {unknown[0]}", "asgard thor status shows what does not answer.")  # fmt: skip
        broken = [v for v in verdicts if not v.holds]
        if broken:
            report.outcome, report.text = "nothing", f"nothing to do: {broken[0]}"
            if trigger is not None:
                memory.note(journal_of.SKIPPED, {"event": trigger.id, "text": report.text})
            return report
        for verdict in verdicts:
            news.note(str(verdict))
    agree()
    memory.start(trigger)
    runner = _Runner(recipe, world, memory, report, began + (recipe.timeout_s or math.inf), report.resumed)
    runner.all_steps()
    report.seconds = round(time.monotonic() - began, 1)
    if report.outcome == "failed":
        memory.note(journal_of.FAILED, {"text": report.text, "exit_code": int(report.exit_code)})
    else:
        report.text = report.text or f"done in {format_duration(report.seconds)}"
        memory.note(journal_of.FINISHED, {"outcome": report.outcome, "text": report.text})
    return report


@dataclass
class _Runner:
    recipe: Recipe
    world: World
    memory: Memory
    report: Report
    deadline: float
    acted: bool = False

    def all_steps(self) -> None:
        over = self.memory.finished_steps()
        for step in self.recipe.steps:
            if step.number in over:
                self.note(StepReport(step.number, step.action, step.name, "skipped", "done already", 0.0))
                continue
            done = self.step(step)
            if done.outcome == "failed":
                if self.acted or self.report.exit_code != ExitCode.BUSY:
                    self.on_failure()
                return
            if done.outcome == "waiting":
                self.report.outcome, self.report.text, self.report.exit_code = "waiting", done.text, ExitCode.FAILED
                return

    def on_failure(self) -> None:
        for step in self.recipe.on_failure:
            self.step(step, on_failure=True)

    def step(self, step: RecipeStep, *, on_failure: bool = False) -> StepReport:
        """One step with its tries; if one of the recipe's own steps fails, the run fails."""
        label = f"{'on failure' if on_failure else 'step'} {step.number}, {step.name}"
        began = time.monotonic()
        deadline = min(math.inf if on_failure else self.deadline, began + (step.given.timeout or math.inf))
        attempt = Attempt(step, self.memory, deadline, self.acted, self.world.facts)
        result = StepReport(step.number, step.action, step.name, "failed", "", 0.0, on_failure=on_failure)
        for result.tries in range(1, step.given.retries + 2):
            try:
                attempt.check()
                with news.titled(label):
                    done = self._patiently(attempt)
                result.outcome, result.text = done.outcome, done.text
                break
            except Interrupted:
                raise
            except AsgardError as error:
                result.text = error.what
                last = result.tries > step.given.retries or isinstance(error, WrongUsage)
                if last or attempt.left_s <= step.given.retry_after:
                    self._failed(error, label, on_failure)
                    break
                news.note(f"{label}: {error.what}; trying again in {format_duration(step.given.retry_after)}")
                time.sleep(step.given.retry_after)
        result.seconds = round(time.monotonic() - began, 1)
        self.acted |= result.outcome == "done" and step.action not in ("verify", "wait-until")
        self.note(result)
        return result

    def note(self, result: StepReport) -> None:
        """Log and record a step's result."""
        lead = "on failure" if result.on_failure else "step"
        self.report.steps.append(result)
        news.note(f"{lead} {result.number}, {result.name}: {result.outcome}: {result.text}")
        if result.outcome != "skipped" and not result.on_failure:
            kind = journal_of.STEP_FAILED if result.outcome == "failed" else journal_of.STEP_FINISHED
            about = {"number": result.number, "action": result.action, "outcome": result.outcome}
            self.memory.note(kind, {**about, "text": result.text, "seconds": result.seconds, "tries": result.tries})

    def _patiently(self, attempt: Attempt) -> Done:
        """Take the step; if a more urgent command gets the cluster in the meantime, take it again afterwards."""
        busy_since = 0.0
        while True:
            try:
                return self._act(attempt)
            except Busy as error:
                handed_over = isinstance(error, HandedOver)
                busy_since = time.monotonic() if handed_over or not busy_since else busy_since
                patience_s = min(PATIENCE_S, attempt.left_s) if handed_over else attempt.patience_s
                if time.monotonic() + POLL_S > busy_since + patience_s:
                    raise
                self.acted |= handed_over
                attempt = replace(attempt, begun=self.acted)
                news.note(f"waiting: {error.what}")
                time.sleep(POLL_S)

    def _act(self, attempt: Attempt) -> Done:
        if attempt.step.action == "verify":
            return _verify(attempt)
        if attempt.step.action == "wait-until":
            return _wait_until(attempt)
        return self.world.actions[attempt.step.action](attempt)

    def _failed(self, error: AsgardError, label: str, on_failure: bool) -> None:
        if on_failure:
            return
        self.report.outcome, self.report.hint, self.report.exit_code = "failed", error.hint, error.exit_code
        self.report.text = f"failed in {label}: {error.what}"


def _judged(world: World, conditions: Sequence[Condition]) -> list[ConditionVerdict]:
    return world.facts().judge_all(conditions) if conditions else []


def _verify(attempt: Attempt) -> Done:
    verdicts = attempt.facts().judge_all(attempt.step.given.that)  # type: ignore[attr-defined]
    broken = [v for v in verdicts if not v.holds]
    if broken:
        raise Failed("; ".join(str(v) for v in broken), "asgard thor status shows the cluster.")
    return Done("done", "; ".join(str(v) for v in verdicts))


def _wait_until(attempt: Attempt) -> Done:
    conditions = attempt.step.given.condition  # type: ignore[attr-defined]
    began = time.monotonic()
    told = ""
    while True:
        looked = time.monotonic()
        try:
            broken = [str(v) for v in attempt.facts().judge_all(conditions) if not v.holds]
        except Unreachable as error:
            broken = [error.what]
        if not broken:
            return Done("done", f"{_all(conditions)} after {format_duration(time.monotonic() - began)}")
        if broken[0] != told:
            news.note(f"waiting: {broken[0]}")
            told = broken[0]
        # A cluster that takes long to look at is looked at less often.
        pause = max(POLL_S, time.monotonic() - looked)
        if attempt.left_s < pause:
            raise Failed(f"timed out after {format_duration(time.monotonic() - began)}: {broken[0]}", "asgard thor status shows the cluster.")  # fmt: skip
        time.sleep(pause)


def _all(conditions: Sequence[Condition]) -> str:
    return " and ".join(c.text for c in conditions)
