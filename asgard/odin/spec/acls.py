"""What a user entry allows: the one table of the ACLs of its fields and roles.

A name that ends in `*` is a prefix (`orders.*` is everything that starts with `orders.`), and so is one that ends in a
separator, `-`, `.` or `_` (`orders-`); `*` alone is everything. Every other name is literal. In Kafka, READ and WRITE
imply DESCRIBE, and WRITE on a topic is enough for an idempotent producer. `spec.fold` does the reverse, from ACLs to
fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from asgard.kafka.model import Acl

SEPARATORS = ("-", ".", "_")
CLUSTER_RESOURCE = "kafka-cluster"

Form = Literal["name", "literal", "own-prefix", "connect", "all", "cluster"]
"""How the resource is named: as users write it; literally; `NAME-` as a prefix; the prefix `connect-`; `*`; the cluster."""
Names = Iterable[str]


@dataclass(frozen=True)
class Grant:
    """One row of the table: the ACLs that a name under `field` allows on one kind of resource."""

    field: str
    resource_type: str
    operations: tuple[str, ...]
    why: str
    form: Form = "name"


TABLE = (
    Grant("produce", "TOPIC", ("WRITE",), "write records, also idempotently; look the topic up"),
    Grant("consume", "TOPIC", ("READ",), "read records; look the topic up"),
    Grant("groups", "GROUP", ("READ",), "join the consumer group and commit its offsets"),
    Grant("transactional", "TRANSACTIONAL_ID", ("WRITE", "DESCRIBE"), "open, commit and abort transactions"),
    Grant("idempotent", "CLUSTER", ("IDEMPOTENT_WRITE",), "idempotent producers of clients older than 2.8", "cluster"),
    Grant("streams.application", "GROUP", ("READ",), "the application's consumer group", "literal"),
    Grant(
        "streams.application",
        "TOPIC",
        ("READ", "WRITE", "CREATE", "DELETE"),
        "its internal topics (changelogs, repartitions)",
        "own-prefix",
    ),
    Grant("streams.application", "TRANSACTIONAL_ID", ("WRITE", "DESCRIBE"), "exactly-once processing", "own-prefix"),
    Grant("streams.read", "TOPIC", ("READ",), "its input"),
    Grant("streams.write", "TOPIC", ("WRITE",), "its output"),
    Grant("connect.group", "GROUP", ("READ",), "the workers' own group", "literal"),
    Grant(
        "connect.topics",
        "TOPIC",
        ("READ", "WRITE", "CREATE", "DESCRIBE_CONFIGS"),
        "offsets, configs and status of the workers",
        "literal",
    ),
    Grant("connect.read", "TOPIC", ("READ",), "what sink connectors read"),
    Grant("connect.read", "GROUP", ("READ",), "the groups of sink connectors", "connect"),
    Grant("connect.write", "TOPIC", ("WRITE",), "what source connectors write"),
    Grant(
        "admin.describe",
        "CLUSTER",
        ("DESCRIBE", "DESCRIBE_CONFIGS"),
        "brokers, quorum, ACLs, quotas, configs",
        "cluster",
    ),
    Grant("admin.describe", "TOPIC", ("DESCRIBE", "DESCRIBE_CONFIGS"), "all topics, their offsets and configs", "all"),
    Grant("admin.describe", "GROUP", ("DESCRIBE",), "all groups and their lag", "all"),
    Grant("admin.create", "CLUSTER", ("CREATE",), "create any topic", "cluster"),
    Grant("admin.alter", "TOPIC", ("ALTER", "ALTER_CONFIGS"), "partitions and configs of all topics", "all"),
    Grant("admin.delete", "TOPIC", ("DELETE",), "delete any topic, and records", "all"),
    Grant(
        "admin.cluster",
        "CLUSTER",
        ("ALTER", "ALTER_CONFIGS"),
        "users, ACLs, reassignments, quotas, broker configs",
        "cluster",
    ),
)

ADMIN = tuple(dict.fromkeys(row.field.removeprefix("admin.") for row in TABLE if row.field.startswith("admin.")))
"""The words of `admin`."""


class Streams(Protocol):
    """A streams application."""

    @property
    def application(self) -> str: ...
    @property
    def read(self) -> Names: ...
    @property
    def write(self) -> Names: ...


class Connect(Protocol):
    """The workers of a Connect cluster, or a standalone one."""

    @property
    def group(self) -> str | None: ...
    @property
    def offsets(self) -> str | None: ...
    @property
    def configs(self) -> str | None: ...
    @property
    def status(self) -> str | None: ...
    @property
    def read(self) -> Names: ...
    @property
    def write(self) -> Names: ...


class Roles(Protocol):
    """A user entry, of the file or resolved."""

    @property
    def produce(self) -> Names: ...
    @property
    def consume(self) -> Names: ...
    @property
    def groups(self) -> Names: ...
    @property
    def transactional(self) -> Names: ...
    @property
    def idempotent(self) -> bool: ...
    @property
    def streams(self) -> Iterable[Streams]: ...
    @property
    def connect(self) -> Connect | None: ...
    @property
    def admin(self) -> Names: ...


def pattern(name: str) -> tuple[str, str]:
    """Pattern type and resource name of a name as users write it."""
    if name == "*":
        return "LITERAL", "*"
    if name.endswith("*"):
        return "PREFIXED", name[:-1]
    return ("PREFIXED" if name.endswith(SEPARATORS) else "LITERAL"), name


def written(pattern_type: str, name: str) -> str | None:
    """The reverse: how a user writes a pattern; None if it can't be written."""
    text = name if pattern_type == "LITERAL" or name.endswith(SEPARATORS) else name + "*"
    return text if pattern(text) == (pattern_type, name) else None


