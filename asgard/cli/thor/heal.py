"""`asgard thor heal`, `watch` and `history`: brokers die, and no one gets paged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Confirm, Context, Which, Yes, command
from asgard.cli.moments import Every, Last, Since, every_seconds, since_s, utc
from asgard.cli.numbers import parse_number
from asgard.cli.thor import app
from asgard.cli.thor.common import DryRun, limits_of
from asgard.core import console, units
from asgard.core.console import Table
from asgard.core.errors import ExitCode

if TYPE_CHECKING:
    from asgard.cluster.limits import Limits
    from asgard.thor.heal.once import Turn
    from asgard.thor.heal.policy import Policy
    from asgard.thor.heal.situation import Decision

PolicyPath = Annotated[
    Path | None,
    typer.Option(
        "--policy", metavar="FILE", help="A file with `policy:` and `limits:`; default: thor.yaml, if there is one."
    ),
]
Grace = Annotated[
    str | None,
    typer.Option(
        "--grace", metavar="TIME", help="How long a broker may be gone before data moves; overrides the policy."
    ),
]


@command(app, example="asgard thor heal --yes\nasgard thor heal --dry-run --grace 0")
def heal(
    which: Which = Which(),
    policy: PolicyPath = None,
    grace: Grace = None,
    dry_run: DryRun = False,
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Look at a cluster once, and do the one thing that it needs most; for cron, or by hand.

    Exits with 0 if the cluster is healthy or was healed, 1 if it waits (a grace period: it shows the time left), pauses
    or failed, 75 if another command is healing it.
    """
    from asgard.compose import heal as healing

    given, limits = _policy(policy, grace, dry_run)
    picked = which.pick()
    turn = healing.once(healing.Healing(picked, given, limits, healing.Manner(_agree, confirm)))
    healed = turn.healed
    document = {**console.to_plain(healed), "cluster": picked.name, "exit_code": int(turn.exit_code)}
    console.emit(document, text=str(healed))
    return int(turn.exit_code)


@command(app, example="asgard thor watch --yes\nasgard thor watch --every 10s --policy thor.yaml --yes")
def watch(
    which: Which = Which(),
    every: Every = "2s",
    policy: PolicyPath = None,
    grace: Grace = None,
    dry_run: DryRun = False,
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Heal a cluster whenever something fails, until Ctrl-C or SIGTERM; prints a line per event.

    A broker that comes or goes is seen within a second of Kafka's own detection, whatever --every says.
    """
    import threading
    import time

    from asgard.compose import heal as healing
    from asgard.core.errors import AsgardError, Interrupted
    from asgard.core.process import stay_small
    from asgard.thor.heal.once import CutShort

    stay_small()
    every_s = every_seconds(every, "100ms")
    given, limits = _policy(policy, grace, dry_run)
    picked = which.pick()
    if not given.dry_run:
        console.ask(f"Heal {picked.name} without asking again?")
    told = _Told()
    last = ""

    def complain(error: AsgardError) -> None:
        nonlocal last
        if error.what != last:
            console.warn(error.what)
        last = error.what

    def report(turn: Turn) -> None:
        nonlocal last
        last = ""
        if told.new(turn):
            at = utc(time.time())
            document = {"at": at, **console.to_plain(turn.healed), "cluster": picked.name}
            console.emit_line(document, f"{at} {turn.healed}")

    console.current().times = True
    try:
        healing.watch(
            healing.Healing(picked, given, limits, healing.Manner(None, confirm)),
            every_s=every_s,
            over=threading.Event(),
            report=report,
            complain=complain,
        )
    except CutShort:
        raise
    except (KeyboardInterrupt, Interrupted):
        console.say(f"no longer watching {picked.name}; nothing is half done")
    return int(ExitCode.OK)


@command(app, example="asgard thor history\nasgard thor history --since 7d --json")
def history(
    context: Context = None,
    since: Since = None,
    last: Last = 20,
) -> None:
    """Show what was healed, oldest first: cause, decision, outcome, duration. With --context: of one cluster."""
    from asgard.core import contexts
    from asgard.journal import events
    from asgard.journal.store.database import open_journal
    from asgard.thor.heal.history import healings

    cluster = contexts.load().pick(context).cluster_id if context else None
    wanted = events.EventFilter(kind="thor.heal.*", since=since_s(since))
    with open_journal() as journal:
        found = healings(events.read(journal, wanted))
    found = [h for h in found if cluster in (None, h.cluster_id)]
    found = found if since else found[-last:]
    rows = [
        [utc(h.at), h.cluster, h.cause, h.action, h.state, h.outcome or None, _took(h.seconds), h.drill] for h in found
    ]
    columns = ["time (UTC)", "cluster", "cause", "decision", "state", "outcome", "took", "drill"]
    console.emit([{**console.to_plain(h), "at": utc(h.at)} for h in found], Table(columns, rows))


class _Told:
    """The watcher's last message, so that it only reports news."""

    def __init__(self) -> None:
        self._last: tuple[object, ...] = ()

    def new(self, turn: Turn) -> bool:
        """Whether this turn is worth a line."""
        healed = turn.healed
        now = (healed.state, healed.decision, healed.brokers)
        told, self._last = now != self._last, now
        return told or healed.state in ("healed", "failed")


def _took(seconds: float | None) -> str | None:
    return None if seconds is None else units.format_duration(seconds)


def _agree(decision: Decision, details: str) -> None:
    console.say(f"{decision}" + (f" {details}" if details else ""))
    console.ask("Do it?")


def _policy(path: Path | None, grace: str | None, dry_run: bool) -> tuple[Policy, Limits]:
    """Policy and limits from the options, else from thor.yaml (limits: or asgard.yaml), else the defaults."""
    from dataclasses import replace

    from asgard.thor.heal import policy

    if path is None and (thor := Path("thor.yaml")).is_file():
        path = thor
    given = policy.read(path) if path else policy.Policy()
    limits = limits_of(path)
    if grace is not None:
        given = replace(given, grace_s=parse_number("--grace", grace, units.parse_duration))
    return replace(given, dry_run=given.dry_run or dry_run), limits
