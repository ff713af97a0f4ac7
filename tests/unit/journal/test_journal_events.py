"""Events: what is written down, how it is found again, and what never gets in."""

import json
import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.journal import events
from asgard.journal.events import EventFilter
from asgard.journal.secrets import blot, to_json


def test_an_event_is_read_as_it_was_recorded(journal, clock):
    recorded = events.record(
        journal, "odin.stack.provisioned", "orders", {"topics": 3}, actor="ann", correlation="run-1"
    )
    assert events.read(journal) == [recorded]
    assert (recorded.at, recorded.service, recorded.data) == (clock.at, "odin", {"topics": 3})


@pytest.fixture
def three(journal, clock):
    for minute, (kind, subject) in enumerate(
        [("thor.heal.started", "c1"), ("thor.heal.finished", "c1"), ("loki.fault.injected", "c2")]
    ):
        clock.at = 60.0 * minute
        events.record(journal, kind, subject, correlation=f"run-{minute}")
    return journal


@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [
        (EventFilter(), ["thor.heal.started", "thor.heal.finished", "loki.fault.injected"]),
        (EventFilter(kind="thor.*"), ["thor.heal.started", "thor.heal.finished"]),
        (EventFilter(kind="thor.heal.finished"), ["thor.heal.finished"]),
        (EventFilter(kind="th_r*"), []),
        (EventFilter(subject="c2"), ["loki.fault.injected"]),
        (EventFilter(since=60.0, until=120.0), ["thor.heal.finished"]),
        (EventFilter(correlation="run-0"), ["thor.heal.started"]),
        (EventFilter(after_id=2), ["loki.fault.injected"]),
    ],
)
def test_events_are_filtered(three, wanted, kinds):
    assert [e.kind for e in events.read(three, wanted)] == kinds


def test_the_newest_are_still_shown_oldest_first(three):
    assert [e.id for e in events.read(three, last=2)] == [2, 3]


def test_following_gives_what_is_there_and_then_what_comes(three):
    stop, seen = threading.Event(), []
    for event in events.follow(three, EventFilter(kind="thor.*"), poll_s=0.01, stop=stop):
        seen.append(event.kind)
        if len(seen) == 2:
            events.record(three, "loki.fault.ended", "c2")
            events.record(three, "thor.heal.failed", "c1")
        if len(seen) == 3:
            stop.set()
    assert seen == ["thor.heal.started", "thor.heal.finished", "thor.heal.failed"]


def test_old_events_are_pruned_and_their_ids_never_come_again(three, clock):
    clock.at = 120.0 + events.KEEP_S
    assert events.prune(three) == 2
    assert events.prune(three, older_than_s=-1) == 1
    assert events.record(three, "thor.heal.failed", "c1").id == 4


@pytest.mark.parametrize(
    "kind", ["odin.stack", "odin.stack.provision", "Odin.stack.provisioned", "kafka.topic.created", "odin.stack.made "]
)
def test_what_is_no_past_event_of_a_service_is_refused(journal, kind):
    with pytest.raises(ValueError, match=r"kind of event|past"):
        events.record(journal, kind, "orders")
    assert events.read(journal) == []


@pytest.mark.parametrize(
    "data",
    [
        {"password": "hunter2"},
        {"user": {"Secret": "hunter2"}},
        {"users": [{"name": "x", "sasl.jaas.config": "hunter2"}]},
        {"ssl.keystore.password": "hunter2"},
    ],
)
def test_data_that_names_a_secret_is_refused(journal, tmp_path, data):
    with pytest.raises(ValueError, match="names a secret") as error:
        events.record(journal, "odin.user.created", "x", data)
    assert "hunter2" not in str(error.value)
    assert b"hunter2" not in b"".join(p.read_bytes() for p in (tmp_path / "home").iterdir())


JAAS = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="hunter2";'


@pytest.mark.parametrize("text", [JAAS, "password=hunter2", "Passwd: hunter2, host=x", "secret = 'hunter2'"])
def test_a_secret_in_a_message_is_blotted_out(journal, text):
    event = events.record(journal, "odin.user.updated", text, {"error": [text]})
    assert "hunter2" not in json.dumps([event.subject, event.data])
    assert events.read(journal) == [event]


def test_other_words_stay_as_they_are():
    for text in ["the password of orders-api was changed", "host=a port=1", "tokens: 4"]:
        assert blot(text) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_any_document_comes_back_as_it_went_in(document):
    assert json.loads(to_json(document)) == document


def test_ids_rise_also_over_a_connection_that_is_not_ours(journal, tmp_path):
    first = events.record(journal, "odin.stack.provisioned", "a").id
    with sqlite3.connect(tmp_path / "home" / "journal.db") as raw:
        raw.execute("delete from asgard_events")
    raw.close()
    assert events.record(journal, "odin.stack.provisioned", "b").id > first
