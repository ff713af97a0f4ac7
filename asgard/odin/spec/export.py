"""The text of a stack file for an existing cluster: what `odin import` writes.

ACLs that the fields and roles of a user express exactly are folded into them; the rest goes under `acls:`. What a stack
file can't hold (a config unknown to the table, a principal's name that a file can't have) is added as a comment.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from asgard.core.document import scalar
from asgard.kafka.model import Acl, QuotaEntity, QuotaValues, Topic
from asgard.odin.resources import configs
from asgard.odin.resources.checks import declarable_rate
from asgard.odin.spec import acls as access
from asgard.odin.spec import names
from asgard.odin.spec.acls import CLUSTER_RESOURCE
from asgard.odin.spec.fold import Folded, fold, user_of
from asgard.odin.spec.model import SCRAM, ExternalSpec, Sasl
from asgard.odin.spec.resolve import DEFAULT_ENTITY

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./*-]*\Z")
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))
_QUOTAS = {
    "producer_byte_rate": "produce",
    "consumer_byte_rate": "consume",
    "request_percentage": "request_percentage",
    "controller_mutation_rate": "controller_mutations",
    "connection_creation_rate": "connections",
}
_SASL: tuple[Sasl, ...] = ("scram-sha-512", "scram-sha-256")
_RESOURCES = ("TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID", "DELEGATION_TOKEN", "USER")


@dataclass(frozen=True)
class ClusterContents:
    """What was read from a cluster: `users` with their SCRAM mechanisms, `cluster_config` of the cluster-wide
    default."""

    topics: Mapping[str, Topic] = field(default_factory=dict)
    topic_configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    users: Mapping[str, Collection[str]] = field(default_factory=dict)
    acls: Collection[Acl] = ()
    quotas: Mapping[QuotaEntity, QuotaValues] = field(default_factory=dict)
    cluster_config: Mapping[str, str] = field(default_factory=dict)


def render(
    stack: str, external: ExternalSpec, found: ClusterContents, *, version: str | None = None, protect: bool = True
) -> str:
    """The stack file; `load` of it gives the same topics, users, ACLs and quotas. `protect` is written for every topic."""
    notes: list[str] = []
    topics = {n: t for n, t in found.topics.items() if not t.internal and n not in names.INTERNAL_TOPICS}
    sasl, users = _users(found, notes)
    mechanisms = _mechanisms(found, sasl)
    folded, elsewhere, acls = _fold(found.acls, users, topics)
    mine, quotas = _quotas(found.quotas, users, notes)
    lines = [
        "# Written by `asgard odin import` from what was on the cluster. Add the owners, and keep it with your code.",
        "format: asgard.stack/v1",
        f"stack: {text(stack)}",
        "target: external",
        "cluster:",
        *(f"  {k}: {text(v)}" for k, v in _cluster(external)),
        *_kafka(version, found.cluster_config, notes),
        f"security: {{sasl: {sasl}}}",
        *_section(
            "topics",
            (_topic(t, found.topic_configs.get(n, {}), version, protect, notes) for n, t in sorted(topics.items())),
        ),
        *_section("external_topics", (text(n) for n in sorted(elsewhere))),
        *_section(
            "users", (_user(u, folded.get(u, Folded()), mechanisms.get(u), mine.get(u, {})) for u in sorted(users))
        ),
        *_section("acls", (entry for acl in sorted(acls) if (entry := _acl(acl, notes)))),
        *_section("quotas", (_quota(e, v) for e, v in sorted(quotas.items(), key=lambda q: repr(q[0])))),
    ]
    if notes:
        lines += ["", "# Found on the cluster, but not managed by Asgard:", *(f"#   {note}" for note in notes)]
    return "\n".join(lines) + "\n"


def text(value: str) -> str:
    """A text as a YAML scalar that parses back to the same text, also within braces."""
    if _PLAIN.match(value) and isinstance(scalar(value), str):
        return value
    escaped = "".join(_escape(c) for c in value.replace("${", "$${"))
    return f'"{escaped}"'


def _escape(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return (
        f"\\x{ord(char):02x}"
        if ord(char) < 256
        else f"\\u{ord(char):04x}"
        if ord(char) < 65536
        else f"\\U{ord(char):08x}"
    )


def retention(milliseconds: int) -> str | None:
    """`7d`: a retention as people write it; None if it can't be written that way."""
    if milliseconds < 0:
        return "forever" if milliseconds == -1 else None
    unit, size = next(((u, s) for u, s in _UNITS if milliseconds and milliseconds % s == 0), ("ms", 1))
    return f"{milliseconds // size}{unit}" if 0 < milliseconds < 2**50 else None


