"""Order: do the logs hold each record once and in the order it was sent, and did each consumer walk through them step by step?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from asgard.loki.check.anomalies import Example, Symptom
from asgard.loki.check.arrays import ABORTED, FAILED, LOGGED, PASSED, UNSETTLED, Bytes, Flags, Log, Records
from asgard.loki.check.catalogue import Where
from asgard.loki.check.history import Assigned, HistorySource, Ints, Polled
from asgard.loki.check.working_set import WorkingSet

_CHUNK = 1 << 20


def sends(working: WorkingSet) -> None:
    """Walk through every log once: find records that are duplicated, or come after one that was sent later."""
    again: dict[str, list[Ints]] = {}
    for where, log in sorted(working.logs.items()):
        records = working.records[where[0]]
        latest = np.full(len(records.producers), -1, np.int64)
        for start in range(0, log.places.size, _CHUNK):
            places = np.flatnonzero(log.records[start : start + _CHUNK]) + start
            numbers = log.records[places].astype(np.int64) - 1
            if len(numbers):
                again.setdefault(where[0], []).append(_walk(working, where, places, numbers, latest))
    for topic, parts in again.items():
        _twice(working, topic, np.unique(np.concatenate(parts)))


def _twice(working: WorkingSet, topic: str, numbers: Ints) -> None:
    working.tally.add(Symptom.DUPLICATE, len(numbers), lambda wanted: _copies(working, topic, numbers[:wanted]))


def _walk(working: WorkingSet, where: Where, places: Ints, numbers: Ints, latest: Ints) -> Ints:
    """One stretch of a log; `latest` holds each producer's last record so far. Returns the records met before."""
    records = working.records[where[0]]
    met = records.state[numbers] & PASSED != 0
    records.state[numbers] |= PASSED
    by, grouped = _grouped(records, numbers)
    again = np.empty(0, np.int64)
    if met.any() or (np.diff(grouped) <= 0).any():
        _, first = np.unique(numbers, return_index=True)
        fresh = np.zeros(len(numbers), np.bool_)
        fresh[first] = ~met[first]
        again, places, numbers = numbers[~fresh], places[fresh], numbers[fresh]
        if not len(numbers):
            return again
        by, grouped = _grouped(records, numbers)
    starts = np.flatnonzero(np.diff(by, prepend=-1))
    before = np.empty_like(grouped)
    before[1:] = grouped[:-1]
    before[starts] = latest[by[starts]]
    behind = grouped < before
    latest[by[starts]] = grouped[np.append(starts[1:], len(grouped)) - 1]
    if behind.any():
        _behind(working, where, places, numbers, grouped[behind], before[behind])
    return again


def _grouped(records: Records, numbers: Ints) -> tuple[Ints, Ints]:
    """Each number's producer (its place), and the numbers, sorted by producer; within one producer as they came."""
    if len(records.producers) == 1:
        return np.zeros(len(numbers), np.int64), numbers
    by = np.searchsorted(records.first, numbers, "right") - 1
    order = np.argsort(by.astype(np.uint16) if len(records.producers) < 1 << 16 else by, kind="stable")
    return by[order], numbers[order]


def _behind(working: WorkingSet, where: Where, places: Ints, numbers: Ints, late: Ints, before: Ints) -> None:
    def examples(wanted: int) -> Iterable[Example]:
        for number, other in zip(late[:wanted].tolist(), before[:wanted].tolist(), strict=True):
            offset = working.logs[where].places.offset(int(places[np.flatnonzero(numbers == number)[0]]))
            note = f"it is stored after record {working.records[where[0]].name(other)[1]}, which was sent later"
            yield working.example(where, offset, number, note)

    working.tally.add(Symptom.SENT_OUT_OF_ORDER, len(late), examples)


def _copies(working: WorkingSet, topic: str, numbers: Ints) -> Iterable[Example]:
    for number in numbers.tolist():
        found = [
            (where[1], log.places.offset(place))
            for where, log in sorted(working.logs.items())
            if where[0] == topic
            for place in np.flatnonzero(log.records == number + 1).tolist()
        ]
        note = "it is stored at " + ", ".join(f"{partition}:{offset}" for partition, offset in found)
        yield working.example((topic, found[0][0]), found[0][1], number, note + " (partition:offset)")


