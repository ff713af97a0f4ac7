"""`asgard journal`: what happened, who holds a lease, what is unfinished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from asgard.cli.command import Yes, command, group
from asgard.cli.moments import Last, Since, since_s, utc
from asgard.cli.numbers import parse_number
from asgard.core import console, units
from asgard.core.console import Table

if TYPE_CHECKING:
    from asgard.journal.events import Event
    from asgard.journal.rules import Claimant

app = group()


@command(app, example="asgard journal events --since 2d --kind 'odin.*'")
def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new events until Ctrl-C.")] = False,
    since: Since = None,
    kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Only this kind of event; a trailing star matches a prefix: 'thor.heal.*'."),
    ] = None,
    subject: Annotated[str | None, typer.Option(metavar="NAME", help="Only events of this subject.")] = None,
    correlation: Annotated[str | None, typer.Option(metavar="ID", help="Only events of this correlation id.")] = None,
    last: Last = 50,
) -> None:
    """Show events, oldest first."""
    from asgard.compose.settle import leftovers
    from asgard.journal import events as journal_events
    from asgard.journal.store.database import open_journal

    wanted = journal_events.EventFilter(kind=kind, subject=subject, correlation=correlation, since=since_s(since))
    with open_journal() as journal:
        found = journal_events.read(journal, wanted, last=None if since else last)
        if not follow:
            rows = [[utc(e.at), e.kind, e.subject, e.actor, _short(e.data)] for e in found]
            console.emit([_event(e) for e in found], Table(["time (UTC)", "event", "subject", "actor", "data"], rows))
            leftovers().report(journal, under=[""])
            return
        for event in journal_events.follow(journal, wanted, seen=found):
            line = f"{utc(event.at)}  {event.kind}  {event.subject}  {event.actor}  {_short(event.data)}"
            console.emit_line(_event(event), line.rstrip())


@command(app, example="asgard journal leases")
def leases() -> None:
    """Show who holds or waits for a lease, since when, and what they are doing."""
    from asgard.compose.settle import leftovers
    from asgard.core import process
    from asgard.journal import leases as journal_leases
    from asgard.journal.store.database import open_journal

    with open_journal() as journal:
        now = journal.time()
        held = [s for s in journal_leases.listed(journal) if s.holder]
        waiting = journal_leases.waiting(journal)
        leftovers().report(journal, under=[""])
    document: list[dict[str, Any]] = []
    for state in held:
        assert state.holder is not None
        free = state.is_free(now, process.is_dead)
        entry = {"lease": state.name, "state": "abandoned" if free else "held", "fence": state.fence}
        document.append(entry | _claimant(state.holder))
    document += [{"lease": name, "state": "waiting", "fence": None} | _claimant(c) for name, c in waiting]
    columns = ["lease", "state", "fence", "priority", "doing", "actor", "process", "since"]
    console.emit_rows(document, columns)


@command(app, example="asgard journal operations")
def operations(
    all_: Annotated[bool, typer.Option("--all", help="Show finished ones, too.")] = False,
    last: Annotated[int, typer.Option(min=1, help="With --all: at most this many, the newest.")] = 100,
) -> None:
    """Show temporary changes that are not reverted yet; `asgard recover` reverts the abandoned ones."""
    from asgard.journal import operations as journal_operations
    from asgard.journal.store.database import open_journal

    with open_journal() as journal:
        unfinished = {u.operation.id: u for u in journal_operations.unfinished(journal)}
        listed = (
            journal_operations.history(journal, last=last)
            if all_
            else [u.operation for u in journal_operations.unfinished(journal)]
        )
    document = []
    for operation in listed:
        known = unfinished.get(operation.id)
        lost = known is None or known.abandoned
        state = "finished" if operation.ended_at else "kept" if operation.kept else "abandoned" if lost else "running"
        document.append(
            {
                "id": operation.id,
                "state": state,
                "kind": operation.kind,
                "subject": operation.subject,
                "lease": operation.lease,
                "actor": operation.actor,
                "began": utc(operation.began_at),
                "ended": utc(operation.ended_at) if operation.ended_at else None,
                "outcome": operation.outcome,
                "undo": operation.undo,
            }
        )
    columns = ["id", "state", "kind", "subject", "actor", "began", "outcome"]
    console.emit_rows(document, columns)


@command(app, example="asgard journal prune --older-than 400d --yes")
def prune(
    older_than: Annotated[str, typer.Option(metavar="AGE", help="Delete what is older than this.")] = "400d",
    yes: Yes = False,
) -> None:
    """Delete old events and finished operations; leases, claims and open operations stay."""
    from asgard.journal import events as journal_events
    from asgard.journal.store.database import open_journal

    age_s = parse_number("--older-than", older_than, units.parse_duration)
    with open_journal() as journal:
        console.ask(f"Delete the events of {journal.where} that are older than {units.format_duration(age_s)}?")
        gone = journal_events.prune(journal, age_s)
    console.emit({"deleted": gone}, text=f"deleted {gone} events and finished operations")


def _short(data: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in data.items())


def _event(event: Event) -> dict[str, Any]:
    return console.to_plain(event) | {"at": utc(event.at)}  # type: ignore[no-any-return]


def _claimant(claimant: Claimant) -> dict[str, Any]:
    from asgard.journal.rules import Priority

    priority = claimant.priority
    known = priority in Priority.__members__.values()
    return {
        "priority": Priority(priority).name.lower() if known else str(priority),
        "doing": claimant.doing,
        "actor": claimant.actor,
        "process": str(claimant.who),
        "since": utc(claimant.since),
    }
