"""What readers saw: fills the logs, and finds offsets they disagree about, damage, and records that should never be seen."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from asgard.loki.check.anomalies import Example, Symptom
from asgard.loki.check.arrays import ABORTED, ABORTED_READ, BETWEEN_READERS, CORRUPTED, FAILED, LOGGED, POLLED, Log
from asgard.loki.check.history import Consumer, Foreign, HistorySource, Ints, Polled
from asgard.loki.check.working_set import WorkingSet


def fill(source: HistorySource, working: WorkingSet) -> None:
    """First the last read, which is authoritative, then what the load's consumers saw at other offsets."""
    for last in (True, False):
        for file, block in source.blocks((Polled, Foreign)):
            if isinstance(block, Polled | Foreign):
                consumer = working.catalogue.consumer(file, block.consumer)
                if (consumer.via == "last-read") == last:
                    if isinstance(block, Polled):
                        _see(working, block, consumer)
                    else:
                        working.foreign += block.count


def _see(working: WorkingSet, block: Polled, consumer: Consumer) -> None:
    where = (block.topic, block.partition)
    log, records = working.logs[where], working.records[block.topic]
    offsets = block.offsets.values()
    numbers, known = records.numbers(block.producers.values(), block.sequences.values())
    if block.corrupted:
        _damaged(working, block, log, offsets)
    if known is not None:
        working.unknown += len(offsets) - len(numbers)
        offsets = offsets[known]
    places = log.places.of(offsets)
    disagreeing = log.put(places, numbers)
    if disagreeing.any():
        _disagree(working, block, log, places[disagreeing], numbers[disagreeing])
    before = records.state[numbers]
    records.state[numbers] = before | (LOGGED if consumer.via == "last-read" else POLLED)
    never = before & (FAILED | ABORTED) != 0
    if never.any():
        _aborted(working, block, consumer, offsets[never], numbers[never])


def _disagree(working: WorkingSet, block: Polled, log: Log, places: Ints, numbers: Ints) -> None:
    where = (block.topic, block.partition)
    fresh = log.mark(places, BETWEEN_READERS)

    def examples(wanted: int) -> Iterable[Example]:
        for place in fresh[:wanted].tolist():
            other = working.records[block.topic].name(int(log.records[place]) - 1)
            number = int(numbers[np.flatnonzero(places == place)[0]])
            note = f"another reader saw record {other[1]} of producer {other[0]} there"
            yield working.example(where, log.places.offset(place), number, note, block.at_us)

    working.tally.add(Symptom.DISAGREEING_READERS, len(fresh), examples)


def _damaged(working: WorkingSet, block: Polled, log: Log, offsets: Ints) -> None:
    rows = np.array(block.corrupted, np.int64)
    fresh = log.mark(log.places.of(offsets[rows[(rows >= 0) & (rows < len(offsets))]]), CORRUPTED)
    working.tally.add(
        Symptom.CORRUPTED,
        len(fresh),
        lambda wanted: [
            working.example((block.topic, block.partition), log.places.offset(place), None, "", block.at_us)
            for place in fresh[:wanted].tolist()
        ],
    )


def _aborted(working: WorkingSet, block: Polled, consumer: Consumer, offsets: Ints, numbers: Ints) -> None:
    """Records read although they failed. Each counts once, whichever consumers read it; with read_uncommitted every read counts."""
    where, state = (block.topic, block.partition), working.records[block.topic].state

    def note(case: Symptom, rows: Ints) -> None:
        working.tally.add(
            case,
            len(rows),
            lambda wanted: [
                working.example(where, int(offsets[row]), int(numbers[row]), "", block.at_us)
                for row in rows[:wanted].tolist()
            ],
        )

    before = state[numbers]
    refused = before & FAILED != 0
    uncommitted = ~refused & (consumer.isolation == "read_uncommitted")
    note(Symptom.UNCOMMITTED_READ, np.flatnonzero(uncommitted))
    _, first = np.unique(numbers, return_index=True)
    fresh = np.zeros(len(numbers), np.bool_)
    fresh[first] = before[first] & ABORTED_READ == 0
    note(Symptom.REFUSED_READ, np.flatnonzero(fresh & refused))
    note(Symptom.ABORTED_READ, np.flatnonzero(fresh & ~refused & ~uncommitted))
    state[numbers[~uncommitted]] |= ABORTED_READ
