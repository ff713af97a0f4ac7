"""The verdict: which promises were broken, in counts, examples and one sentence for people. Pure.

    result = check(HistoryFiles(directory))
    verdict = judge(result, unclean_election=False, traces=traces)

`traces` says where lost records were looked for (`traces.look`); without it the verdict leaves open where they were lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from asgard.loki.check.anomalies import Anomaly, Example, Symptom
from asgard.loki.check.check import CheckResult, RecordCounts
from asgard.loki.check.promises import TABLE, Mode, Promise

_LEFT_NAMED = 3


class CheckOutcome(StrEnum):
    """`broken`: at least one promise was. `undecided`: none was seen broken, but no last read decided about some acknowledged
    records. `kept`: neither; records may still be lost that Kafka did not promise to keep (`CheckVerdict.lost`)."""

    KEPT = "kept"
    BROKEN = "broken"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Traces:
    """What a search of the replicas' log segments found of the lost records.

    `in_kafka`: it got an offset, but the log that is served no longer holds it. `on_the_way`: the leader's log still holds
    it, but the reader did not get it; or it never got an offset, and no replica has it. `left_on`: of those lost in Kafka,
    how many copies the disks of other brokers still hold, by broker; such a replica drops them when it follows the leader again.
    `unread`: replicas whose disks could not be read, in words.
    """

    in_kafka: int = 0
    on_the_way: int = 0
    left_on: Mapping[int, int] = field(default_factory=dict)
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class CheckFinding:
    """A case that was found. `promise`: the one that it breaks, None if this mode promised nothing; `because` says why not."""

    case: Symptom
    count: int
    promise: Promise | None
    because: str
    examples: tuple[Example, ...]

    @property
    def anomaly(self) -> Anomaly:
        """Its name."""
        return self.case.anomaly

    @property
    def name(self) -> str:
        """Its name with the circumstance."""
        return f"{self.anomaly} {self.case.circumstance}".strip()

    @property
    def words(self) -> str:
        """How many of what."""
        return f"{self.name}: {self.count:,} {self.case.counted}"


@dataclass(frozen=True)
class CheckVerdict:
    """What a stakeholder asks: was a promise broken, and what happened to the records? `findings` in the order of the table."""

    outcome: CheckOutcome
    mode: Mode
    counts: RecordCounts
    findings: tuple[CheckFinding, ...]
    traces: Traces | None
    notes: tuple[str, ...]
    sentence: str

    def count(self, *cases: Symptom) -> int:
        """How many of these were found."""
        return sum(finding.count for finding in self.findings if finding.case in cases)

    @property
    def lost(self) -> int:
        """Acknowledged records that are gone, promised or not."""
        return self.count(Symptom.LOST)

    @property
    def duplicates(self) -> int:
        """Duplicated records, promised or not."""
        return self.count(Symptom.DUPLICATE)

    @property
    def unseen(self) -> int:
        """Acknowledged records that no consumer read and no last read settled."""
        return self.count(Symptom.UNSEEN)

    @property
    def broken(self) -> tuple[Promise, ...]:
        """The promises that were broken."""
        return tuple(dict.fromkeys(f.promise for f in self.findings if f.promise is not None))


def judge(
    result: CheckResult, *, unclean_election: bool = False, traces: Traces | None = None, left: tuple[str, ...] = ()
) -> CheckVerdict:
    """The verdict on what the check found.

    `unclean_election`: topics allowed it, or such a leader was elected by hand. `left`: what the last read could not read, in
    words.
    """
    timed_out = result.counts.indeterminate > 0
    mode = Mode.of(result.producers, result.consumers, unclean_election=unclean_election, timed_out=timed_out)
    findings = tuple(
        CheckFinding(
            rule.case,
            result.cases[rule.case],
            rule.promise if rule.holds(mode) else None,
            "" if rule.holds(mode) else rule.unless,
            result.examples.get(rule.case, ()),
        )
        for rule in TABLE
        if result.cases.get(rule.case)
    )
    if any(finding.promise for finding in findings):
        outcome = CheckOutcome.BROKEN
    elif any(finding.case is Symptom.UNSEEN for finding in findings) or not result.last_read:
        outcome = CheckOutcome.UNDECIDED
    else:
        outcome = CheckOutcome.KEPT
    sentence = " ".join((_fate(result, traces), *_promises(findings, mode, outcome)))
    return CheckVerdict(outcome, mode, result.counts, findings, traces, _notes(result, traces, left), sentence)


def _fate(result: CheckResult, traces: Traces | None) -> str:
    """What happened to the acknowledged records."""
    counts, lost, unseen = result.counts, result.cases.get(Symptom.LOST, 0), result.cases.get(Symptom.UNSEEN, 0)
    if not counts.acknowledged:
        return "No record was acknowledged, so nothing could be lost."
    all_of_them = f"{counts.acknowledged:,} acknowledged {_records(counts.acknowledged)}"
    if lost:
        return f"{lost:,} of {all_of_them} {_are(lost)} lost{_place(lost, traces)}."
    if not result.last_read:
        return f"There was no last read, so nothing is proven about the {all_of_them}."
    if unseen:
        return f"None of {all_of_them} is known to be lost, but {unseen:,} could not be checked."
    gone = f"; {counts.removed:,} of them were deleted by retention meanwhile" if counts.removed else ""
    return f"All {all_of_them} are accounted for{gone}."


def _place(lost: int, traces: Traces | None) -> str:
    if traces is None:
        return ""
    parts = []
    if traces.in_kafka:
        parts.append("in Kafka" if traces.in_kafka == lost else f"{traces.in_kafka:,} of them in Kafka")
    if traces.on_the_way:
        parts.append("on the way" if traces.on_the_way == lost else f"{traces.on_the_way:,} on the way")
    left = ", ".join(f"{count:,} on broker {broker}" for broker, count in sorted(traces.left_on.items()))
    copies = f" (copies that no broker serves are left: {left})" if left else ""
    return " " + ", ".join(parts) + copies if parts else ""


def _promises(findings: tuple[CheckFinding, ...], mode: Mode, outcome: CheckOutcome) -> tuple[str, ...]:
    broken = dict.fromkeys(str(finding.promise) for finding in findings if finding.promise is not None)
    allowed = [finding for finding in findings if finding.promise is None and finding.case is not Symptom.UNSEEN]
    told = []
    if broken:
        many = "A promise was broken" if len(broken) == 1 else f"{len(broken)} promises were broken"
        told.append(f"{many}: {'; '.join(broken)}.")
    elif not allowed:
        told.append("No promise was broken." if outcome is CheckOutcome.KEPT else "No broken promise was seen.")
    if allowed:
        found = ", ".join(f"{finding.count:,} {finding.name}" for finding in allowed)
        told.append(f"Found, but this mode does not promise otherwise ({mode}): {found}.")
    return tuple(told)


def _notes(result: CheckResult, traces: Traces | None, left: tuple[str, ...]) -> tuple[str, ...]:
    """What a reader of the verdict needs to know about the evidence."""
    counts, notes = result.counts, []
    if counts.indeterminate:
        arrived = f"{counts.arrived:,} of them arrived" if result.last_read else "whether they arrived is not known"
        notes.append(
            f"{counts.indeterminate:,} sends ended without an answer; {arrived}. They count as neither kept nor lost."
        )
    if result.killed:
        notes.append(f"{result.killed} of {result.processes} load processes ended before the load did.")
    if counts.unknown:
        notes.append(f"{counts.unknown:,} records carry this run's stamp, but no producer in the history sent them.")
    if left:
        more = f", and {len(left) - _LEFT_NAMED} more" if len(left) > _LEFT_NAMED else ""
        notes.append(f"The last read is not complete: {'; '.join(left[:_LEFT_NAMED])}{more}.")
    if traces is not None and traces.unread:
        notes.append(f"Not looked at: {', '.join(traces.unread)}.")
    return tuple(notes)


def _records(count: int) -> str:
    return "record" if count == 1 else "records"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
