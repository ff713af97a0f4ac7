"""The verdict on a run: its status, as Chaos Toolkit defines it, the exit code, and the reason in one line. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asgard.core.errors import ExitCode
from asgard.loki.chaos import words
from asgard.loki.chaos.record import Run, RunRecord


def verdict(record: RunRecord, ended: str | None, refused: str | None, left: str | None) -> tuple[ExitCode, str | None]:
    """The exit code of a run, and why it is not 0: the most serious reason first."""
    failed, missed = _failed(record.run), _missed(record.run)
    undone = _failed(record.rollbacks) + _missed(record.rollbacks)
    before_failed = record.before is not None and not record.before["steady_state_met"]
    reasons: Sequence[tuple[bool, ExitCode, str | None]] = (
        (left is not None, ExitCode.FAILED, left),
        (record.status == "interrupted", ExitCode.INTERRUPTED, "interrupted; all that was broken is put back"),
        (refused is not None, ExitCode.REFUSED, refused),
        (record.status == "aborted", ExitCode.FAILED, f"aborted: {ended}"),
        (before_failed, ExitCode.FAILED, f"not in the steady state to begin with: {worst(record.before)}"),
        (record.deviated, ExitCode.FAILED, f"deviated from the steady state: {worst(record.after)}"),
        (bool(missed), ExitCode.FAILED, f"out of tolerance: {', '.join(missed)}"),
        (bool(failed), ExitCode.FAILED, f"failed, so nothing is proven: {', '.join(failed)}"),
    )
    code, why = next(((code, why) for true, code, why in reasons if true), (ExitCode.OK, None))
    if not undone:
        return code, why
    rollback = f"a rollback failed: {', '.join(undone)}"
    return (ExitCode.FAILED, rollback) if why is None else (code, f"{why}; {rollback}")


def _failed(runs: Sequence[Run]) -> list[str]:
    """Activities that failed, with why; also programs and HTTP responses that report failure themselves."""
    said = [(run, words.came(run) if run["status"] == "failed" else words.unjudged_failure(run)) for run in runs]
    return [f"{run['activity']['name']}: {why}" for run, why in said if why is not None]


def _missed(runs: Sequence[Run]) -> list[str]:
    return [f"{r['activity']['name']} gave {words.came(r)}" for r in runs if r.get("tolerance_met") is False]


def worst(state: Run | None) -> str:
    """The probe that was not well, and what it found."""
    if not state or not state["probes"]:
        return ""
    last = state["probes"][-1]
    return f"{last['activity'].get('name', '')} gave {words.came(last)}"


def judged(state: Run) -> str:
    """The status of a run whose hypothesis was not met: failed if a probe could not look."""
    return "completed" if all(p["status"] == "succeeded" for p in state["probes"]) else "failed"
