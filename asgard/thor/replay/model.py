"""What is copied from where: a source of records with known ends, a decision for each record, and the overall result.

A partition is named (topic, partition) as in the source. A position is the offset of the next record to read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from asgard.core.errors import Failed
from asgard.kafka.connection import Connection
from asgard.kafka.data import Headers, Read
from asgard.kafka.ports import ControlPlane

TopicPartition = tuple[str, int]


class CutShort(Failed):
    """A partition ends before the offset that is to be read next: what was there is lost, or it is another topic now."""

    def __init__(self, key: TopicPartition, position: int, end: int, hint: str) -> None:
        super().__init__(
            f"{key[0]}-{key[1]} ends at offset {end}, and offset {position} comes next: the topic was created again, or an unclean election cut it",
            hint,
        )


class To(NamedTuple):
    """Where a record goes and with which headers. `partition` -1: by key, as Kafka's own clients do."""

    topic: str
    partition: int
    headers: Headers


Route = Callable[[Read], To | str]
"""Where a record goes, or the reason why it isn't copied, in a word or two (`filtered`, `loop`)."""


@dataclass(slots=True)
class ReadBatch:
    """Records in the order of their partitions, and how far their partitions were read.

    `reached` also advances past offsets without a record: transaction markers, what compaction removed.
    """

    records: list[Read]
    reached: dict[TopicPartition, int] = field(default_factory=dict)


class RecordSource(Protocol):
    """A bounded stream of records: a window of topics, or files of an archive."""

    @property
    def window(self) -> Mapping[TopicPartition, tuple[int, int]]:
        """The first position of each partition, and the one to stop at."""
        ...

    def read(self, start: Mapping[TopicPartition, int]) -> Iterator[ReadBatch]:
        """Everything from these positions to the ends of the window; may be called again after a failure.

        Before the iterator ends, every partition has reached the end of its window or raised.
        """
        ...

    def ask(self, records: int, size_bytes: int) -> None:
        """Limit the next batch to this size; a source may return slightly more."""
        ...


@dataclass(frozen=True)
class Endpoint:
    """A cluster that a copy reads or writes: `connection` for its records, `control` for everything else."""

    connection: Connection
    control: ControlPlane


@dataclass(frozen=True)
class Saved:
    """What a committed transaction records for a partition: its position, how many records were sent from it, and a note."""

    position: int
    sent: int = 0
    note: str = ""


@dataclass
class Copied:
    """What a copy did: `total_sent` over all its runs, the rest in this run. `left` counts by reason, `redone` the
    transactions that were aborted, `slowed` how often the copy slowed down for a healing."""

    sent: int = 0
    sent_bytes: int = 0
    total_sent: int = 0
    left: dict[str, int] = field(default_factory=dict)
    redone: int = 0
    slowed: int = 0
    seconds: float = 0.0
    last_commit: float = 0.0
    """Seconds of the monotonic clock."""