def _section(name: str, entries: Iterable[str]) -> list[str]:
    listed = [f"  - {entry}" for entry in entries]
    return [f"{name}:", *listed] if listed else []


def _flow(pairs: Iterable[tuple[str, str | None]]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in pairs if value is not None) + "}"


def _list(items: Collection[str]) -> str | None:
    return "[" + ", ".join(text(i) for i in items) + "]" if items else None


def _config(values: Mapping[str, str]) -> str | None:
    return (
        _flow((k, v if re.fullmatch(r"-?[1-9][0-9]{0,18}|0", v) else text(v)) for k, v in sorted(values.items()))
        if values
        else None
    )


def _cluster(external: ExternalSpec) -> list[tuple[str, str]]:
    pairs = (
        ("context", external.context),
        ("bootstrap_servers", external.bootstrap_servers),
        ("client_properties", external.client_properties),
        ("cluster_id", external.cluster_id),
    )
    return [(k, v) for k, v in pairs if v is not None]


def _known(
    kind: configs.Kind, values: Mapping[str, str], version: str | None, of: str, notes: list[str]
) -> dict[str, str]:
    """The configs that a stack file accepts; the others are noted."""
    known, kept = configs.definitions(kind, version), {}
    for name, value in sorted(values.items()):
        if configs.declarable(kind, name, value, version):
            kept[name] = value
        else:
            hidden = name not in known or known[name].type == "password"
            notes.append(f"{of}: {text(name)}{'' if hidden else f': {text(value)}'}")
    return kept


def _kafka(version: str | None, cluster_config: Mapping[str, str], notes: list[str]) -> list[str]:
    config = _known("broker", cluster_config, version, "cluster-wide config", notes)
    pairs = [("version", None if version is None else text(version)), ("config", _config(config))]
    return [f"kafka: {_flow(pairs)}"] if any(v for _, v in pairs) else []


def _topic(topic: Topic, config: Mapping[str, str], version: str | None, protect: bool, notes: list[str]) -> str:
    kept = _known("topic", config, version, f"config of topic {topic.name}", notes)
    age = retention(int(kept["retention.ms"])) if "retention.ms" in kept else None
    if age is not None:
        del kept["retention.ms"]
    return _flow(
        [
            ("name", text(topic.name)),
            ("partitions", str(len(topic.partitions))),
            ("replication", str(topic.replication)),
            ("retention", age),
            ("protect", "true" if protect else None),
            ("config", _config(kept)),
        ]
    )


def _users(found: ClusterContents, notes: list[str]) -> tuple[Sasl, list[str]]:
    """The mechanism of the stack and its users; if no user has a SCRAM credential, the users that ACLs name."""
    for sasl in _SASL:
        if any(SCRAM[sasl] in mechanisms for mechanisms in found.users.values()):
            return sasl, _takable(found.users, notes)
    return "none", _takable(sorted({user for acl in found.acls if (user := user_of(acl))}), notes)


def _mechanisms(found: ClusterContents, sasl: Sasl) -> dict[str, list[Sasl]]:
    """The mechanisms of users that have different ones than the stack's, or more; the stack's own first."""
    order = sorted(_SASL, key=lambda name: name != sasl)
    having = {u: [name for name in order if SCRAM[name] in mechanisms] for u, mechanisms in found.users.items()}
    return {user: listed for user, listed in having.items() if listed != [sasl]}


def _takable(users: Iterable[str], notes: list[str]) -> list[str]:
    kept = []
    for user in users:
        if names.wrong_user(user) is None:
            kept.append(user)
        else:
            notes.append(f"user {text(user)}: not a name that a stack file allows")
    return kept


def _fold(
    acls: Iterable[Acl], users: Collection[str], topics: Collection[str]
) -> tuple[dict[str, Folded], set[str], list[Acl]]:
    """The entry of each user, the topics they name that are not in the file, and the ACLs that remain."""
    folded: dict[str, Folded] = {}
    elsewhere: set[str] = set()
    rest = []
    of_user: dict[str, list[Acl]] = {}
    listed = set(users)
    for acl in sorted(acls):
        user = user_of(acl)
        if user is None or user not in listed:
            rest.append(acl)
        else:
            of_user.setdefault(user, []).append(acl)
    takes = _nameable(topics, (acl for mine in of_user.values() for acl in mine))
    for user, mine in of_user.items():
        folded[user], left = fold(user, mine, takes)
        rest += left
        for name in folded[user].topics():
            prefixed, resource = access.pattern(name)[0] == "PREFIXED", access.pattern(name)[1]
            if name != "*" and not (any(t.startswith(resource) for t in topics) if prefixed else name in topics):
                elsewhere.add(name)
    return folded, elsewhere, rest


