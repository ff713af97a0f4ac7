"""What a run amounts to: its status, as Chaos Toolkit has it, the exit code, and the reason in a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from asgard.core.errors import ExitCode
from asgard.loki.chaos.record import Record, Run


def verdict(record: Record, ended: str | None, refused: str | None, left: str | None) -> tuple[ExitCode, str | None]:
    """The exit code of a run, and why it is not 0: what weighs most comes first."""
    failed = [r["activity"]["name"] for r in record.run if r["status"] == "failed"]
    missed = [f"{r['activity']['name']} gave {r['output']!r}" for r in record.run if r.get("tolerance_met") is False]
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
    return next(((code, why) for true, code, why in reasons if true), (ExitCode.OK, None))


def worst(state: Run | None) -> str:
    if not state or not state["probes"]:
        return ""
    last = state["probes"][-1]
    found = last["output"] if last["status"] == "succeeded" else last["exception"][-1].strip()
    return f"{last['activity'].get('name', '')} gave {found!r}"


def judged(state: Run) -> str:
    """The status of a run whose hypothesis was not met: failed where a probe could not look."""
    return "completed" if all(p["status"] == "succeeded" for p in state["probes"]) else "failed"
