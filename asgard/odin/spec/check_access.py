"""Problems in the users, ACLs and quotas of a stack file: names, roles, certificates, entities."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from asgard.core.document import Found, Loc
from asgard.core.schema.stack import QuotaEntry, StackFile, UserEntry
from asgard.core.schema.validate import nearest
from asgard.kafka.connection import FIRST_USER
from asgard.kafka.model import Acl, QuotaEntity
from asgard.odin.spec import acls as access
from asgard.odin.spec import names
from asgard.odin.spec.acls import CLUSTER_RESOURCE
from asgard.odin.spec.resolve import DEFAULT_ENTITY, explicit_acls, makes_brokers, quota_entity, quota_values

_CERTIFICATE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
ADMIN_USERS = (FIRST_USER, "controller")
"""Users that a local cluster creates for itself."""

_OPERATIONS = {
    "topic": "read write create delete alter describe describe_configs alter_configs",
    "group": "read describe delete describe_configs alter_configs",
    "cluster": "create alter describe cluster_action describe_configs alter_configs idempotent_write",
    "transactional_id": "describe write two_phase_commit",
    "delegation_token": "describe",
    "user": "create_tokens describe_tokens",
}


def users(file: StackFile, topics: set[str]) -> Found:
    """Users: their names, how they log in, and what they name; `topics` are those of the file."""
    first: dict[str, int] = {}
    allowed = topics | set(file.external_topics)
    literal_patterns = [name for name in file.external_topics if access.pattern(name)[0] == "PREFIXED" or name == "*"]
    for i, user in enumerate(file.users):
        loc: Loc = ("users", i)
        if wrong := names.wrong_user(user.name):
            yield (*loc, "name"), wrong
        elif makes_brokers(file) and user.name in ADMIN_USERS:
            yield (*loc, "name"), f"is {user.name!r}, which the cluster creates itself; allowed is any other name"
        elif first.setdefault(user.name, i) != i:
            yield (
                (*loc, "name"),
                f"is {user.name!r} again; allowed is each name once",
                ("users", first[user.name], "name"),
            )
        for j, mechanism in enumerate(user.mechanisms):
            if mechanism in user.mechanisms[:j]:
                yield (*loc, "mechanisms", j), f"is {mechanism} again; allowed is each mechanism once"
        yield from _certificate(file, i)
        if user.mechanisms and file.security.sasl == "none":
            yield (*loc, "mechanisms"), "is given, but security.sasl is none; allowed is security.sasl: scram-sha-512"
        for where, listed in _name_lists(user):
            for j, name in enumerate(listed):
                at: Loc = (*loc, *where, j)
                if name in listed[:j]:
                    yield at, f"is {name!r} again; allowed is each name once"
                elif where[-1] in ("groups", "transactional"):
                    if not name or name == "**":
                        yield at, f"is {name!r}; allowed is a name, a prefix such as orders-, or * for all"
                elif wrong := _unknown_topic(name, topics, allowed, literal_patterns):
                    yield at, wrong
        yield from _roles(user, loc)


def _name_lists(user: UserEntry) -> Iterator[tuple[Loc, list[str]]]:
    """The lists of names of a user, each with its place in the entry."""
    yield ("produce",), user.produce
    yield ("consume",), user.consume
    yield ("groups",), user.groups
    yield ("transactional",), user.transactional
    for k, app in enumerate(user.streams):
        yield ("streams", k, "read"), app.read
        yield ("streams", k, "write"), app.write
    if user.connect is not None:
        yield ("connect", "read"), user.connect.read
        yield ("connect", "write"), user.connect.write


def _roles(user: UserEntry, loc: Loc) -> Found:
    seen: set[str] = set()
    for k, app in enumerate(user.streams):
        if wrong := names.wrong_topic(app.application):
            # Its internal topics are named after it.
            yield (*loc, "streams", k, "application"), wrong
        elif app.application in seen:
            yield (*loc, "streams", k, "application"), f"is {app.application!r} again; allowed is each application once"
        seen.add(app.application)
    for j, word in enumerate(user.admin):
        if word in user.admin[:j]:
            yield (*loc, "admin", j), f"is {word} again; allowed is each word once"
    if (workers := user.connect) is None:
        return
    own = {"offsets": workers.offsets, "configs": workers.configs, "status": workers.status}
    for key, topic in own.items():
        if topic is not None and (wrong := names.wrong_topic(topic)):
            yield (*loc, "connect", key), wrong
        elif topic is None and workers.group is not None:
            yield (
                (*loc, "connect"),
                f"has a group and no `{key}`; distributed workers keep offsets, configs and status in topics",
            )
    given = [topic for topic in own.values() if topic is not None]
    if workers.group is None and given:
        yield (
            (*loc, "connect"),
            "has topics of its own and no `group`; allowed are both, or neither for a standalone worker",
        )
    if len(set(given)) < len(given):
        yield (*loc, "connect"), "names one topic for two things; allowed are three different ones"


def _certificate(file: StackFile, i: int) -> Found:
    """What a user who logs in by certificate needs, and what it can't have."""
    user = file.users[i]
    if not user.tls:
        return
    if user.mechanisms:
        yield ("users", i, "mechanisms"), "is given, but this user logs in by certificate; allowed is one of the two"
    if not makes_brokers(file):
        return
    if not file.security.tls:
        yield ("users", i, "tls"), "needs listeners with TLS; allowed is security.tls: true, or optional"
    if not _CERTIFICATE_NAME.match(user.name):
        yield (
            ("users", i, "name"),
            f"is {user.name!r}; allowed in a certificate are 1 to 64 letters, digits, '.', '_' and '-'",
        )


