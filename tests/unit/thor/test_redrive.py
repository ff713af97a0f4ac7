"""Where dead letters go, and the account of what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import Failed
from asgard.journal.store.database import Database, open_journal
from asgard.kafka.data import Read
from asgard.kafka.model import Broker, ClusterInfo, Offsets, Partition, Topic
from asgard.thor.redrive import ledger, letters, redrive
from asgard.thor.redrive.ledger import Ledger
from asgard.thor.redrive.letters import Rules
from asgard.thor.redrive.redrive import Books, PreparedRedrive, RedriveRequest
from asgard.thor.replay import exactly, header, history
from asgard.thor.replay.model import Endpoint, Saved, To

RULES = Rules("c1", "dlq", "r1", {"orders": 4, "dlq": 1})


def letter(*headers: tuple[str, bytes], key: bytes | None = b"k") -> Read:
    return Read("dlq", 5, 9, 0, key, b"v", headers)


@pytest.mark.parametrize(
    ("headers", "where"),
    [
        ([("__connect.errors.topic", b"orders"), ("__connect.errors.partition", b"3")], ("orders", 3)),
        ([("kafka_dlt-original-topic", b"orders"), ("kafka_dlt-original-partition", b"\0\0\0\2")], ("orders", 2)),
        ([("kafka_dlt-original-topic", b"orders"), ("kafka_dlt-original-partition", b"\0\0\0\7")], ("orders", -1)),
        ([("__connect.errors.topic", b"old"), ("__connect.errors.topic", b"orders")], ("orders", -1)),
        ([], letters.NO_TARGET),
        ([("__connect.errors.topic", b"gone")], letters.NO_TOPIC),
        ([("__connect.errors.topic", b"dlq")], letters.LOOP),
    ],
)
def test_a_dead_letter_goes_where_its_headers_say(headers: list[tuple[str, bytes]], where: object) -> None:
    to = letters.decide(letter(*headers), RULES)
    assert (to[:2] if isinstance(to, To) else to) == where


def test_a_dead_letter_that_comes_back_again_and_again_stays() -> None:
    headers = [("__connect.errors.topic", b"orders")]
    for _ in range(RULES.max_tries):
        to = letters.decide(letter(*headers), RULES)
        assert isinstance(to, To)
        headers = list(to.headers)
    assert letters.decide(letter(*headers), RULES) == letters.TRIES
    assert [hop.topic for hop in header.hops(headers)] == ["dlq"] * 3


@given(
    st.lists(
        st.tuples(st.booleans(), st.sets(st.integers(0, 60), max_size=10), st.sets(st.integers(0, 60), max_size=60)),
        max_size=6,
    )
)
def test_the_account_knows_what_was_sent_whatever_the_order(runs: list[tuple[bool, set[int], set[int]]]) -> None:
    book, sent = Ledger(0), set[int]()
    for scan, chosen, refused in runs:
        for offset in range(book.first if scan else 0, 61):
            if not scan and offset not in chosen:
                continue
            if book.sent(offset):
                if scan:
                    book.note_seen(offset)
            elif offset in refused:
                book.note_left(offset, scan=scan)
            else:
                book.note_sent(offset, scan=scan)
                sent.add(offset)
        book = ledger.read(book.text())
        assert {offset for offset in range(61) if book.sent(offset)} == sent
        assert book.first <= min(set(range(61)) - sent, default=61)


def test_an_account_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Failed, match="scattered"):
        Ledger(10**6, {x * x % 999_983 for x in range(20_000)}).text()
    assert len(Ledger(10**6, set(range(0, 100_000, 2))).text()) < 1000


def test_single_letters_are_read_from_words() -> None:
    assert letters.chosen_of(["0:3", "0:7-9", "2:1"]) == {0: {3, 7, 8, 9}, 2: {1}}
    for wrong in ("3", "a:1", "0:9-7", "0:1-x"):
        with pytest.raises(ValueError, match=r"allowed is|upwards"):
            letters.chosen_of([wrong])


@dataclass
class DeadLetters:
    """A cluster whose dead letter topic holds so many records in its first partition; the second may have no leader."""

    count: int = 10
    id: str = "id-1"
    led: tuple[int, ...] = (0,)
    partitions: int = 1

    def cluster(self) -> ClusterInfo:
        return ClusterInfo("c1", (Broker(1),))

    def topics(self, names: object = None, *, moves: bool = True) -> dict[str, Topic]:
        parts = tuple(Partition("dlq", p, (1,), (1,), 1) for p in range(self.partitions))
        return {"dlq": Topic("dlq", self.id, False, parts), "orders": Topic("orders", "id-0", False, parts)}

    def offsets(self, keys: list[tuple[str, int]], *, committed: bool = False) -> dict[tuple[str, int], Offsets]:
        return {key: Offsets(0, self.count) for key in keys if key[1] in self.led}

    def prepare(self, journal: Database, *chosen: int) -> PreparedRedrive:
        request = RedriveRequest("dlq", {0: set(chosen)} if chosen else {})
        return redrive.prepare(Endpoint(cast(Any, None), cast(Any, self)), request, journal)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A journal; Kafka has forgotten every commit, so only the journal says what was sent."""
    monkeypatch.setattr(exactly, "committed", lambda *_: {})
    with open_journal(f"sqlite:///{tmp_path / 'journal.db'}") as journal:
        yield journal


