"""The anomalies, named and defined as in Jepsen's Kafka workload (`jepsen.tests.kafka`), and how many of each were found.

Where our definition differs from Jepsen's, docs/loki-check.md says why. A `Symptom` is an anomaly together with the circumstance
that decides whether it breaks a promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, StrEnum

EXAMPLES = 5


class Anomaly(StrEnum):
    """What can be wrong with what Kafka's users saw."""

    LOST_WRITE = "lost-write"
    UNSEEN = "unseen"
    DUPLICATE = "duplicate"
    INCONSISTENT_OFFSETS = "inconsistent-offsets"
    ABORTED_READ = "aborted-read"
    POLL_SKIP = "poll-skip"
    NONMONOTONIC_POLL = "nonmonotonic-poll"
    NONMONOTONIC_SEND = "nonmonotonic-send"
    CORRUPTED = "corrupted"


class Symptom(Enum):
    """An anomaly, its circumstance, and what is counted."""

    LOST = (Anomaly.LOST_WRITE, "", "acknowledged records that the last read did not find")
    UNSEEN = (Anomaly.UNSEEN, "", "acknowledged records that no consumer read and no last read settled")
    DUPLICATE = (Anomaly.DUPLICATE, "", "records stored at more than one offset")
    DISAGREEING_READERS = (
        Anomaly.INCONSISTENT_OFFSETS,
        "between readers",
        "offsets at which two readers saw different records",
    )
    TOLD_ELSEWHERE = (
        Anomaly.INCONSISTENT_OFFSETS,
        "sender and readers",
        "offsets that a producer got for a record, but where consumers saw another one, or none because the record is elsewhere",
    )
    REFUSED_READ = (
        Anomaly.ABORTED_READ,
        "refused send",
        "records that were read although their send had definitely failed",
    )
    ABORTED_READ = (
        Anomaly.ABORTED_READ,
        "aborted transaction",
        "records of aborted transactions that a read_committed consumer received",
    )
    UNCOMMITTED_READ = (
        Anomaly.ABORTED_READ,
        "aborted transaction, read_uncommitted",
        "times a read_uncommitted consumer received a record of an aborted transaction",
    )
    SKIP = (
        Anomaly.POLL_SKIP,
        "within an assignment",
        "records that a consumer did not receive although it received later ones",
    )
    SKIP_ACROSS = (
        Anomaly.POLL_SKIP,
        "across a rebalance",
        "records that a consumer missed between losing a partition and getting it again",
    )
    BACK = (
        Anomaly.NONMONOTONIC_POLL,
        "within an assignment",
        "times a consumer received an offset again, or an earlier one",
    )
    BACK_ACROSS = (
        Anomaly.NONMONOTONIC_POLL,
        "across a rebalance",
        "times a consumer got a partition again and started at or before the offset it had reached",
    )
    SENT_OUT_OF_ORDER = (
        Anomaly.NONMONOTONIC_SEND,
        "",
        "records stored after one that the same producer sent later",
    )
    CORRUPTED = (Anomaly.CORRUPTED, "", "offsets whose value does not match the checksum it was sent with")

    def __init__(self, anomaly: Anomaly, circumstance: str, counted: str) -> None:
        self.anomaly = anomaly
        self.circumstance = circumstance
        self.counted = counted


@dataclass(frozen=True)
class Example:
    """One of those found. None: not known, or it has none. `at_us`: about when it was recorded (µs, UTC)."""

    topic: str
    partition: int | None = None
    offset: int | None = None
    producer: int | None = None
    sequence: int | None = None
    note: str = ""
    at_us: int | None = None


@dataclass
class AnomalyTally:
    """How many of each case, with the first few examples."""

    counts: dict[Symptom, int] = field(default_factory=dict)
    examples: dict[Symptom, list[Example]] = field(default_factory=dict)

    def add(self, case: Symptom, count: int, examples: Callable[[int], Iterable[Example]]) -> None:
        """`examples(n)` gives up to n of them; it is called only if more are needed."""
        if not count:
            return
        self.counts[case] = self.counts.get(case, 0) + count
        kept = self.examples.setdefault(case, [])
        if (wanted := EXAMPLES - len(kept)) > 0:
            kept.extend(list(examples(wanted))[:wanted])