def _unknown_topic(name: str, topics: set[str], allowed: set[str], patterns: list[str]) -> str | None:
    if name == "*" or name in allowed:
        return None
    kind, resource = access.pattern(name)
    if wrong := names.wrong_topic(resource):
        return wrong
    if any(access.matches(p, resource) for p in patterns):
        return None
    if kind == "PREFIXED":
        if any(topic.startswith(resource) for topic in allowed):
            return None
        return f"is {name!r}, but no topic here starts with {resource!r}; allowed is a prefix of one in topics or external_topics"
    return f"is {name!r}, which is not a topic here{nearest(name, topics)}; allowed are those in topics and external_topics"


def acls(file: StackFile) -> Found:
    """The ACLs under `acls:`."""
    granted: dict[Acl, Loc] = {}
    for i, user in enumerate(file.users):
        granted |= dict.fromkeys(access.acls_of(user.name, access.grants_of(user)), ("users", i))
    for i, (entry, acl) in enumerate(zip(file.acls, explicit_acls(file), strict=True)):
        loc: Loc = ("acls", i)
        principal_type, _, principal = entry.principal.partition(":")
        if not principal_type or not principal:
            yield (*loc, "principal"), f"is {entry.principal!r}; allowed is TYPE:NAME, as in User:orders-api"
        operations = ["all", *_OPERATIONS[entry.resource].split()]
        if entry.operation not in operations:
            yield (
                (*loc, "operation"),
                f"is {entry.operation!r}; allowed for {entry.resource} are {', '.join(operations)}",
            )
        if entry.resource == "cluster":
            if entry.name not in (None, CLUSTER_RESOURCE):
                yield (
                    (*loc, "name"),
                    f"is {entry.name!r}; allowed for the cluster is {CLUSTER_RESOURCE}, or leave it out",
                )
            if entry.pattern != "literal":
                yield (*loc, "pattern"), f"is {entry.pattern!r}; allowed for the cluster is literal"
        elif access.useless(acl):
            yield (
                (*loc, "name"),
                "is '*' as a prefix, which matches nothing: there it is a character; allowed for all of them is `pattern: literal`",
            )
        elif not entry.name:
            yield (*loc, "name"), f"is missing; a {entry.resource} has one (`*` is all of them)"
        elif entry.resource == "topic" and entry.name != "*" and (wrong := names.wrong_topic(entry.name)):
            yield (*loc, "name"), wrong
        if acl in granted:
            yield loc, "is given already; allowed is each ACL once", granted[acl]
        granted.setdefault(acl, loc)


def quotas(file: StackFile) -> Found:
    """The quotas of users and under `quotas:`."""
    empty = (
        "limits nothing; allowed are produce, consume, request_percentage, controller_mutations; for an ip: connections"
    )
    first: dict[QuotaEntity, Loc] = {}
    for i, user in enumerate(file.users):
        if quota_values(user.quota):
            first.setdefault(QuotaEntity(user=user.name), ("users", i, "quota"))
    for i, quota in enumerate(file.quotas):
        loc: Loc = ("quotas", i)
        if quota.user is None and quota.client_id is None and quota.ip is None:
            yield (
                loc,
                "names no user, client or ip; allowed is a user, a client_id or both, or an ip (`<default>` is the default entity)",
            )
            continue
        for key, name in (("user", quota.user), ("client_id", quota.client_id), ("ip", quota.ip)):
            if name == "":
                yield (*loc, key), "is empty; allowed is a name, or <default>"
        if quota.ip:
            yield from _ip_quota(quota, loc)
        elif quota.connections is not None:
            yield (*loc, "connections"), "is for an `ip`; Kafka limits new connections by address only"
        entity = quota_entity(quota.user, quota.client_id, quota.ip)
        if entity in first:
            yield loc, "is for an entity that has quotas already; allowed is each entity once", first[entity]
        first.setdefault(entity, loc)
        if not quota_values(quota):
            yield loc, empty


def _ip_quota(quota: QuotaEntry, loc: Loc) -> Found:
    if quota.user is not None or quota.client_id is not None:
        yield (*loc, "ip"), "must be alone: Kafka has no quota for an address combined with a user or a client_id"
    try:
        if quota.ip != DEFAULT_ENTITY:
            ipaddress.ip_address(quota.ip or "")
    except ValueError:
        yield (*loc, "ip"), f"is {quota.ip!r}; allowed is an IP address, or <default>"
    for key in ("produce", "consume", "request_percentage", "controller_mutations"):
        if getattr(quota, key) is not None:
            yield (*loc, key), "is not for an `ip`; allowed there is connections"
