"""All that the check holds in memory during its passes over a history: allocated once, filled by the passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from asgard.loki.check.anomalies import AnomalyTally, Example
from asgard.loki.check.arrays import ABORTED, FAILED, UNSETTLED, Log, Places, Records, ranked
from asgard.loki.check.catalogue import Catalogue, Where
from asgard.loki.check.history import NO_OFFSET, Acked, Failed, HistorySource, Ints, Polled


@dataclass
class LostRecords:
    """Acknowledged records that are lost, in arrays side by side; `offsets` as Kafka returned them, `NO_OFFSET` if it returned none."""

    partitions: Ints
    offsets: Ints
    producers: Ints
    sequences: Ints


@dataclass
class WorkingSet:
    """`records` by topic, `logs` by partition; `missing` by topic, the first `MISSING_KEPT` of all."""

    catalogue: Catalogue
    records: dict[str, Records] = field(default_factory=dict)
    logs: dict[Where, Log] = field(default_factory=dict)
    tally: AnomalyTally = field(default_factory=AnomalyTally)
    missing: dict[str, list[tuple[int, Ints, Ints]]] = field(default_factory=lambda: defaultdict(list))
    unknown: int = 0
    foreign: int = 0
    removed: int = 0

    def example(
        self, where: Where, offset: int | None, number: int | None, note: str = "", at_us: int | None = None
    ) -> Example:
        """An example at a place, of a record's number."""
        producer, sequence = self.records[where[0]].name(number) if number is not None else (None, None)
        return Example(*where, None if offset == NO_OFFSET else offset, producer, sequence, note, at_us)


def lay_out(source: HistorySource, catalogue: Catalogue) -> WorkingSet:
    """Allocate memory for everything, with what is known about records before any read: failed, aborted, unsettled."""
    working = WorkingSet(catalogue)
    by_topic: dict[str, list[tuple[int, int]]] = {topic: [] for topic in catalogue.topics}
    for (topic, producer), until in sorted(catalogue.sent.items()):
        by_topic[topic].append((producer, until))
    working.records = {topic: Records(sent) for topic, sent in by_topic.items()}
    sparse = {where for where, span in catalogue.spans.items() if Places.wasteful(span)}
    known = {where: ranked(_offsets(source, where)) for where in sparse}
    for where, span in catalogue.spans.items():
        working.logs[where] = Log(Places(span, known.get(where)), working.records[where[0]].total)
    for (topic, producer), ranges in catalogue.transactions.items():
        state = working.records[topic].state[working.records[topic].of(producer)]
        for spans, flag in ((ranges.aborted, ABORTED), (ranges.unsettled, UNSETTLED)):
            for first, until in zip(spans[::2], spans[1::2], strict=True):
                state[first:until] |= flag
    for _, block in source.blocks((Failed,)):
        if isinstance(block, Failed):
            sequences = block.sequences.values()
            numbers, _ = working.records[block.topic].numbers(np.full(len(sequences), block.producer), sequences)
            working.records[block.topic].state[numbers] |= FAILED
    return working


def _offsets(source: HistorySource, where: Where) -> Iterable[Ints]:
    for _, block in source.blocks((Acked, Polled)):
        if isinstance(block, Acked | Polled) and (block.topic, block.partition) == where:
            offsets = block.offsets.values()
            yield offsets[offsets != NO_OFFSET]
