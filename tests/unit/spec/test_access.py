"""The table of the ACLs of `produce`, `consume` and `groups`: one in the code, the same in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.kafka.model import Acl
from asgard.odin.spec import acls

DOC = Path(__file__).parents[3] / "docs" / "stack-file.md"


def test_a_user_s_acls() -> None:
    assert acls.acls_of("api", {"produce": ["orders"], "consume": ["pay.*", "*"], "groups": ["api-"]}) == (
        Acl("TOPIC", "orders", "LITERAL", "User:api", "WRITE"),
        Acl("TOPIC", "pay.", "PREFIXED", "User:api", "READ"),
        Acl("TOPIC", "*", "LITERAL", "User:api", "READ"),
        Acl("GROUP", "api-", "PREFIXED", "User:api", "READ"),
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orders", ("LITERAL", "orders")),
        ("orders-", ("PREFIXED", "orders-")),
        ("orders.", ("PREFIXED", "orders.")),
        ("orders_", ("PREFIXED", "orders_")),
        ("orders*", ("PREFIXED", "orders")),
        ("orders.*", ("PREFIXED", "orders.")),
        ("*", ("LITERAL", "*")),
    ],
)
def test_how_a_name_is_read(name: str, expected: tuple[str, str]) -> None:
    assert acls.pattern(name) == expected


@given(st.sampled_from(["LITERAL", "PREFIXED"]), st.text(alphabet="ab-._*", min_size=1, max_size=6))
def test_what_can_be_written_is_read_back_as_the_same_pattern(kind: str, resource: str) -> None:
    name = acls.written(kind, resource)
    assert name is None or acls.pattern(name) == (kind, resource)


@given(st.text(alphabet="ab-.", min_size=1, max_size=6), st.sampled_from(["produce", "consume", "groups"]))
def test_every_grant_is_folded_back(name: str, field: str) -> None:
    (acl,) = acls.acls_of("u", {field: [name]})
    user, back, written = acls.grant_of(acl) or ("", "", "")
    assert (user, back) == ("u", field)
    assert acls.pattern(written) == acls.pattern(name)


@pytest.mark.parametrize(
    "acl",
    [
        Acl("TOPIC", "t", "LITERAL", "User:u", "READ", "DENY"),
        Acl("TOPIC", "t", "LITERAL", "User:u", "READ", "ALLOW", "10.0.0.1"),
        Acl("TOPIC", "t", "LITERAL", "User:*", "READ"),
        Acl("TOPIC", "t", "LITERAL", "Group:g", "READ"),
        Acl("TOPIC", "t-", "LITERAL", "User:u", "READ"),
        Acl("TOPIC", "t", "LITERAL", "User:u", "DESCRIBE"),
        Acl("CLUSTER", "kafka-cluster", "LITERAL", "User:u", "READ"),
    ],
)
def test_what_the_table_does_not_say_is_not_folded(acl: Acl) -> None:
    assert acls.grant_of(acl) is None


def test_the_docs_have_the_same_table() -> None:
    rows = [f"| `{row.field}` | `{row.resource_type}` | `{row.operation}` | {row.why} |" for row in acls.TABLE]
    assert "\n".join(rows) in DOC.read_text(encoding="utf-8")
