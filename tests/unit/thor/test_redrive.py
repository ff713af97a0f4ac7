"""Where dead letters go, and the account of what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.core.errors import Failed
from asgard.kafka.data import Read
from asgard.thor.redrive import ledger, letters
from asgard.thor.redrive.ledger import Ledger
from asgard.thor.redrive.letters import Rules
from asgard.thor.replay import header
from asgard.thor.replay.model import To

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
