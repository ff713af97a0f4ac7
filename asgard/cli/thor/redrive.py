"""`asgard thor redrive`: send dead letters back to where they came from."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from asgard.cli.command import Confirm, Which, Yes, command
from asgard.cli.thor import app
from asgard.cli.thor.common import CALL_DEADLINE_S, ByteRate, DryRun, LimitsPath, limits_of, rate_of
from asgard.cli.thor.replay import Fields, HeaderFilters, Keys, RecordRate
from asgard.core import console
from asgard.core.console import Table
from asgard.core.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
    from asgard.thor.redrive.redrive import RedriveReport

_SHOWN = 40


@command(
    app,
    example="asgard thor redrive orders.dlq --dry-run\nasgard thor redrive orders.dlq 0:17 2:4-9 --yes\nasgard thor redrive orders.dlq --header '__connect.errors.exception.class.name=*Timeout*' --yes",
)
def redrive(
    dlq: Annotated[str, typer.Argument(metavar="TOPIC", help="The dead letter topic.")],
    letters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PARTITION:OFFSET]...", help="PARTITION:OFFSET of dead letters, or a range 0:17-20; default: all."
        ),
    ] = None,
    key: Keys = None,
    header: HeaderFilters = None,
    field: Fields = None,
    target_header: Annotated[
        list[str] | None,
        typer.Option(
            "--target-header",
            metavar="NAME",
            help="Header that names the original topic; takes precedence over those of Connect and Spring.",
        ),
    ] = None,
    max_tries: Annotated[
        int, typer.Option("--max-tries", metavar="N", min=1, help="Skip records that came back this often already.")
    ] = 3,
    rate: ByteRate = None,
    records: RecordRate = None,
    dry_run: DryRun = False,
    limits: LimitsPath = None,
    which: Which = Which(),
    confirm: Confirm = None,
    yes: Yes = False,
) -> int:
    """Send dead letters back to the topic that their headers name, each exactly once. Lists those that can't be sent; they stay.

    A second redrive sends what is new, and what stayed. Exits with 1 if a dead letter can't be sent.
    """
    from asgard.journal.store.database import open_journal
    from asgard.thor.redrive import letters as reading
    from asgard.thor.redrive import redrive as redriving
    from asgard.thor.replay import filters
    from asgard.thor.replay.model import Endpoint

    pace = rate_of(rate, records, limits_of(limits).rate_bytes_per_s)
    wanted = filters.matcher(filters.Filter(tuple(key or ()), tuple(header or ()), tuple(field or ())))
    try:
        chosen = reading.chosen_of(letters or ())
    except ValueError as error:
        raise WrongUsage(f"a dead letter {error}") from error
    picked = which.pick()
    with open_journal() as journal, closing(picked.connect(deadline_s=CALL_DEADLINE_S)) as control:
        cluster = Endpoint(picked.connection, control)
        request = redriving.RedriveRequest(dlq, chosen, wanted, tuple(target_header or ()), max_tries)
        prepared = redriving.prepare(cluster, request, journal)
        found = redriving.look(cluster, prepared)
        count = sum(found.by_target.values())
        if dry_run or not count:
            return _emit(dlq, found, done=False)
        names = ", ".join(f"{n} to {topic}" for topic, n in sorted(found.by_target.items()))
        console.say(f"redrive {dlq}: {names}")
        console.ask(f"Send {count} dead letters back in {picked.name}?")
        _, found = redriving.run(cluster, prepared, found, journal, pace, confirm)
    return _emit(dlq, found, done=True)


def _emit(dlq: str, found: RedriveReport, *, done: bool) -> int:
    count = sum(found.by_target.values())
    document = {"topic": dlq, "done": done, "letters": count, **console.to_plain(found)}
    verb = "were sent" if done else "would be sent"
    tables = []
    if found.by_target:
        rows = [[topic, n] for topic, n in sorted(found.by_target.items())]
        tables.append(Table(["target", verb], rows, right=frozenset({verb})))
    if found.stays:
        rows = [[s.partition, s.offset, s.why, s.target] for s in found.stays[:_SHOWN]]
        columns = ["partition", "offset", "why it stays", "target"]
        tables.append(Table(columns, rows, right=frozenset({"partition", "offset"})))
    stays = sum(n for why, n in found.left.items() if why not in ("filtered", "sent before"))
    lines = [f"{count} dead letters of {dlq} {verb} back"]
    lines += [f"{stays} can't be sent and stay"] if stays else []
    lines += [f"{found.left[why]} {words}" for why, words in _OTHERS.items() if found.left.get(why)]
    console.emit(document, *tables, text="; ".join(lines) + ".")
    return int(ExitCode.FAILED if stays else ExitCode.OK)


_OTHERS = {"filtered": "do not match the filters", "sent before": "were sent before"}