def stopped(journal: Database, prepared: PreparedRedrive, *, sent: int, committed: int) -> None:
    """A run that sent so many dead letters, committed the first of them, and stopped with an error."""
    books = Books(prepared)
    books.started(prepared.saved)
    for offset in range(sent):
        named = [("__connect.errors.topic", b"orders")]
        assert isinstance(books.route(Read("dlq", 0, offset, 0, b"k", b"v", named)), To)
        if offset + 1 == committed:
            books.committed({("dlq", 0): Saved(committed, committed, books.note_of(("dlq", 0)))})
    if prepared.last_at is None:
        history.note(journal, "redrive", "started", "c1/dlq", {"words": "w", "topic_id": prepared.topic_id})
    facts = {"why": "not authorised", "ledger": books.ledger(), "topic_id": prepared.topic_id}
    history.note(journal, "redrive", "stopped", "c1/dlq", facts)


def test_dead_letters_of_an_aborted_transaction_are_sent_by_the_next_run(journal: Database) -> None:
    cluster = DeadLetters()
    stopped(journal, cluster.prepare(journal), sent=10, committed=4)
    assert cluster.prepare(journal).window == {("dlq", 0): (4, 10)}
    books = Books(prepared := cluster.prepare(journal, 3, 4))
    books.started(prepared.saved)
    found = [books.route(Read("dlq", 0, o, 0, b"k", b"v", [("__connect.errors.topic", b"orders")])) for o in (3, 4)]
    assert found[0] == redrive.SENT_BEFORE and isinstance(found[1], To)


def test_a_run_that_stops_before_it_reads_keeps_the_ledger(journal: Database) -> None:
    cluster = DeadLetters()
    stopped(journal, cluster.prepare(journal), sent=4, committed=4)
    assert Books(cluster.prepare(journal)).ledger() == [[0, 4, 4, "4,,"]]


def test_a_dead_letter_topic_that_is_created_again_begins_anew(journal: Database) -> None:
    stopped(journal, DeadLetters().prepare(journal), sent=10, committed=10)
    again = DeadLetters(6, "id-2").prepare(journal)
    assert (again.window, again.last_at) == ({("dlq", 0): (0, 6)}, None)
    stopped(journal, again, sent=2, committed=2)
    assert DeadLetters(6, "id-2").prepare(journal).window == {("dlq", 0): (2, 6)}


@pytest.mark.parametrize(("count", "window"), [(6, (0, 6)), (12, (10, 12))])
def test_a_ledger_without_the_topics_id_counts_unless_it_is_ahead_of_the_topic(
    journal: Database, count: int, window: tuple[int, int]
) -> None:
    history.note(journal, "redrive", "started", "c1/dlq", {"words": "w"})
    history.note(journal, "redrive", "finished", "c1/dlq", {"ledger": [[0, 10, 0, "10,,"]]})
    assert DeadLetters(count).prepare(journal).window == {("dlq", 0): window}


def test_a_partition_without_a_leader_is_not_left_out_silently(journal: Database) -> None:
    cluster = DeadLetters(partitions=2)
    with pytest.raises(Failed, match="dlq-1 has no leader"):
        cluster.prepare(journal)
    assert cluster.prepare(journal, 3, 5).window == {("dlq", 0): (3, 6)}, "only what was chosen is read"
