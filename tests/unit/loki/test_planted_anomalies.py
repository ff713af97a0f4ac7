"""One planted history for each anomaly, and for each mode in which it does or does not break a promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from asgard.loki.check.anomalies import Symptom
from asgard.loki.check.check import check
from asgard.loki.check.history import SUFFIX, Acks, Bounds, Consumer, HistoryFiles, Isolation, Producer, Via
from asgard.loki.check.promises import TABLE, Mode, Promise
from asgard.loki.check.recorder import ConsumerLog, ProducerLog, Recorder
from asgard.loki.check.verdict import CheckOutcome, CheckVerdict, judge

RUN = b"a run of 16 byte"
T = "orders"
ALL = range(10)
WHOLE = Bounds(T, 0, 0, 10, complete=True)


@dataclass
class Load:
    """A load that goes well: ten records, acknowledged at offsets 0 to 9, given to a consumer, found by the last read.

    A test changes what one of them saw. Rows are (offset, sequence).
    """

    acks: Acks = "all"
    idempotence: bool = True
    transactions: bool = False
    via: Via = "assign"
    isolation: Isolation = "read_committed"
    acked: Callable[[ProducerLog], None] = lambda sends: sends.acked_many(T, 0, ALL, ALL)
    polls: Callable[[ConsumerLog], None] = lambda polls: rows(polls, [(n, n) for n in ALL])
    last: list[tuple[int, int]] | None = field(default_factory=lambda: [(n, n) for n in ALL])
    spoiled: tuple[int, ...] = ()
    bounds: Bounds = WHOLE

    def verdict(self, directory: Path, *, unclean_election: bool = False) -> CheckVerdict:
        """What the check says of it."""
        with Recorder(directory / f"worker{SUFFIX}", RUN) as recorder:
            sends = recorder.producer(0, acks=self.acks, idempotence=self.idempotence, transactions=self.transactions)
            if self.transactions:
                sends.begin()
            assert sends.take(T, 10) == 0
            self.acked(sends)
            if self.transactions and sends._before is not None:
                sends.commit()
            polls = recorder.consumer(0, via=self.via, group="g", isolation=self.isolation)
            polls.assigned([(T, 0)])
            self.polls(polls)
        if self.last is not None:
            with Recorder(directory / f"last-read{SUFFIX}", RUN) as recorder:
                reader = recorder.consumer(0, via="last-read")
                rows(reader, self.last, self.spoiled)
                recorder.bounds(self.bounds)
        return judge(check(HistoryFiles(directory)), unclean_election=unclean_election)


def rows(log: ConsumerLog, found: list[tuple[int, int]], spoiled: tuple[int, ...] = ()) -> None:
    offsets, sequences = zip(*found, strict=True)
    log.polled_many(T, 0, offsets, [0] * len(found), sequences, spoiled)


def aborted(sends: ProducerLog) -> None:
    sends.acked_many(T, 0, ALL, ALL)
    sends.abort()


def refused(sends: ProducerLog) -> None:
    sends.acked_many(T, 0, range(9), range(9))
    sends.failed(T, 9, "too large")


def rebalanced(to: int) -> Callable[[ConsumerLog], None]:
    def polls(log: ConsumerLog) -> None:
        rows(log, [(n, n) for n in range(5)])
        log.revoked([(T, 0)])
        log.assigned([(T, 0)])
        rows(log, [(n, n) for n in range(to, 10)])

    return polls


def given(*offsets: int) -> Callable[[ConsumerLog], None]:
    return lambda log: rows(log, [(n, n) for n in offsets])


without_4 = [(n, n) for n in ALL if n != 4]
swapped = [(n, {4: 5, 5: 4}.get(n, n)) for n in ALL]

PLANTED: dict[Symptom, dict[str, object]] = {
    Symptom.LOST: {"last": without_4, "polls": given(0, 1, 2, 3)},
    Symptom.UNSEEN: {
        "last": [(n, n) for n in range(6)],
        "bounds": Bounds(T, 0, 0, 6, complete=False),
        "polls": given(0, 1),
    },
    Symptom.DUPLICATE: {
        "last": [*((n, n) for n in ALL), (10, 4)],
        "bounds": Bounds(T, 0, 0, 11, complete=True),
    },
    Symptom.DISAGREEING_READERS: {
        "acked": lambda sends: sends.acked_many(T, 0, range(9), range(9)),
        "last": [(n, n) for n in range(9)],
        "polls": lambda log: rows(log, [*((n, n) for n in range(8)), (8, 9)]),
    },
    Symptom.TOLD_ELSEWHERE: {
        "acked": lambda sends: sends.acked_many(T, 0, ALL, [0, 1, 2, 3, 5, 5, 6, 7, 8, 9]),
    },
    Symptom.REFUSED_READ: {"acked": refused},
    Symptom.ABORTED_READ: {"acked": aborted, "transactions": True, "last": [(9, 9)], "polls": given(9)},
    Symptom.UNCOMMITTED_READ: {
        "acked": aborted,
        "transactions": True,
        "isolation": "read_uncommitted",
        "last": None,
    },
    Symptom.SKIP: {"polls": given(0, 1, 2, 5, 6)},
    Symptom.SKIP_ACROSS: {"polls": rebalanced(7)},
    Symptom.BACK: {"polls": given(0, 1, 2, 3, 2, 3, 4)},
    Symptom.BACK_ACROSS: {"polls": rebalanced(3)},
    Symptom.SENT_OUT_OF_ORDER: {
        "acked": lambda sends: sends.acked_many(T, 0, ALL, [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]),
        "last": swapped,
        "polls": lambda log: rows(log, swapped),
    },
    Symptom.CORRUPTED: {"spoiled": (4,)},
}
EXPECTED = {Symptom.SKIP: 2, Symptom.SKIP_ACROSS: 2, Symptom.UNCOMMITTED_READ: 10, Symptom.UNSEEN: 4}

MODES = {
    "acks=all, idempotence": {},
    "acks=1": {"acks": "1", "idempotence": False},
    "acks=0": {"acks": "0", "idempotence": False},
    "acks=all, no idempotence": {"idempotence": False},
    "transactions": {"transactions": True},
    "subscribe": {"via": "subscribe"},
    "unclean election": {"unclean": True},
}
BROKEN: dict[Symptom, set[str]] = {
    Symptom.LOST: {"acks=all, idempotence", "acks=all, no idempotence", "transactions", "subscribe"},
    Symptom.UNSEEN: set(),
    Symptom.DUPLICATE: {"acks=all, idempotence", "transactions", "subscribe"},
    Symptom.DISAGREEING_READERS: set(MODES) - {"unclean election"},
    Symptom.TOLD_ELSEWHERE: {"acks=all, idempotence", "acks=all, no idempotence", "transactions", "subscribe"},
    Symptom.REFUSED_READ: set(MODES),
    Symptom.ABORTED_READ: set(MODES) - {"unclean election"},
    Symptom.UNCOMMITTED_READ: set(),
    Symptom.SKIP: set(MODES) - {"unclean election"},
    Symptom.SKIP_ACROSS: set(MODES) - {"unclean election", "subscribe"},
    Symptom.BACK: set(MODES) - {"unclean election"},
    Symptom.BACK_ACROSS: set(MODES) - {"unclean election", "subscribe"},
    Symptom.SENT_OUT_OF_ORDER: {"acks=all, idempotence", "transactions", "subscribe"},
    Symptom.CORRUPTED: set(MODES),
}


def test_every_case_is_planted_and_has_one_rule() -> None:
    assert set(PLANTED) == set(BROKEN) == set(Symptom)
    assert [rule.case for rule in TABLE] == list(Symptom)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", Symptom, ids=lambda case: case.name.lower())
def test_a_planted_anomaly_is_found_alone_and_breaks_its_promise_where_one_was_given(
    case: Symptom, mode: str, tmp_path: Path
) -> None:
    options = {**MODES[mode], **PLANTED[case]}
    unclean = bool(options.pop("unclean", False))
    verdict = Load(**options).verdict(tmp_path, unclean_election=unclean)  # type: ignore[arg-type]
    assert [(finding.case, finding.count) for finding in verdict.findings] == [(case, EXPECTED.get(case, 1))]
    (finding,) = verdict.findings
    assert bool(finding.promise) == (mode in BROKEN[case]) == (verdict.outcome is CheckOutcome.BROKEN)
    assert finding.examples and finding.examples[0].topic == T
    told = str(finding.promise) if finding.promise else f"{finding.count} {finding.name}"
    assert told in verdict.sentence or case is Symptom.UNSEEN
    assert (finding.because == "") == bool(finding.promise)


@pytest.mark.parametrize("mode", MODES)
def test_where_all_goes_well_nothing_is_found(mode: str, tmp_path: Path) -> None:
    options = dict(MODES[mode])
    unclean = bool(options.pop("unclean", False))
    verdict = Load(**options).verdict(tmp_path, unclean_election=unclean)  # type: ignore[arg-type]
    assert (verdict.outcome, verdict.findings, verdict.broken) == (CheckOutcome.KEPT, (), ())
    assert verdict.sentence == "All 10 acknowledged records are accounted for. No promise was broken."
    assert (verdict.counts.sent, verdict.counts.acknowledged, verdict.counts.consumed) == (10, 10, 10)


def test_a_lost_record_is_named_with_its_place(tmp_path: Path) -> None:
    verdict = Load(last=without_4).verdict(tmp_path)
    (finding,) = verdict.findings
    (example,) = finding.examples
    assert (example.topic, example.partition, example.offset, example.producer, example.sequence) == (T, 0, 4, 0, 4)
    assert verdict.broken == (Promise.DURABILITY,)
    assert verdict.sentence == (
        "1 of 10 acknowledged records is lost. A promise was broken: an acknowledged record is kept."
    )


def test_a_loss_that_nobody_promised_to_prevent_is_reported_all_the_same(tmp_path: Path) -> None:
    verdict = Load(acks="1", idempotence=False, last=without_4).verdict(tmp_path)
    assert (verdict.outcome, verdict.lost, verdict.broken) == (CheckOutcome.KEPT, 1, ())
    assert verdict.sentence == (
        "1 of 10 acknowledged records is lost. Found, but this mode does not promise otherwise "
        "(acks=1, no idempotence, assign): 1 lost-write."
    )
    assert "acks=1 trusts one replica" in verdict.findings[0].because


def test_a_record_cut_off_at_the_end_of_the_log_is_lost(tmp_path: Path) -> None:
    verdict = Load(last=[(n, n) for n in range(7)], bounds=Bounds(T, 0, 0, 7, complete=True)).verdict(tmp_path)
    assert verdict.lost == 3


def test_a_record_deleted_by_retention_is_not_lost(tmp_path: Path) -> None:
    verdict = Load(last=[(n, n) for n in range(3, 10)], bounds=Bounds(T, 0, 3, 10, complete=True)).verdict(tmp_path)
    assert (verdict.outcome, verdict.lost, verdict.counts.removed) == (CheckOutcome.KEPT, 0, 3)
    assert "3 of them were deleted by retention meanwhile" in verdict.sentence


def test_what_a_compacted_topic_no_longer_has_is_not_called_lost(tmp_path: Path) -> None:
    verdict = Load(
        last=without_4, polls=given(0, 1), bounds=Bounds(T, 0, 0, 10, complete=True, compacted=True)
    ).verdict(tmp_path)
    assert (verdict.outcome, verdict.lost, verdict.unseen) == (CheckOutcome.UNDECIDED, 0, 1)


def test_without_a_last_read_nothing_is_proved(tmp_path: Path) -> None:
    verdict = Load(last=None, polls=given(0, 1, 2)).verdict(tmp_path)
    assert (verdict.outcome, verdict.lost, verdict.unseen) == (CheckOutcome.UNDECIDED, 0, 7)
    assert verdict.sentence.startswith(
        "There was no last read, so nothing is proven about the 10 acknowledged records."
    )


def test_an_indeterminate_send_counts_as_neither(tmp_path: Path) -> None:
    def some(sends: ProducerLog) -> None:
        sends.acked_many(T, 0, range(7), range(7))
        sends.indeterminate(T, 8, "timed out")

    verdict = Load(
        acked=some, last=[(n, n) for n in range(9)], polls=given(0), bounds=Bounds(T, 0, 0, 9, complete=True)
    )
    found = verdict.verdict(tmp_path)
    assert (found.outcome, found.findings) == (CheckOutcome.KEPT, ())
    assert (found.counts.acknowledged, found.counts.indeterminate, found.counts.arrived) == (7, 3, 2)
    assert found.notes == ("3 sends ended without an answer; 2 of them arrived. They count as neither kept nor lost.",)


def test_records_of_a_transaction_without_an_end_are_not_counted_as_acknowledged(tmp_path: Path) -> None:
    def unsettled(sends: ProducerLog) -> None:
        sends.acked_many(T, 0, ALL, ALL)
        sends.unsettled()

    verdict = Load(transactions=True, acked=unsettled, last=[(12, 3)], polls=given(3)).verdict(tmp_path)
    assert (verdict.counts.acknowledged, verdict.counts.indeterminate, verdict.lost) == (0, 10, 0)


def test_a_killed_producer_accuses_nobody(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / f"worker{SUFFIX}", RUN)
    sends = recorder.producer(0, acks="all", idempotence=True)
    sends.take(T, 10)
    sends.acked_many(T, 0, range(4), range(4))
    sends.acked(T, 0, 4, 4)  # not flushed: gone with the process
    with Recorder(tmp_path / f"last-read{SUFFIX}", RUN) as other:
        rows(other.consumer(0, via="last-read"), [(n, n) for n in range(4)])
        other.bounds(Bounds(T, 0, 0, 4, complete=True))
    verdict = judge(check(HistoryFiles(tmp_path)))
    assert (verdict.lost, verdict.counts.sent, verdict.counts.acknowledged) == (0, 4, 4)
    assert verdict.notes == ("1 of 2 load processes ended before the load did.",)


@pytest.mark.parametrize("case", [Symptom.DUPLICATE, Symptom.SENT_OUT_OF_ORDER])
def test_idempotence_promises_nothing_more_once_a_send_has_timed_out(tmp_path: Path, case: Symptom) -> None:
    def timed_out(sends: ProducerLog) -> None:
        sends.acked_many(T, 0, range(9), range(9))
        sends.indeterminate(T, 9, "timed out")

    verdict = Load(**{**PLANTED[case], "acked": timed_out}).verdict(tmp_path)  # type: ignore[arg-type]
    (finding,) = (f for f in verdict.findings if f.case is case)
    assert finding.promise is None and "timed out" in finding.because
    assert "sends that timed out" in str(verdict.mode)


def test_the_weakest_producer_decides_what_was_promised() -> None:
    producers = [Producer(0, "all", True, False), Producer(1, "1", False, False)]
    assert Mode.of(producers, [Consumer(0, "assign", None, "read_committed")]) == Mode("1", False, False, False, False)
    assert str(Mode.of(producers[:1], [])) == "acks=all, idempotence, assign"
