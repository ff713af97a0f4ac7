"""The last read decides: what happened to every acknowledged record, and whether producers got its true offset."""

from __future__ import annotations

import numpy as np

from asgard.loki.check.anomalies import Symptom
from asgard.loki.check.arrays import ABORTED, ACKED, FAILED, LOGGED, POLLED, UNSETTLED, WITH_SENDER, Bytes, Flags
from asgard.loki.check.history import NO_OFFSET, Acked, Bounds, HistorySource, Ints
from asgard.loki.check.working_set import WorkingSet

MISSING_KEPT = 1_000_000
"""At most so many lost records are kept one by one, to search the disks for; all are counted."""


def acknowledgements(source: HistorySource, working: WorkingSet) -> None:
    """Walk through all acknowledgements, once the logs are filled."""
    kept = 0
    for _, block in source.blocks((Acked,)):
        if isinstance(block, Acked):
            kept += _settle(working, block, MISSING_KEPT - kept)


def _settle(working: WorkingSet, block: Acked, room: int) -> int:
    records = working.records[block.topic]
    sequences, offsets = block.sequences.values(), block.offsets.values()
    numbers, known = records.numbers(np.full(len(sequences), block.producer), sequences)
    if known is not None:
        working.unknown += len(sequences) - len(numbers)
        offsets = offsets[known]
    before = records.state[numbers]
    fresh = before & ACKED == 0
    if not fresh.all():
        numbers, offsets, before = numbers[fresh], offsets[fresh], before[fresh]
    records.state[numbers] = before | ACKED
    _told(working, block, numbers, offsets, before)
    counts = before & (ABORTED | UNSETTLED | FAILED) == 0
    missing = counts & (before & LOGGED == 0)
    if not missing.any():
        return 0
    return _decide(working, block, numbers[missing], offsets[missing], before[missing], room)


def _told(working: WorkingSet, block: Acked, numbers: Ints, offsets: Ints, before: Bytes) -> None:
    """Is the record at the offset its producer got?"""
    where = (block.topic, block.partition)
    log, bounds = working.logs.get(where), working.catalogue.bounds.get(where)
    told = np.flatnonzero(offsets != NO_OFFSET)
    if log is None or not len(told):
        return
    places = log.places.of(offsets[told])
    here = log.records[places]
    wrong = here != numbers[told] + 1
    if not wrong.any():
        return
    elsewhere = (
        (before[told] & LOGGED != 0) & (offsets[told] >= bounds.start) if bounds else np.zeros(len(told), np.bool_)
    )
    wrong &= (here != 0) | elsewhere
    fresh = log.mark(places[wrong], WITH_SENDER)

    def note(row: int) -> str:
        if not here[row]:
            return "it is elsewhere in the log"
        producer, sequence = working.records[block.topic].name(int(here[row]) - 1)
        return f"readers saw record {sequence} of producer {producer} there"

    working.tally.add(
        Symptom.TOLD_ELSEWHERE,
        len(fresh),
        lambda wanted: [
            working.example(where, int(offsets[told[row]]), int(numbers[told[row]]), note(row), block.at_us)
            for place in fresh[:wanted].tolist()
            for row in np.flatnonzero(wrong & (places == place))[:1].tolist()
        ],
    )


def _decide(
    working: WorkingSet,
    block: Acked,
    numbers: Ints,
    offsets: Ints,
    before: Bytes,
    room: int,
) -> int:
    """Records that the last read did not find: lost, deleted by retention, or undecided. Returns how many lost ones were kept."""
    where = (block.topic, block.partition)
    lost, removed = _fate(working.catalogue.bounds.get(where), offsets)
    working.removed += int(np.count_nonzero(removed))
    unseen = ~lost & ~removed & (before & POLLED == 0)

    def note(case: Symptom, rows: Ints) -> None:
        working.tally.add(
            case,
            len(rows),
            lambda wanted: [
                working.example(where, int(offsets[row]), int(numbers[row]), "", block.at_us)
                for row in rows[:wanted].tolist()
            ],
        )

    note(Symptom.LOST, np.flatnonzero(lost))
    note(Symptom.UNSEEN, np.flatnonzero(unseen))
    kept = np.flatnonzero(lost)[: max(room, 0)]
    if len(kept):
        working.missing[block.topic].append((block.partition, numbers[kept], offsets[kept]))
    return len(kept)


def _fate(bounds: Bounds | None, offsets: Ints) -> tuple[Flags, Flags]:
    """Which are lost, and which were deleted by retention. Without an offset only a log that never lost its start can tell."""
    nothing = np.zeros(len(offsets), np.bool_)
    if bounds is None or bounds.compacted:
        return nothing, nothing
    known = offsets != NO_OFFSET
    removed = known & (offsets < bounds.start)
    reached = np.where(known, bounds.complete | (offsets < bounds.end), bounds.complete and bounds.start == 0)
    return reached & ~removed, removed
