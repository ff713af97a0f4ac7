"""A naive check, record by record in dictionaries, straight from the definitions in docs/loki-check.md: what the real one has to agree with.

A `Story` is a history as plain lists, small enough to generate; it can be written to disk in the real format.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from asgard.loki.check.anomalies import Symptom
from asgard.loki.check.history import NO_OFFSET, SUFFIX, Bounds, Ending, Isolation, Transaction, Via
from asgard.loki.check.recorder import Recorder

RUN = bytes(range(16))
TOPIC = "orders"
Name = tuple[int, int]  # producer, sequence
Row = tuple[int, int, int, bool]  # offset, producer, sequence, corrupted


@dataclass
class Sender:
    """A producer: how many it sent, what it was told, and its transactions as (outcome, first, until)."""

    sent: int = 0
    acks: dict[int, tuple[int, int]] = field(default_factory=dict)  # sequence -> partition, offset
    failed: set[int] = field(default_factory=set)
    transactions: list[tuple[Ending, int, int]] = field(default_factory=list)


@dataclass
class Reader:
    """A consumer: ("assigned", partitions) or ("polled", partition, rows), in its order."""

    via: Via = "assign"
    isolation: Isolation = "read_committed"
    events: list[tuple[str, list[int]] | tuple[str, int, list[Row]]] = field(default_factory=list)


@dataclass
class Story:
    """A whole history of one topic. `last` is None where there was no last read; `bounds` by partition: start, end, complete."""

    senders: list[Sender] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    last: dict[int, list[Row]] | None = None
    bounds: dict[int, tuple[int, int, bool]] = field(default_factory=dict)

    def write(self, directory: Path, *, far: int = 0) -> None:
        """In the real format. `far` is added to all offsets of partition 1, as if others had written there before."""
        directory.mkdir(parents=True, exist_ok=True)
        with Recorder(directory / f"load{SUFFIX}", RUN, clock=lambda: 7) as recorder:
            for number, sender in enumerate(self.senders):
                log = recorder.producer(number, acks="all", idempotence=True, transactions=bool(sender.transactions))
                log.take(TOPIC, sender.sent)
                for outcome, first, until in sender.transactions:
                    recorder.write(Transaction(number, "begun", 7, {TOPIC: (first, first)}))
                    if outcome != "begun":
                        recorder.write(Transaction(number, outcome, 7, {TOPIC: (first, until)}))
                for sequence, (partition, offset) in sender.acks.items():
                    log.acked(TOPIC, partition, sequence, offset + far * partition if offset != NO_OFFSET else None)
                for sequence in sender.failed:
                    log.failed(TOPIC, sequence, "too large")
            for number, reader in enumerate(self.readers):
                polls = recorder.consumer(number, via=reader.via, group="g", isolation=reader.isolation)
                for event in reader.events:
                    if event[0] == "assigned":
                        polls.assigned((TOPIC, partition) for partition in event[1])
                    else:
                        _poll(polls, event[1], event[2], far)
        if self.last is not None:
            with Recorder(directory / f"last-read{SUFFIX}", RUN, clock=lambda: 8) as recorder:
                polls = recorder.consumer(0, via="last-read")
                for partition, rows in self.last.items():
                    _poll(polls, partition, rows, far)
                for partition, (start, end, complete) in self.bounds.items():
                    at = far * partition
                    recorder.bounds(Bounds(TOPIC, partition, start + at if start else 0, end + at, complete))


def _poll(polls, partition: int, rows: list[Row], far: int) -> None:
    offsets, producers, sequences, corrupted = zip(*rows, strict=True) if rows else ((), (), (), ())
    spoiled = [row for row, damaged in enumerate(corrupted) if damaged]
    polls.polled_many(TOPIC, partition, [o + far * partition for o in offsets], producers, sequences, spoiled)


@dataclass
class Found:
    """What the naive check found."""

    cases: Counter[Symptom] = field(default_factory=Counter)
    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    indeterminate: int = 0
    arrived: int = 0
    consumed: int = 0
    read_back: int = 0
    removed: int = 0
    unknown: int = 0


def check(story: Story) -> Found:
    """The definitions, one after the other."""
    found = Found()
    names = {(p, s) for p, sender in enumerate(story.senders) for s in range(sender.sent)}
    told = {(p, s): w for p, sender in enumerate(story.senders) for s, w in sender.acks.items() if (p, s) in names}
    found.unknown = sum(len(sender.acks) for sender in story.senders) - len(told)
    failed = {(p, s) for p, sender in enumerate(story.senders) for s in sender.failed} & names
    aborted, unsettled = _transactions(story)
    logged = {(p, s) for rows in (story.last or {}).values() for _, p, s, _ in rows} & names
    polled = _polled(story) & names
    log = _log(story, names, found)
    _reads(story, names, failed, aborted, found)
    _order(log, found)
    _told(story, told, log, logged, found)
    _decide(story, told, (failed, aborted, unsettled), logged, polled, found)
    _polls(story, log, logged, failed | aborted | unsettled, found)
    good = told.keys() - failed - aborted - unsettled
    found.sent, found.failed, found.acknowledged = len(names), len(failed | aborted), len(good)
    found.indeterminate = found.sent - found.failed - found.acknowledged
    found.arrived = len(logged - good - failed - aborted)
    found.consumed, found.read_back = len(polled & good), len(logged)
    return found


def _transactions(story: Story) -> tuple[set[Name], set[Name]]:
    aborted, unsettled = set(), set()
    for producer, sender in enumerate(story.senders):
        for place, (outcome, first, until) in enumerate(sender.transactions):
            if outcome == "aborted":
                aborted |= {(producer, s) for s in range(first, until)}
            elif outcome == "indeterminate":
                unsettled |= {(producer, s) for s in range(first, until)}
            elif outcome == "begun" and place == len(sender.transactions) - 1:
                unsettled |= {(producer, s) for s in range(first, sender.sent)}
    return aborted, unsettled


def _rows(story: Story):
    """All rows with partition and reader (None: the last read), the last read first."""
    for partition, rows in (story.last or {}).items():
        for row in rows:
            yield partition, row, None
    for reader in story.readers:
        for event in reader.events:
            if event[0] == "polled":
                for row in event[2]:
                    yield event[1], row, reader


def _polled(story: Story) -> set[Name]:
    return {(producer, sequence) for _, (_, producer, sequence, _), reader in _rows(story) if reader is not None}


def _log(story: Story, names: set[Name], found: Found) -> dict[tuple[int, int], Name]:
    log, differing, corrupted = {}, set(), set()
    for partition, (offset, producer, sequence, damaged), _ in _rows(story):
        if damaged:
            corrupted.add((partition, offset))
        if (producer, sequence) not in names:
            found.unknown += 1
        elif log.setdefault((partition, offset), (producer, sequence)) != (producer, sequence):
            differing.add((partition, offset))
    found.cases[Symptom.DISAGREEING_READERS] = len(differing)
    found.cases[Symptom.CORRUPTED] = len(corrupted)
    return log


def _reads(story: Story, names: set[Name], failed: set[Name], aborted: set[Name], found: Found) -> None:
    refused, dirty = set(), set()
    for _, (_, producer, sequence, _), reader in _rows(story):
        name = (producer, sequence)
        committed = reader is None or reader.isolation == "read_committed"
        if name in failed:
            refused.add(name)
        elif name in aborted and committed:
            dirty.add(name)
        elif name in aborted:
            found.cases[Symptom.UNCOMMITTED_READ] += 1
    found.cases[Symptom.REFUSED_READ] = len(refused)
    found.cases[Symptom.ABORTED_READ] = len(dirty)


def _order(log: dict[tuple[int, int], Name], found: Found) -> None:
    copies = Counter(log.values())
    found.cases[Symptom.DUPLICATE] = sum(count > 1 for count in copies.values())
    met, latest = set(), {}
    for (partition, _), name in sorted(log.items()):
        if name not in met:
            met.add(name)
            producer, sequence = name
            found.cases[Symptom.SENT_OUT_OF_ORDER] += sequence < latest.get((partition, producer), -1)
            latest[partition, producer] = sequence


def _told(story: Story, told, log, logged: set[Name], found: Found) -> None:
    wrong = set()
    for name, (partition, offset) in told.items():
        here = log.get((partition, offset))
        if offset == NO_OFFSET or here == name:
            continue
        bounds = story.bounds.get(partition)
        elsewhere = story.last is not None and name in logged and bounds is not None and offset >= bounds[0]
        if here is not None or elsewhere:
            wrong.add((partition, offset))
    found.cases[Symptom.TOLD_ELSEWHERE] = len(wrong)


def _decide(story: Story, told, not_good, logged: set[Name], polled: set[Name], found: Found) -> None:
    failed, aborted, unsettled = not_good
    for name, (partition, offset) in told.items():
        if name in failed | aborted | unsettled | logged:
            continue
        start, end, complete = story.bounds.get(partition, (0, 0, False)) if story.last is not None else (0, 0, False)
        if offset != NO_OFFSET and offset < start:
            found.removed += 1
        elif (complete or offset < end) if offset != NO_OFFSET else (complete and start == 0):
            found.cases[Symptom.LOST] += 1
        elif name not in polled:
            found.cases[Symptom.UNSEEN] += 1


def _polls(story: Story, log, logged: set[Name], not_good: set[Name], found: Found) -> None:
    for reader in story.readers:
        stood: dict[int, int] = {}
        moved: set[int] = set()
        for event in reader.events:
            if event[0] == "assigned":
                moved |= set(event[1])
                continue
            partition = event[1]
            for offset, *_ in event[2]:
                if partition in stood:
                    across = partition in moved
                    before = stood[partition]
                    if offset <= before:
                        found.cases[Symptom.BACK_ACROSS if across else Symptom.BACK] += 1
                    for between in range(before + 1, offset):
                        name = log.get((partition, between))
                        decided = story.last is not None and partition in story.bounds
                        if name is not None and (name in logged if decided else name not in not_good):
                            found.cases[Symptom.SKIP_ACROSS if across else Symptom.SKIP] += 1
                moved.discard(partition)
                stood[partition] = offset
