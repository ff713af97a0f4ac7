"""Which anomaly breaks which of Kafka's promises, in which mode: one table.

A promise holds only under conditions: Kafka never said that acks=1 survives the death of a leader, or that a producer without
idempotence writes once. `TABLE` says for each case what is promised, when, and what to tell users whose settings did not ask for
it. Sources: Kafka's documentation (design: message delivery semantics, replication; configuration: `acks`, `enable.idempotence`,
`max.in.flight.requests.per.connection`, `unclean.leader.election.enable`, `isolation.level`), KIP-98 and Jepsen's
`allowed-error-types`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from asgard.loki.check.anomalies import Symptom
from asgard.loki.check.history import Acks, Consumer, Producer

_STRENGTH: dict[Acks, int] = {"0": 0, "1": 1, "all": 2}


@dataclass(frozen=True)
class Mode:
    """What a load asked of Kafka. If its clients differ, the weakest counts, so that Kafka is never blamed unfairly.

    `subscribe`: some consumer got its partitions from its group; False: all assigned them themselves (or there was none).
    `transactions`: producers wrote in transactions. `unclean_election`: a leader outside the ISR was allowed, or elected by hand.
    `timed_out`: some send got no answer in time.
    """

    acks: Acks = "all"
    idempotence: bool = True
    subscribe: bool = False
    transactions: bool = False
    unclean_election: bool = False
    timed_out: bool = False

    @classmethod
    def of(
        cls,
        producers: Iterable[Producer],
        consumers: Iterable[Consumer],
        *,
        unclean_election: bool = False,
        timed_out: bool = False,
    ) -> Mode:
        """The mode of a history."""
        writing, reading = list(producers), list(consumers)
        return cls(
            min((p.acks for p in writing), key=_STRENGTH.__getitem__, default="all"),
            all(p.idempotence or p.transactions for p in writing),
            any(c.via == "subscribe" for c in reading),
            any(p.transactions for p in writing),
            unclean_election,
            timed_out,
        )

    def __str__(self) -> str:
        words = [f"acks={self.acks}", "idempotence" if self.idempotence else "no idempotence"]
        words += ["transactions"] if self.transactions else []
        words += ["subscribe" if self.subscribe else "assign"]
        words += ["unclean election"] if self.unclean_election else []
        words += ["sends that timed out"] if self.timed_out else []
        return ", ".join(words)


class Promise(StrEnum):
    """What Kafka promises, in plain words."""

    DURABILITY = "an acknowledged record is kept"
    ONCE = "a record is written once, even if its producer retries"
    ONE_LOG = "an offset of a partition holds one record, the same for every consumer"
    TOLD_TRULY = "an acknowledged record is at the offset that its producer got"
    ATOMICITY = "a record whose send failed, or whose transaction was aborted, is never seen"
    NO_GAPS = "a consumer receives every record of its partitions, in offset order"
    SEND_ORDER = "records of one producer are stored in a partition in the order they were sent"
    INTEGRITY = "a record arrives as it was sent"


@dataclass(frozen=True)
class Rule:
    """`holds(mode)`: whether the promise was given. `unless`: what to say if it was not. No promise: the case breaks none."""

    case: Symptom
    promise: Promise | None
    holds: Callable[[Mode], bool]
    unless: str


def _always(_: Mode) -> bool:
    return True


def _never(_: Mode) -> bool:
    return False


def _idempotent(mode: Mode) -> bool:
    """Idempotence lasts until a send times out: the client then bumps its epoch, and writes what it still has under the new one.

    Records without an answer may be there already (librdkafka's maintainers: its issue 4953; the Java client bumps its epoch too).
    """
    return mode.idempotence and not (mode.unclean_election or mode.timed_out)


def _replicated(mode: Mode) -> bool:
    return mode.acks == "all" and not mode.unclean_election


_WITHOUT_REPLICAS = (
    "only acks=all without unclean leader election keeps what was acknowledged when the leader dies; "
    "acks=1 trusts one replica, acks=0 none"
)
_UNCLEAN = "an unclean leader election removes records that consumers may have seen, and reuses their offsets"
_REBALANCED = "with subscribe a consumer starts where its group committed, not where it stopped"

TABLE: tuple[Rule, ...] = (
    Rule(Symptom.LOST, Promise.DURABILITY, _replicated, _WITHOUT_REPLICAS),
    Rule(Symptom.UNSEEN, None, _never, "not checked yet: neither kept nor lost"),
    Rule(
        Symptom.DUPLICATE,
        Promise.ONCE,
        _idempotent,
        "without enable.idempotence a retry may write a record twice; so may an unclean leader election, or a client that started over after a send timed out",
    ),
    Rule(Symptom.DISAGREEING_READERS, Promise.ONE_LOG, lambda mode: not mode.unclean_election, _UNCLEAN),
    Rule(Symptom.TOLD_ELSEWHERE, Promise.TOLD_TRULY, _replicated, _WITHOUT_REPLICAS),
    Rule(Symptom.REFUSED_READ, Promise.ATOMICITY, _always, ""),
    Rule(
        Symptom.ABORTED_READ,
        Promise.ATOMICITY,
        lambda mode: not mode.unclean_election,
        "an unclean leader election may remove the marker of an aborted transaction",
    ),
    Rule(
        Symptom.UNCOMMITTED_READ,
        None,
        _never,
        "isolation.level=read_uncommitted asks for records of open and aborted transactions",
    ),
    Rule(Symptom.SKIP, Promise.NO_GAPS, lambda mode: not mode.unclean_election, _UNCLEAN),
    Rule(Symptom.SKIP_ACROSS, Promise.NO_GAPS, lambda mode: not (mode.subscribe or mode.unclean_election), _REBALANCED),
    Rule(Symptom.BACK, Promise.NO_GAPS, lambda mode: not mode.unclean_election, _UNCLEAN),
    Rule(Symptom.BACK_ACROSS, Promise.NO_GAPS, lambda mode: not (mode.subscribe or mode.unclean_election), _REBALANCED),
    Rule(
        Symptom.SENT_OUT_OF_ORDER,
        Promise.SEND_ORDER,
        _idempotent,
        "without enable.idempotence a retry may be overtaken by another request in flight; so may a record after an unclean leader election, or after a send timed out and the client started over",
    ),
    Rule(Symptom.CORRUPTED, Promise.INTEGRITY, _always, ""),
)