def polls(source: HistorySource, working: WorkingSet) -> None:
    """Follow every consumer through what it received: steps back, and skipped records that others received."""
    stood: dict[tuple[int, int, Where], int] = {}
    moved: set[tuple[int, int, Where]] = set()
    for file, block in source.blocks((Assigned, Polled)):
        if isinstance(block, Assigned):
            for topic, partitions in block.partitions.items():
                moved.update((file, block.consumer, (topic, partition)) for partition in partitions)
        elif isinstance(block, Polled) and not working.catalogue.is_last_read(file, block.consumer):
            key = (file, block.consumer, (block.topic, block.partition))
            offsets = block.offsets.values()
            if key in stood:
                _step(working, block, np.array((stood[key], offsets[0])), across=key in moved)
            moved.discard(key)
            stood[key] = int(offsets[-1])
            _step(working, block, offsets, across=False)


def _step(working: WorkingSet, block: Polled, offsets: Ints, *, across: bool) -> None:
    where = (block.topic, block.partition)
    log, consumer = working.logs[where], f"consumer {block.consumer}"
    steps = np.diff(offsets)
    if (steps == 1).all():
        return
    back = np.flatnonzero(steps < 1)
    working.tally.add(
        Symptom.BACK_ACROSS if across else Symptom.BACK,
        len(back),
        lambda wanted: [
            working.example(where, int(offsets[row + 1]), None, f"{consumer} came from {offsets[row]}", block.at_us)
            for row in back[:wanted].tolist()
        ],
    )
    wide = np.flatnonzero(steps > 1)
    skipped = _between(log, log.places.of(offsets[wide]) + 1, log.places.of(offsets[wide + 1]), working, where)
    over = np.flatnonzero(skipped)
    working.tally.add(
        Symptom.SKIP_ACROSS if across else Symptom.SKIP,
        int(skipped.sum()),
        lambda wanted: [
            working.example(
                where,
                int(offsets[wide[row] + 1]),
                None,
                f"{consumer} came from {offsets[wide[row]]}: {skipped[row]} records passed over",
                block.at_us,
            )
            for row in over[:wanted].tolist()
        ],
    )


def _between(log: Log, starts: Ints, ends: Ints, working: WorkingSet, where: Where) -> Ints:
    """How many records each of the gaps `[start, end)` holds that the consumer should have received."""
    found = np.zeros(len(starts), np.int64)
    state, last_read = working.records[where[0]].state, where in working.catalogue.bounds
    before = np.concatenate(([0], np.cumsum(ends - starts)))
    at = 0
    while at < len(starts):
        # As many gaps as fit into one stretch, or one that is longer, piece by piece.
        until = max(at + 1, int(np.searchsorted(before, before[at] + _CHUNK, "right")) - 1)
        if until == at + 1:
            for piece in range(int(starts[at]), int(ends[at]), _CHUNK):
                places = np.arange(piece, min(piece + _CHUNK, int(ends[at])))
                found[at] += np.count_nonzero(_visible(log, places, state, last_read))
        else:
            of = np.repeat(np.arange(until - at), np.diff(before[at : until + 1]))
            places = starts[at + of] + np.arange(len(of)) - (before[at + of] - before[at])
            found[at:until] = np.bincount(of[_visible(log, places, state, last_read)], minlength=until - at)
        at = until
    return found


def _visible(log: Log, places: Ints, state: Bytes, last_read: bool) -> Flags:
    """Whether a committed record is known to be there: by the last read, else by what other consumers saw."""
    numbers = log.records[places].astype(np.int64) - 1
    there = numbers >= 0
    flags = state[numbers[there]]
    there[there] = (flags & LOGGED != 0) if last_read else (flags & (ABORTED | UNSETTLED | FAILED) == 0)
    return there
