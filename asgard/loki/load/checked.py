"""What the check of every record adds to a load's result: from the history of the run and a last read of its topics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from asgard.core.errors import AsgardError
from asgard.kafka.connection import Connection
from asgard.kafka.ports import ControlPlane
from asgard.loki.load.result import CheckSummary, FindingSummary, Judged
from asgard.loki.load.scenario import Slo

if TYPE_CHECKING:
    from asgard.loki.check.verdict import CheckVerdict
    from asgard.machines.targets import LogDisk

READ_PER_S = 20_000
"""A last read slower than this, in records a second, is given up."""
LEAST_S = 60.0


def look(
    directory: Path,
    connection: Connection,
    control: ControlPlane,
    nodes: Iterable[LogDisk],
    records: int,
    starts: Mapping[tuple[str, int], int],
) -> CheckVerdict:
    """The verdict on every record of a run. If the cluster can't be read, what is known without a last read.

    `starts` are the next offsets of topics that held records before the load.
    """
    from asgard.loki.check.check import check
    from asgard.loki.check.history import HistoryFiles
    from asgard.loki.check.verdict import judge
    from asgard.loki.check.verify import verify

    deadline_s = LEAST_S + records / READ_PER_S
    try:
        return verify(directory, connection, control, nodes=nodes, deadline_s=deadline_s, starts=starts)
    except AsgardError as error:
        return judge(check(HistoryFiles(directory)), left=(error.what,))


def checked(verdict: CheckVerdict) -> CheckSummary:
    """The verdict as plain data."""
    found = [
        FindingSummary(f.words, f.count, str(f.promise) if f.promise else None, f.because) for f in verdict.findings
    ]
    return CheckSummary(
        outcome=verdict.outcome.value,
        sentence=verdict.sentence,
        mode=str(verdict.mode),
        counts=verdict.counts,
        lost=verdict.lost,
        duplicates=verdict.duplicates,
        unseen=verdict.unseen,
        findings=found,
        notes=list(verdict.notes),
    )


def goals(verdict: CheckVerdict, slo: Slo) -> Iterator[Judged]:
    """What had to hold for the records: the promises of their mode, and the goals that name numbers.

    A number in the scenario replaces the promise that it is about: if it allows three lost records, no more are allowed.
    """
    from asgard.loki.check.promises import Promise
    from asgard.loki.check.verdict import CheckOutcome

    decided_by_goal = {Promise.DURABILITY} if slo.lost is not None else set()
    decided_by_goal |= {Promise.ONCE} if slo.duplicates is not None else set()
    broken = [promise for promise in verdict.broken if promise not in decided_by_goal]
    if broken:
        yield Judged("records", "every promise kept", verdict.sentence.rstrip("."), False)
    elif verdict.outcome is CheckOutcome.UNDECIDED:
        notes = f" ({verdict.notes[-1].rstrip('.')})" if verdict.notes else ""
        yield Judged("records", "every promise kept", f"undecided: {verdict.sentence.rstrip('.')}{notes}", False)
    else:
        yield Judged("records", "every promise kept", "kept", True)
    for name, most, got in (("lost", slo.lost, verdict.lost), ("duplicates", slo.duplicates, verdict.duplicates)):
        if most is not None:
            yield Judged(name, f"at most {most:,}" if most else "none", f"{got:,}", got <= most)
