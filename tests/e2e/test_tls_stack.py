"""A live stack goes over to TLS: first beside what clients use, then alone; a user by certificate; a certificate that is due."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asgard.core.errors import AsgardError
from asgard.kafka.admin import check_login, connect
from asgard.kafka.connection import Connection
from asgard.kafka.model import Acl
from tests.e2e.command import Home, Stack
from tests.harness import AckedProducer, read_all

pytestmark = [pytest.mark.kafka, pytest.mark.long]


@pytest.fixture(scope="module")
def stack(home: Home) -> Iterator[Stack]:
    """One broker without TLS, a topic, two users."""
    yield Stack(
        home,
        {
            "stack": "goes-over",
            "target": "local",
            "kafka": {"brokers": 1},
            "topics": [{"name": "orders", "partitions": 1, "config": {"cleanup.policy": "delete, compact"}}],
            "users": [
                {"name": "shop", "produce": ["orders"]},
                {"name": "books", "consume": ["orders"], "groups": ["b-"]},
            ],
            "quotas": [{"ip": "127.0.0.9", "connections": 10}],
        },
    )


def test_tls_comes_beside_what_clients_use(stack: Stack) -> None:
    stack.up()
    stack.settled()
    before = stack.user("shop")
    with AckedProducer(before) as producer:
        producer.send("orders", b"before", b"k")
        producer.flush()
        stack.document["security"] = {"tls": "optional"}
        stack.document["users"][1] = {"name": "books", "tls": True, "consume": ["orders"], "groups": ["b-"]}
        stack.up()
        stack.settled()
        producer.send("orders", b"after", b"k")
        producer.flush()
    assert not producer.failed and len(producer.acked) == 2
    assert check_login(before) is None  # at the listener that it knows
    after = stack.user("shop")
    assert after.tls and after.bootstrap_servers != before.bootstrap_servers and check_login(after) is None
    assert stack.admin.tls
    assert [record.value for record in read_all(stack.admin, "orders")] == [b"before", b"after"]


def test_a_user_logs_in_by_certificate(stack: Stack) -> None:
    books = stack.user("books")
    books = Connection(books.properties["bootstrap.servers"], books.properties)
    with connect(books) as control:
        assert list(control.topics()) == ["orders"]
    with connect(stack.admin) as control:
        assert "books" not in control.users()
        assert Acl("TOPIC", "orders", "LITERAL", "User:books", "READ") in control.acls()


def test_then_alone_and_a_certificate_that_is_due_is_renewed(stack: Stack) -> None:
    before = stack.home.node(stack.name, 1)
    plain = f"127.0.0.1:{before.spec().client_port}"
    old = before.key_store.read_text()
    stack.document["security"] = {"tls": True}
    before.key_store.unlink()
    drifted = stack.odin("drift", "--fail-on-drift", code=1).json["drift"]
    assert [(d["name"], d["differences"]) for d in drifted] == [
        ("goes-over-1", {"certificate": {"was": "valid", "is": "due"}})
    ]
    stack.up()
    stack.settled()
    assert before.key_store.read_text() != old
    with pytest.raises(AsgardError):
        connect(Connection(plain, {}), patience_s=0.5)
    assert "CLIENT" not in before.properties.read_text()
    stack.destroy()
