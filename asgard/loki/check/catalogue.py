"""One pass over a history: who wrote and read, and how much there is of everything, so that memory can be allocated first."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from asgard.core.errors import WrongUsage
from asgard.loki.check.history import (
    NO_OFFSET,
    Acked,
    Bounds,
    Consumer,
    End,
    HistorySource,
    Polled,
    Producer,
    Sent,
    Start,
    Transaction,
)

Where = tuple[str, int]
"""A topic and a partition."""


@dataclass
class Span:
    """The offsets of a partition that any row names, and how many rows do."""

    low: int
    high: int
    rows: int


@dataclass
class Ranges:
    """Sequences `[first, until)` of one producer in one topic whose transactions did not (for sure) commit."""

    aborted: array[int] = field(default_factory=lambda: array("q"))
    unsettled: array[int] = field(default_factory=lambda: array("q"))


@dataclass
class Catalogue:
    """What a history consists of. `sent` counts sequences by (topic, producer); `consumers` are by (file, number)."""

    run: bytes = b""
    producers: dict[int, Producer] = field(default_factory=dict)
    consumers: dict[tuple[int, int], Consumer] = field(default_factory=dict)
    sent: dict[tuple[str, int], int] = field(default_factory=dict)
    killed: set[int] = field(default_factory=set)
    bounds: dict[Where, Bounds] = field(default_factory=dict)
    spans: dict[Where, Span] = field(default_factory=dict)
    transactions: dict[tuple[str, int], Ranges] = field(default_factory=dict)
    file_of: dict[int, int] = field(default_factory=dict)

    @property
    def topics(self) -> list[str]:
        """All that were written to or read."""
        return sorted({topic for topic, _ in self.sent} | {topic for topic, _ in self.spans})

    def is_last_read(self, file: int, consumer: int) -> bool:
        """Whether it is the last read's reader. Raises WrongUsage if the history does not introduce it."""
        return self.consumer(file, consumer).via == "last-read"

    def consumer(self, file: int, consumer: int) -> Consumer:
        """A consumer. Raises WrongUsage if the history does not introduce it."""
        try:
            return self.consumers[file, consumer]
        except KeyError:
            raise WrongUsage(f"the history has records of a consumer {consumer} that it never declared") from None


def look(source: HistorySource) -> Catalogue:
    """Read everything once. Raises WrongUsage if files don't belong together."""
    found = Catalogue()
    begun: dict[int, Mapping[str, tuple[int, int]]] = {}
    for file, block in source.blocks():
        match block:
            case Start():
                if found.run and block.run != found.run:
                    raise WrongUsage(f"{source.names[file]} is from another run than {source.names[0]}")
                found.run = block.run
                found.killed.add(file)
            case End():
                found.killed.discard(file)
            case Producer():
                if block.producer in found.producers:
                    raise WrongUsage(
                        f"{source.names[file]}: there is another producer {block.producer} in this history"
                    )
                found.producers[block.producer] = block
                found.file_of[block.producer] = file
            case Consumer():
                found.consumers[file, block.consumer] = block
            case Sent():
                found.sent[block.topic, block.producer] = block.until
            case Transaction():
                if block.outcome == "begun":
                    begun[block.producer] = block.ranges
                else:
                    begun.pop(block.producer, None)
                    _note(found, block)
            case Bounds():
                found.bounds[block.topic, block.partition] = block
            case Acked() | Polled():
                _measure(found, block)
    for producer, stood in begun.items():
        _never_ended(found, producer, stood)
    if unknown := {producer for _, producer in found.sent} - found.producers.keys():
        raise WrongUsage(f"the history has records of a producer {min(unknown)} that it never declared")
    return found


def _measure(found: Catalogue, block: Acked | Polled) -> None:
    offsets = block.offsets.values()
    low, high = int(offsets.min()), int(offsets.max())
    if low == NO_OFFSET:
        known = offsets[offsets != NO_OFFSET]
        if not len(known):
            return
        low = int(known.min())
    span = found.spans.setdefault((block.topic, block.partition), Span(low, high, 0))
    span.low, span.high, span.rows = min(span.low, low), max(span.high, high), span.rows + len(offsets)


def _note(found: Catalogue, ended: Transaction) -> None:
    if ended.outcome == "committed":
        return
    for topic, span in ended.ranges.items():
        ranges = found.transactions.setdefault((topic, ended.producer), Ranges())
        (ranges.aborted if ended.outcome == "aborted" else ranges.unsettled).extend(span)


def _never_ended(found: Catalogue, producer: int, stood: Mapping[str, tuple[int, int]]) -> None:
    for (topic, number), until in found.sent.items():
        if number == producer:
            first = stood.get(topic, (0, 0))[0]
            found.transactions.setdefault((topic, producer), Ranges()).unsettled.extend((first, until))