def _nameable(topics: Collection[str], acls: Iterable[Acl]) -> set[str]:
    """The topics and prefixes of ACLs that a file can name beside these topics."""
    named = {topic.replace(".", "_"): topic for topic in topics}
    found = {"*"}
    for acl in acls:
        resource = acl.resource_name
        if acl.resource_type != "TOPIC" or names.wrong_topic(resource):
            continue
        unlike = named.setdefault(resource.replace(".", "_"), resource) != resource and acl.pattern_type != "PREFIXED"
        if not unlike:
            found.add(resource)
    return found


def _quotas(
    found: Mapping[QuotaEntity, QuotaValues], users: Collection[str], notes: list[str]
) -> tuple[dict[str, QuotaValues], dict[QuotaEntity, QuotaValues]]:
    """The quotas of users in the file, and the others."""
    mine: dict[str, QuotaValues] = {}
    rest: dict[QuotaEntity, QuotaValues] = {}
    for entity, values in found.items():
        fit = {k: v for k, v in values.items() if k in _QUOTAS and declarable_rate(k, v)}
        if DEFAULT_ENTITY in (entity.user, entity.client_id, entity.ip) or entity == QuotaEntity():
            fit = {}
        notes += [f"quota of {_entity(entity)}: {text(k)}" for k in values if k not in fit]
        if not fit:
            continue
        if entity.client_id is None and entity.user in users and entity.user:
            mine[entity.user] = fit
        else:
            rest[entity] = fit
    return mine, rest


def _entity(entity: QuotaEntity) -> str:
    pairs = (("user", entity.user), ("client_id", entity.client_id), ("ip", entity.ip))
    return _flow((k, None if v is None else text(v) if v else DEFAULT_ENTITY) for k, v in pairs)


def _quota_pairs(values: QuotaValues) -> list[tuple[str, str]]:
    return [(_QUOTAS[k], str(int(v)) if v % 1 == 0 else repr(v)) for k, v in values.items() if k in _QUOTAS]


def _user(user: str, folded: Folded, mechanisms: Collection[str] | None, quota: QuotaValues) -> str:
    lists: list[tuple[str, str | None]] = [
        (key, _list(folded.fields.get(key, []))) for key in ("produce", "consume", "groups", "transactional")
    ]
    apps = ", ".join(_mapping(app) for app in folded.streams)
    return _flow(
        [
            ("name", text(user)),
            *lists,
            ("idempotent", "true" if folded.idempotent else None),
            ("streams", f"[{apps}]" if apps else None),
            ("connect", _mapping(folded.connect) if folded.connect else None),
            ("admin", _list(folded.admin)),
            ("mechanisms", _list(mechanisms or ())),
            ("quota", _flow(_quota_pairs(quota)) if quota else None),
        ]
    )


def _mapping(values: Mapping[str, str | list[str]]) -> str:
    return _flow((key, text(value) if isinstance(value, str) else _list(value)) for key, value in values.items())


def _quota(entity: QuotaEntity, values: QuotaValues) -> str:
    return f"{_entity(entity)[:-1]}, {_flow(_quota_pairs(values))[1:]}"


def _acl(acl: Acl, notes: list[str]) -> str | None:
    entry = _flow(
        [
            ("principal", text(acl.principal)),
            ("resource", acl.resource_type.lower()),
            (
                "name",
                None
                if acl.resource_name == CLUSTER_RESOURCE and acl.resource_type == "CLUSTER"
                else text(acl.resource_name),
            ),
            ("pattern", None if acl.pattern_type == "LITERAL" else acl.pattern_type.lower()),
            ("operation", acl.operation.lower()),
            ("permission", None if acl.permission == "ALLOW" else acl.permission.lower()),
            ("host", None if acl.host == "*" else text(acl.host)),
        ]
    )
    if acl.resource_type not in _RESOURCES:
        notes.append(f"ACL {entry}")
        return None
    if access.useless(acl):
        notes.append(f"ACL {entry}: matches nothing, since as a prefix `*` is a character; left as it is")
        return None
    return entry
