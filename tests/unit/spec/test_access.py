"""The table of the ACLs of a user's fields and roles: one in the code, the same in the docs; and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgard.kafka.model import Acl
from asgard.odin.spec import acls as access
from asgard.odin.spec.fold import Folded, fold, user_of
from asgard.odin.spec.model import ConnectSpec, StreamsSpec, UserSpec

DOC = Path(__file__).parents[3] / "docs" / "stack-file.md"


def test_a_user_s_acls() -> None:
    assert access.acls_of("api", {"produce": ["orders"], "consume": ["pay.*", "*"], "groups": ["api-"]}) == (
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
    assert access.pattern(name) == expected


@given(st.sampled_from(["LITERAL", "PREFIXED"]), st.text(alphabet="ab-._*", min_size=1, max_size=6))
def test_what_can_be_written_is_read_back_as_the_same_pattern(kind: str, resource: str) -> None:
    name = access.written(kind, resource)
    assert name is None or access.pattern(name) == (kind, resource)


@given(
    st.text(alphabet="ab-.", min_size=1, max_size=6),
    st.sampled_from(["produce", "consume", "groups", "transactional"]),
)
def test_every_grant_is_folded_back(name: str, field: str) -> None:
    found, left = fold("u", access.acls_of("u", {field: [name]}))
    assert not left and list(found.fields) == [field]
    (back,) = found.fields[field]
    assert access.pattern(back) == access.pattern(name)


@pytest.mark.parametrize(
    "acl",
    [
        Acl("TOPIC", "t", "LITERAL", "User:u", "READ", "DENY"),
        Acl("TOPIC", "t", "LITERAL", "User:u", "READ", "ALLOW", "10.0.0.1"),
        Acl("TOPIC", "t", "LITERAL", "User:*", "READ"),
        Acl("TOPIC", "t", "LITERAL", "Group:g", "READ"),
        Acl("GROUP", "*", "PREFIXED", "User:u", "READ"),
    ],
)
def test_what_no_user_entry_says(acl: Acl) -> None:
    assert user_of(acl) is None


@pytest.mark.parametrize(
    "acl",
    [
        Acl("TOPIC", "t-", "LITERAL", "User:u", "READ"),
        Acl("TOPIC", "t", "LITERAL", "User:u", "DESCRIBE"),
        Acl("CLUSTER", "kafka-cluster", "LITERAL", "User:u", "DESCRIBE"),
        Acl("TRANSACTIONAL_ID", "t", "LITERAL", "User:u", "WRITE"),
    ],
)
def test_what_the_table_does_not_say_is_not_folded(acl: Acl) -> None:
    found, left = fold("u", [acl])
    assert left == [acl] and found == Folded()


WORKERS = ConnectSpec("w", "c-offsets", "c-configs", "c-status", ("in",), ("out",))
USERS = {
    "streams": UserSpec("u", streams=(StreamsSpec("wordcount", ("lines",), ("counts",)),)),
    "workers": UserSpec("u", connect=WORKERS),
    "standalone": UserSpec("u", connect=ConnectSpec(write=("out",))),
    "tool": UserSpec("u", admin=("describe", "alter"), idempotent=True),
    "ledger": UserSpec("u", produce=("a", "b-"), consume=("*",), groups=("g",), transactional=("l-",)),
}


def acls(user: UserSpec) -> set[Acl]:
    return set(access.acls_of(user.name, access.grants_of(user)))


def test_the_acls_of_a_streams_application() -> None:
    assert acls(USERS["streams"]) == {
        Acl("TOPIC", "lines", "LITERAL", "User:u", "READ"),
        Acl("TOPIC", "counts", "LITERAL", "User:u", "WRITE"),
        Acl("GROUP", "wordcount", "LITERAL", "User:u", "READ"),
        *(Acl("TOPIC", "wordcount-", "PREFIXED", "User:u", op) for op in ("READ", "WRITE", "CREATE", "DELETE")),
        *(Acl("TRANSACTIONAL_ID", "wordcount-", "PREFIXED", "User:u", op) for op in ("WRITE", "DESCRIBE")),
    }


def test_the_acls_of_connect_workers() -> None:
    own = ("READ", "WRITE", "CREATE", "DESCRIBE_CONFIGS")
    assert acls(USERS["workers"]) == {
        Acl("GROUP", "w", "LITERAL", "User:u", "READ"),
        Acl("GROUP", "connect-", "PREFIXED", "User:u", "READ"),
        Acl("TOPIC", "in", "LITERAL", "User:u", "READ"),
        Acl("TOPIC", "out", "LITERAL", "User:u", "WRITE"),
        *(
            Acl("TOPIC", f"c-{name}", "LITERAL", "User:u", op)
            for name in ("offsets", "configs", "status")
            for op in own
        ),
    }
    assert acls(USERS["standalone"]) == {Acl("TOPIC", "out", "LITERAL", "User:u", "WRITE")}


@pytest.mark.parametrize("name", USERS)
def test_a_role_is_folded_back_and_gives_the_same_acls(name: str) -> None:
    user = USERS[name]
    found, left = fold("u", acls(user))
    assert not left
    back = UserSpec(
        "u",
        **{key: tuple(names) for key, names in found.fields.items()},  # type: ignore[arg-type]
        idempotent=found.idempotent,
        admin=tuple(found.admin),
        streams=tuple(
            StreamsSpec(**{k: v if isinstance(v, str) else tuple(v) for k, v in s.items()}) for s in found.streams
        ),  # type: ignore[arg-type]
        connect=ConnectSpec(**{k: v if isinstance(v, str) else tuple(v) for k, v in found.connect.items()})  # type: ignore[arg-type]
        if found.connect
        else None,
    )
    assert acls(back) == acls(user)
    assert (bool(back.streams), back.admin, back.idempotent) == (bool(user.streams), user.admin, user.idempotent)
    assert back.connect is None or back.connect.group == "w"


@given(st.sampled_from(sorted(USERS)), st.data())
def test_a_role_with_one_acl_less_is_no_role_and_nothing_is_lost(name: str, data: st.DataObject) -> None:
    whole = acls(USERS[name])
    lacks = data.draw(st.sampled_from(sorted(whole)))
    found, left = fold("u", whole - {lacks})
    grants: dict[str, list[str]] = dict(found.fields) | {f"admin.{word}": ["*"] for word in found.admin}
    for app in found.streams:
        for key, value in app.items():
            grants.setdefault(f"streams.{key}", []).extend([value] if isinstance(value, str) else value)
    topics = [str(found.connect[key]) for key in ("offsets", "configs", "status") if key in found.connect]
    grants |= {"connect.topics": topics, "connect.group": [str(found.connect["group"])] if topics else []}
    grants |= {"connect.read": list(found.connect.get("read", [])), "idempotent": [""] if found.idempotent else []}
    assert {*access.acls_of("u", grants), *left} == whole - {lacks}


def test_the_docs_have_the_same_table() -> None:
    called = {
        "name": "the name",
        "literal": "the name, literally",
        "own-prefix": "names that begin with `NAME-`",
        "connect": "names that begin with `connect-`",
        "all": "`*`",
        "cluster": "the cluster",
    }
    rows = [
        f"| `{r.field}` | `{r.resource_type}` | {called[r.form]} | `{', '.join(r.operations)}` | {r.why} |"
        for r in access.TABLE
    ]
    assert "\n".join(rows) in DOC.read_text(encoding="utf-8")
