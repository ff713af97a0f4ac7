"""`asgard thor rewind`: move a consumer group's offsets back or forward, and undo that."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Confirm, Which, Yes, command
from asgard.cli.moments import parse_since
from asgard.cli.thor import app
from asgard.cli.thor.common import CALL_DEADLINE_S, DryRun
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.kafka.ports import ControlPlane
    from asgard.thor.rewind.goal import Goal
    from asgard.thor.rewind.rewind import PreparedRewind

_SHOWN = 60


@command(
    app,
    example="asgard thor rewind billing --to 2h --dry-run\nasgard thor rewind billing --to 2026-11-24T09:00 --topic 'orders.*' --yes\nasgard thor rewind billing --undo --yes",
)
def rewind(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The consumer group.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="WHEN", help="An age, a date (UTC), start, end, or a file with topic,partition,offset."
        ),
    ] = None,
    like: Annotated[str | None, typer.Option("--like", metavar="GROUP", help="The offsets of another group.")] = None,
    by: Annotated[
        int | None, typer.Option("--by", metavar="N", help="Move by this many records; a negative number goes back.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Undo the last rewind of this group.")] = False,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", metavar="PATTERN", help="Only these topics; * and ? are wild.")
    ] = None,
    dry_run: DryRun = False,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Set the offsets of a consumer group. Shows what it would read again or skip, and records the old offsets for --undo.

    Refused while the group is active. Works for groups of the classic and the new protocol.
    """
    from asgard.journal.store.database import open_journal
    from asgard.thor.rewind import rewind as rewinding

    if sum(given is not None for given in (to, like, by)) + undo != 1:
        raise WrongUsage("one goal is required", "Give one of --to, --like, --by and --undo.")
    picked = which.pick()
    with open_journal() as journal, closing(picked.connect(deadline_s=CALL_DEADLINE_S)) as control:
        if undo:
            prepared = rewinding.prepare_undo(control, group, journal)
        else:
            prepared = rewinding.prepare(control, group, _goal(control, group, to, like, by), topic or [])
        if dry_run or not (prepared.changes or prepared.undoes):
            _emit(prepared, done=False)
            return int(ExitCode.OK)
        if prepared.changes:
            console.say(console.render(_table(prepared)))
            console.ask(f"Set {len(prepared.changes)} offsets of group {group} in {picked.name}?")
        rewinding.run(control, prepared, journal, confirm)
    _emit(prepared, done=True)
    return int(ExitCode.OK)


def _goal(control: ControlPlane, group: str, to: str | None, like: str | None, by: int | None) -> Goal:
    from asgard.thor.rewind import goal, rewind

    if like is not None:
        offsets = rewind.offsets_of(control, like)
        if not offsets:
            raise WrongUsage(f"group {like} has no offsets")
        return goal.Goal("offsets", f"to the offsets of {like}", offsets=offsets)
    if by is not None:
        return goal.Goal("by", f"by {by}", by=by)
    assert to is not None
    if to in ("start", "end"):
        return goal.Goal("start" if to == "start" else "end", f"to the {to}")
    if Path(to).is_file():
        return goal.Goal("offsets", f"to the offsets in {to}", offsets=goal.read_file(Path(to), group))
    try:
        at = parse_since(to, time.time())
    except WrongUsage as error:
        raise WrongUsage(
            f"--to is {to!r}, which is neither an age, a date, start, end nor a file",
            "Write 2h, 2026-11-24T09:00 (UTC), start, end, or the path of a file with topic,partition,offset.",
        ) from error
    return goal.Goal("time", f"to {to}", at_ms=round(at * 1000))


def _table(prepared: PreparedRewind) -> Table:
    columns = ["topic", "partition", "now", "then", "read again", "skipped"]
    rows = [
        [c.topic, c.partition, c.before, c.after, c.read_again or None, c.skipped or None]
        for c in prepared.changes[:_SHOWN]
    ]
    return Table(columns, rows, right=frozenset(columns[1:]))


def _emit(prepared: PreparedRewind, *, done: bool) -> None:
    again = sum(c.read_again for c in prepared.changes)
    skipped = sum(c.skipped for c in prepared.changes)
    document = {
        "group": prepared.group,
        "type": prepared.type,
        "goal": prepared.words,
        "done": done,
        "read_again": again,
        "skipped": skipped,
        "changes": [
            {**console.to_plain(c), "read_again": c.read_again, "skipped": c.skipped} for c in prepared.changes
        ],
    }
    if not prepared.changes:
        console.emit(document, text=f"Group {prepared.group} is already there: nothing to set.")
        return
    more = len(prepared.changes) - _SHOWN
    lines = [f"and {more} more partitions"] if more > 0 else []
    effect = f"{again} records at most are read again, {skipped} skipped"
    if done:
        lines.append(f"{len(prepared.changes)} offsets of group {prepared.group} are set: {effect}.")
        lines.append("" if prepared.undoes else f"asgard thor rewind {prepared.group} --undo undoes it.")
        console.emit(document, text="\n".join(line for line in lines if line))
    else:
        console.emit(document, _table(prepared), text="\n".join([*lines, f"{effect}. Nothing was set."]))
