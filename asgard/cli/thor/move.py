"""`asgard thor apply` and `cancel`: run a plan, and take back one that is half done."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Confirm, Which, Yes, command
from asgard.cli.thor import app
from asgard.cli.thor.common import CALL_DEADLINE_S, LimitsPath, Throttle, limits_of
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from asgard.cluster.limits import Limits
    from asgard.cluster.moves import Executed
    from asgard.cluster.plan import Plan
    from asgard.kafka.target import Target
    from asgard.thor.plan.given import WantedReplicas


@command(app, example="asgard thor apply drain.json --throttle 20MB/s")
def apply(
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN", help="A plan that `thor plan … --out` wrote, or a reassignment of Kafka's own tools."
        ),
    ],
    throttle: Throttle = None,
    limits: LimitsPath = None,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Carry out a plan, batch by batch; if it is interrupted, run it again to continue.

    Exits with 1 if it stopped because health got worse, or could not move everything, and with 75 if more urgent
    work took over.
    """
    from asgard.cluster.plan import Plan
    from asgard.thor.plan import file as plan_file

    found, given = plan_file.read_any(plan), limits_of(limits)
    picked = which.pick()
    if not isinstance(found, Plan):
        return _take_over(picked, plan, found, given, throttle, confirm)
    return carry_out(picked, found, given, throttle, confirm)


def _take_over(
    target: Target,
    file: Path,
    wanted: tuple[WantedReplicas, ...],
    limits: Limits,
    throttle: str | None,
    confirm: str | None,
) -> int:
    """Run another tool's reassignment as a separate plan, which is kept for the way back."""
    from asgard.cli.thor.summary import summary
    from asgard.cluster import look
    from asgard.core import paths
    from asgard.thor.plan import file as plan_file
    from asgard.thor.plan import planner

    with closing(target.connect(deadline_s=CALL_DEADLINE_S)) as control:
        snapshot = look.take(control)
    plan = planner.reassign(snapshot, wanted, limits, file.name)
    kept = paths.home() / "plans" / f"{file.stem}-{snapshot.taken_at.replace(':', '')}.json"
    if plan.moved:
        kept.parent.mkdir(parents=True, exist_ok=True)
        plan_file.write(plan, kept)
        console.say(f"{file} was written by another tool; the way back: asgard thor plan undo {kept}")
    return carry_out(target, plan, limits, throttle, confirm, shown=summary(plan))


def carry_out(
    target: Target, plan: Plan, limits: Limits, throttle: str | None, confirm: str | None, shown: str | None = None
) -> int:
    """Show the moves (`shown`, if the caller has more to show), ask, run them, show the result.

    A plan that could not plan everything requested ends with 1, whatever the result of the rest.
    """
    from asgard.compose import apply as applying

    rate = applying.throttle_of(throttle, plan)
    fast = "no throttle" if rate is None else rate if isinstance(rate, str) else f"{units.format_size(rate)}/s a broker"
    what = f"{plan.kind} {' '.join(plan.arguments)}".strip()
    console.say(
        shown
        or f"{what}: {plan.moved} {'partitions' if plan.changes else 'replicas'}, {units.format_size(plan.bytes_moved)} to copy"
    )
    console.ask(f"Carry it out in {target.name}, throttle: {fast}?")
    done = applying.apply(target, plan, limits, throttle=rate, confirm=confirm)
    code = report(done)
    return int(ExitCode.FAILED) if code == ExitCode.OK and plan.failed else code


def report(done: Executed) -> int:
    """Show the result of a plan. Returns its exit code."""
    lines = [str(done)]
    if why := done.handed_over or done.paused:
        lines.append(f"ended early: {why}. Run the same command later to continue.")
    if done.stopped:
        lines.append(f"stopped: {done.stopped}. Check `asgard thor status`; run the same command to continue.")
    rows = [[name, why] for name, why in sorted(done.refused.items())]
    tables = [Table(["partition", "why it was not moved"], rows[:40])] if rows else []
    console.emit({**console.to_plain(done), "exit_code": int(done.exit_code)}, *tables, text="\n".join(lines))
    return int(done.exit_code)


@command(app, example="asgard thor cancel --context orders")
def cancel(
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Cancel what is running or half done: reverts moves in flight, lifts throttles and cordons.

    Finished moves stay; `asgard thor plan undo PLAN` plans the way back.
    """
    from asgard.compose import apply as applying

    picked = which.pick()
    console.ask(f"Cancel the moves in flight in {picked.name}?")
    done = applying.cancel(picked, confirm)
    if not done.of:
        console.emit(done, text="Nothing is in progress or half done.")
        return int(ExitCode.OK)
    console.emit(done, text=str(done))
    return int(ExitCode.OK)
