"""From ACLs back to the fields and roles of user entries: ACLs that match a role exactly become that role, the rest stays.

A role is recognised only if all of its ACLs exist. Nothing is lost or added: the fields give the same ACLs again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from asgard.kafka.model import Acl
from asgard.odin.spec import acls as access

_WORKER_TOPICS = {"offsets": "offset", "configs": "config", "status": "status"}


@dataclass
class Folded:
    """What a user's ACLs say. `connect` has the keys of the file, `streams` one mapping per application."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    streams: list[dict[str, str | list[str]]] = field(default_factory=list)
    connect: dict[str, str | list[str]] = field(default_factory=dict)
    idempotent: bool = False
    admin: list[str] = field(default_factory=list)

    def topics(self) -> list[str]:
        """The topics that it names, as users write them."""
        listed = [*self.fields.get("produce", []), *self.fields.get("consume", [])]
        for app in self.streams:
            listed += [*app.get("read", []), *app.get("write", [])]
        listed += [str(self.connect[key]) for key in _WORKER_TOPICS if key in self.connect]
        return list(dict.fromkeys(listed))


def user_of(acl: Acl) -> str | None:
    """The user whose entry could express this ACL; None if only `acls:` can."""
    kind, _, user = acl.principal.partition(":")
    plain = kind == "User" and user not in ("", "*") and acl.permission == "ALLOW" and acl.host == "*"
    return user if plain and not access.useless(acl) else None


def fold(user: str, acls: Collection[Acl], takes: Collection[str] | None = None) -> tuple[Folded, list[Acl]]:
    """The entry of a user, and the ACLs that it can't express. `takes`: topics that the file can name; None: any."""
    left = set(acls)
    found = Folded()
    _streams(user, left, found)
    _connect(user, left, found)
    for word in access.ADMIN:
        if _take(left, access.acls_of(user, {f"admin.{word}": ["*"]})):
            found.admin.append(word)
    found.idempotent = _take(left, access.acls_of(user, {"idempotent": [""]}))
    for row in access.TABLE:
        if "." in row.field or row.form != "name":
            continue
        for acl in sorted(left):
            name = access.written(acl.pattern_type, acl.resource_name)
            if name is None or (acl.resource_type, acl.operation) != (row.resource_type, row.operations[0]):
                continue
            if row.resource_type == "TOPIC" and takes is not None and acl.resource_name not in takes:
                continue
            if _take(left, access.acls_of(user, {row.field: [name]})):
                found.fields.setdefault(row.field, []).append(name)
    _give_streams_its_topics(found)
    return found, sorted(left)


def _take(left: set[Acl], wanted: Iterable[Acl], shared: Collection[Acl] = ()) -> bool:
    """Remove a role's ACLs from the remaining ones, if all of them exist."""
    needed = set(wanted)
    if not needed or not needed <= left | set(shared):
        return False
    left -= needed
    return True


def _named(left: Iterable[Acl], resource_type: str, operation: str, pattern_type: str) -> list[str]:
    wanted = (resource_type, operation, pattern_type)
    return sorted(a.resource_name for a in left if (a.resource_type, a.operation, a.pattern_type) == wanted)


def _streams(user: str, left: set[Acl], found: Folded) -> None:
    for prefix in _named(left, "TOPIC", "CREATE", "PREFIXED"):
        application = prefix.removesuffix("-")
        if application != prefix and _take(left, access.acls_of(user, {"streams.application": [application]})):
            found.streams.append({"application": application})


def _give_streams_its_topics(found: Folded) -> None:
    """If a user is a single application and nothing else, its reads and writes become the application's."""
    if len(found.streams) == 1 and not found.connect and not found.fields.get("groups"):
        for key, field_name in (("read", "consume"), ("write", "produce")):
            if names := found.fields.pop(field_name, None):
                found.streams[0][key] = names


def _connect(user: str, left: set[Acl], found: Folded) -> None:
    created = _named(left, "TOPIC", "CREATE", "LITERAL")
    groups = [name for name in _named(left, "GROUP", "READ", "LITERAL") if name != "*"]
    topics = {key: [name for name in created if word in name] for key, word in _WORKER_TOPICS.items()}
    if len(groups) != 1 or any(len(names) != 1 for names in topics.values()):
        return
    chosen = {key: names[0] for key, names in topics.items()}
    grants = {"connect.group": groups, "connect.topics": list(chosen.values())}
    if len(set(chosen.values())) == len(chosen) and _take(left, access.acls_of(user, grants)):
        found.connect = {"group": groups[0], **chosen}
        sinks = Acl("GROUP", "connect-", "PREFIXED", f"User:{user}", "READ")
        read = [
            name
            for kind in ("LITERAL", "PREFIXED")
            for resource in _named(left, "TOPIC", "READ", kind)
            if (name := access.written(kind, resource)) is not None
        ]
        # Without a topic to read the group says nothing about sinks.
        if sinks in left and read and _take(left, access.acls_of(user, {"connect.read": read})):
            found.connect["read"] = read
