"""What the commands of `asgard odin` show: plans to approve, progress, warnings, failures, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgard.core import console
from asgard.core.errors import AsgardError, ExitCode

if TYPE_CHECKING:
    from asgard.kafka.model import GateVerdict
    from asgard.odin.engine.steps import Failure
    from asgard.odin.lifecycle.apply import ApplyOutcome
    from asgard.odin.lifecycle.drift import DriftReport


def approve(question: str, *, agreed: bool = False) -> Any:
    """Shows a plan and asks; `agreed`: an option has already answered."""

    def approve(outcome: ApplyOutcome) -> None:
        from asgard.odin.lifecycle import display

        notes(outcome)
        if outcome.result.ok or display.changes(outcome.result):
            console.say(plan(outcome))
        if not outcome.result.ok:
            raise _impossible(outcome)
        if outcome.changes and not agreed:
            console.ask(question)

    return approve


def plan(outcome: ApplyOutcome) -> str:
    """What would be done: the changes, what they lose, and the nodes that get new machines."""
    from asgard.odin.lifecycle import display, roll

    text = display.text(outcome.result, outcome.losses)
    return f"{text}\n{roll.sentence(outcome.replaced)}" if outcome.replaced else text


def _impossible(outcome: ApplyOutcome) -> AsgardError:
    """The error for a plan that can't be carried out; it keeps the exit code of its reason."""
    first, *more = outcome.result.errors
    also = f" (and {len(more)} more like it)" if more else ""
    hint = f"{first.hint} " if first.hint else ""
    error = AsgardError(f"{_sentence(first)}{also}", f"{hint}Nothing was changed.")
    error.exit_code = outcome.result.exit_code
    return error


def warnings(outcome: ApplyOutcome) -> None:
    for warning in outcome.result.warnings:
        console.warn(warning)


def notes(outcome: ApplyOutcome) -> None:
    warnings(outcome)
    if outcome.seen is not None:
        for line in drift_lines(outcome.seen):
            console.say(f"drift: {line}")


def gate(verdict: GateVerdict) -> str:
    """The result of the gate: each goal with its figure."""
    goals = ", ".join(f"{goal} {got} (goal: {wanted})" for goal, wanted, got, _ in verdict.figures)
    warm_up = f"; the first {verdict.warm_up_s:g} s were sent but not measured" if verdict.warm_up_s else ""
    return f"gate {'passed' if verdict.passed else 'not met'}: {goals}{warm_up}"


def failed(outcome: ApplyOutcome) -> int:
    if outcome.gate is not None and not outcome.gate.passed:
        console.say(
            console.style("error: ", "bold", "red") + f"the gate was not met: {outcome.gate.reason}\n"
            f"What was created stays; the next `up` runs the gate again. Its plots: {outcome.gate.report}"
        )
        return ExitCode.FAILED
    for failure in outcome.result.errors:
        hint = f"\n{failure.hint}" if failure.hint else ""
        console.say(console.style("error: ", "bold", "red") + f"{_sentence(failure)}{hint}")
    if outcome.result.skipped:
        console.say(f"{len(outcome.result.skipped)} resources that need them were left alone")
    if outcome.result.interrupted:
        console.say("interrupted: what was done is recorded; run the same command again to continue")
    return outcome.result.exit_code


def _sentence(failure: Failure) -> str:
    named = not failure.name or failure.message.startswith(f"{failure.name}:")
    return failure.message if named else f"{failure.name}: {failure.message}"


def drift_lines(seen: DriftReport) -> list[str]:
    unseen = [f"the cluster does not answer, so only its nodes were looked at: {seen.unseen}"] if seen.unseen else []
    return [str(drift) for drift in seen.drifts] + unseen


def drift_document(seen: DriftReport) -> list[dict[str, Any]]:
    return [
        {
            "what": drift.what,
            "type": drift.type,
            "name": drift.name,
            "differences": {path: {"was": old, "is": new} for path, (old, new) in drift.differences.items()},
            **({"partitions": list(drift.partitions)} if drift.partitions else {}),
        }
        for drift in seen.drifts
    ]
