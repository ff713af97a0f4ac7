"""`asgard recover`: settle what an interrupted command left behind."""

from __future__ import annotations

from asgard.cli.command import Confirm, Yes, command, single
from asgard.core import console
from asgard.core.errors import ExitCode

app = single()


@command(app, example="asgard recover --yes")
def recover(confirm: Confirm = None, yes: Yes = False) -> int:
    """Revert temporary changes that interrupted commands left behind, such as a throttle. Commands that change things do it too.

    What is kept on purpose, such as a raised retention, is reverted once it is time. Exits with 1 if something else could not be
    reverted; it stays recorded for the next try.
    """
    from asgard.compose import settle
    from asgard.journal.store.database import open_journal

    with open_journal() as journal:
        left = settle.abandoned(journal)
        if not left:
            console.emit([], text="Nothing was left behind.")
            return ExitCode.OK
        for operation in left:
            lead = "kept until it is time" if operation.kept else "left behind"
            console.say(f"{lead}: {operation.kind} in {operation.subject}, by {operation.actor}")
        console.ask(f"Revert {'it' if len(left) == 1 else f'these {len(left)}'}?")
        settled = settle.recover(journal, confirm)
    document = [
        {
            "id": s.operation.id,
            "kind": s.operation.kind,
            "subject": s.operation.subject,
            "settled": s.done,
            "outcome": s.outcome,
        }
        for s in settled
    ]
    columns = ["id", "kind", "subject", "settled", "outcome"]
    console.emit_rows(document, columns)
    return ExitCode.OK if all(s.done or (s.waits and s.operation.kept) for s in settled) else ExitCode.FAILED
