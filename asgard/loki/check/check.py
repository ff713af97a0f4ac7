"""The check: from a history to what is wrong with it, in counts and examples. Pure, linear in time, about six bytes a record.

It walks through the history several times: to see how much there is, to fill the logs from the last read and from what consumers saw, to
settle acknowledgements, and to follow each consumer. Whether an anomaly breaks a promise is decided in `verdict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asgard.loki.check import order, reads, settle
from asgard.loki.check.anomalies import Example, Symptom
from asgard.loki.check.arrays import ABORTED, ACKED, FAILED, LOGGED, POLLED, UNSETTLED, Bytes
from asgard.loki.check.catalogue import look
from asgard.loki.check.history import Bounds, Consumer, HistorySource, Ints, Producer
from asgard.loki.check.working_set import LostRecords, WorkingSet, lay_out

_CHUNK = 1 << 20


@dataclass(frozen=True)
class RecordCounts:
    """Records by outcome. `sent` is the sum of acknowledged, failed and indeterminate ones.

    Acknowledged: Kafka said so, and its transaction, if any, committed. Failed: certainly refused, or in an aborted
    transaction. Indeterminate: unknown; `arrived` of them were found by the last read. `consumed`: acknowledged ones that the
    load's consumers received. `removed`: acknowledged ones deleted by retention. `unknown`: rows of records that were never sent,
    according to the history. `foreign`: records without a stamp of this run.
    """

    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    indeterminate: int = 0
    arrived: int = 0
    consumed: int = 0
    read_back: int = 0
    removed: int = 0
    unknown: int = 0
    foreign: int = 0


@dataclass(frozen=True)
class CheckResult:
    """What was found. `missing` by topic: the lost records one by one (the first million), to search disks for.

    `last_read`: whether there was one at all; `killed`: how many processes of the load did not exit cleanly.
    """

    run: bytes
    counts: RecordCounts
    cases: Mapping[Symptom, int]
    examples: Mapping[Symptom, tuple[Example, ...]]
    missing: Mapping[str, LostRecords]
    producers: tuple[Producer, ...]
    consumers: tuple[Consumer, ...]
    bounds: Mapping[tuple[str, int], Bounds]
    last_read: bool
    processes: int
    killed: int


def check(source: HistorySource) -> CheckResult:
    """Find every anomaly in a history. Raises WrongUsage if its files don't fit together."""
    catalogue = look(source)
    working = lay_out(source, catalogue)
    reads.fill(source, working)
    order.sends(working)
    settle.acknowledgements(source, working)
    order.polls(source, working)
    return CheckResult(
        catalogue.run,
        _counts(working),
        dict(working.tally.counts),
        {case: tuple(found) for case, found in working.tally.examples.items()},
        _missing(working),
        tuple(catalogue.producers.values()),
        tuple(consumer for consumer in catalogue.consumers.values() if consumer.via != "last-read"),
        dict(catalogue.bounds),
        any(consumer.via == "last-read" for consumer in catalogue.consumers.values()),
        len(source.names),
        len(catalogue.killed),
    )


def _counts(working: WorkingSet) -> RecordCounts:
    acknowledged = failed = indeterminate = arrived = consumed = read_back = 0
    for records in working.records.values():
        for flags, count in enumerate(_histogram(records.state).tolist()):
            if flags & (FAILED | ABORTED):
                failed += count
            elif flags & UNSETTLED or not flags & ACKED:
                indeterminate += count
                arrived += count if flags & LOGGED else 0
            else:
                acknowledged += count
                consumed += count if flags & POLLED else 0
            read_back += count if flags & LOGGED else 0
    indeterminate -= _never_sent(working)
    sent = acknowledged + failed + indeterminate
    rest = (working.removed, working.unknown, working.foreign)
    return RecordCounts(sent, acknowledged, failed, indeterminate, arrived, consumed, read_back, *rest)


def _histogram(state: Bytes) -> Ints:
    """How many records have each of the 256 combinations of flags."""
    found = np.zeros(256, np.int64)
    for start in range(0, len(state), _CHUNK):
        found += np.bincount(state[start : start + _CHUNK], minlength=256)
    return found


def _never_sent(working: WorkingSet) -> int:
    """A killed process had reserved sequences: those after the last one that anything is known about were not sent."""
    spare = 0
    for topic, producer in working.catalogue.sent:
        if working.catalogue.file_of[producer] in working.catalogue.killed:
            records = working.records[topic]
            state = records.state[records.of(producer)]
            end = len(state)
            while end and not len(known := np.flatnonzero(state[max(0, end - _CHUNK) : end] & ~np.uint8(UNSETTLED))):
                end = max(0, end - _CHUNK)
            last = max(0, end - _CHUNK) + int(known[-1]) + 1 if end else 0
            spare += len(state) - last
    return spare


def _missing(working: WorkingSet) -> dict[str, LostRecords]:
    found = {}
    for topic, parts in working.missing.items():
        records = working.records[topic]
        numbers = np.concatenate([numbers for _, numbers, _ in parts])
        by = np.searchsorted(records.first, numbers, "right") - 1
        partitions = np.concatenate([np.full(len(numbers), partition) for partition, numbers, _ in parts])
        offsets = np.concatenate([offsets for _, _, offsets in parts])
        found[topic] = LostRecords(partitions, offsets, records.producers[by], numbers - records.first[by])
    return found
