"""What a user entry allows: the one table of the ACLs of `produce`, `consume` and `groups`, and the way back.

A name that ends in `*` is a prefix (`orders.*` is everything that starts with `orders.`), and so is one that ends in a separator,
`-`, `.` or `_` (`orders-`); `*` alone is everything. Every other name is literal. Kafka lets READ and WRITE imply DESCRIBE, and
WRITE on a topic is enough for an idempotent producer; a transactional one needs its `transactional_id` under `acls:`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asgard.kafka.model import Acl

SEPARATORS = ("-", ".", "_")


@dataclass(frozen=True)
class Grant:
    """One row of the table: what a name under `field` allows."""

    field: str
    resource_type: str
    operation: str
    why: str


TABLE = (
    Grant("produce", "TOPIC", "WRITE", "write records, also idempotently; look the topic up"),
    Grant("consume", "TOPIC", "READ", "read records; look the topic up"),
    Grant("groups", "GROUP", "READ", "join the consumer group and commit its offsets"),
)


def pattern(name: str) -> tuple[str, str]:
    """Pattern type and resource name of a name as users write it."""
    if name == "*":
        return "LITERAL", "*"
    if name.endswith("*"):
        return "PREFIXED", name[:-1]
    return ("PREFIXED" if name.endswith(SEPARATORS) else "LITERAL"), name


def written(pattern_type: str, name: str) -> str | None:
    """The way back: how a user writes a pattern; None where it can't be written."""
    text = name if pattern_type == "LITERAL" or name.endswith(SEPARATORS) else name + "*"
    return text if pattern(text) == (pattern_type, name) else None


def matches(name: str, topic: str) -> bool:
    """Whether a name as users write it covers a topic, or a pattern that is at least as narrow."""
    kind, wanted = pattern(name)
    return wanted == "*" or topic == name or (kind == "PREFIXED" and topic.startswith(wanted))


def acls_of(user: str, grants: Mapping[str, Iterable[str]]) -> tuple[Acl, ...]:
    """The ACLs of a user whose names stand under `produce`, `consume` and `groups`; each once, in the order of the file."""
    found: dict[Acl, None] = {}
    for row in TABLE:
        for name in grants.get(row.field, ()):
            kind, resource = pattern(name)
            found[Acl(row.resource_type, resource, kind, f"User:{user}", row.operation)] = None
    return tuple(found)


def grant_of(acl: Acl) -> tuple[str, str, str] | None:
    """User, field and name of an ACL that a user entry can say; None where only `acls:` can."""
    kind, _, user = acl.principal.partition(":")
    if kind != "User" or not user or user == "*" or acl.permission != "ALLOW" or acl.host != "*":
        return None
    for row in TABLE:
        if (row.resource_type, row.operation) == (acl.resource_type, acl.operation):
            name = written(acl.pattern_type, acl.resource_name)
            return (user, row.field, name) if name else None
    return None