def matches(name: str, topic: str) -> bool:
    """Whether a name as users write it covers a topic, or a pattern at least as narrow."""
    kind, wanted = pattern(name)
    return wanted == "*" or topic == name or (kind == "PREFIXED" and topic.startswith(wanted))


def useless(acl: Acl) -> bool:
    """Whether an ACL matches nothing: a prefix `*` means that character, which no topic name may contain."""
    return acl.pattern_type == "PREFIXED" and acl.resource_name == "*"


def grants_of(user: Roles) -> dict[str, list[str]]:
    """The names of a user entry by field of the table."""
    found: dict[str, list[str]] = {
        "produce": list(user.produce),
        "consume": list(user.consume),
        "groups": list(user.groups),
        "transactional": list(user.transactional),
        "idempotent": [CLUSTER_RESOURCE] if user.idempotent else [],
    }
    for app in user.streams:
        for field, names in (("application", [app.application]), ("read", app.read), ("write", app.write)):
            found.setdefault(f"streams.{field}", []).extend(names)
    if (workers := user.connect) is not None:
        topics = (workers.offsets, workers.configs, workers.status)
        found |= {
            "connect.group": [workers.group] if workers.group is not None else [],
            "connect.topics": [topic for topic in topics if topic is not None],
            "connect.read": list(workers.read),
            "connect.write": list(workers.write),
        }
    return found | {f"admin.{word}": ["*"] for word in user.admin}


def acls_of(user: str, grants: Mapping[str, Iterable[str]]) -> tuple[Acl, ...]:
    """The ACLs of a user with these names under its fields; each once, in the order of the table."""
    found: dict[Acl, None] = {}
    for row in TABLE:
        for name in grants.get(row.field, ()):
            kind, resource = named(row.form, name)
            for operation in row.operations:
                found[Acl(row.resource_type, resource, kind, f"User:{user}", operation)] = None
    return tuple(found)


def named(form: Form, name: str) -> tuple[str, str]:
    """Pattern type and resource name of a row, for a name under its field."""
    match form:
        case "name":
            return pattern(name)
        case "literal":
            return "LITERAL", name
        case "own-prefix":
            return "PREFIXED", f"{name}-"
        case "connect":
            return "PREFIXED", "connect-"
        case "all":
            return "LITERAL", "*"
        case "cluster":
            return "LITERAL", CLUSTER_RESOURCE
