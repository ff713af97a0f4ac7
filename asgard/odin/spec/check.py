"""What one part of a stack file requires of another: brokers and replication, users and topics, configs and versions.

Each check reports every problem it finds; none stops at the first.
"""

from __future__ import annotations

from collections.abc import Callable

from asgard.core.document import Document, Found, Loc
from asgard.core.errors import Problem
from asgard.core.schema.stack import StackFile, TopicEntry
from asgard.core.schema.validate import Checked, nearest
from asgard.machines import targets as machines
from asgard.odin.resources import configs
from asgard.odin.resources.config_names import meant
from asgard.odin.spec import acls as access
from asgard.odin.spec import check_access as access_checks
from asgard.odin.spec import check_engine, names, targets
from asgard.odin.spec.resolve import authorizer_of, makes_brokers


def review(document: Document, checked: Checked[StackFile]) -> tuple[list[Problem], list[Problem]]:
    """All problems of a file (those of its shape included) and its warnings."""
    assert checked.value is not None
    file, found = checked.value, list(checked.problems)
    taken = {(p.file, p.line, p.column) for p in found}

    def place(loc: Loc) -> Loc:
        """Indexes of the valid entries to those of the file."""
        if len(loc) > 1 and isinstance(loc[1], int) and loc[0] in checked.kept:
            return (loc[0], checked.kept[str(loc[0])][loc[1]], *loc[2:])
        return loc

    known = _topic_names(document)
    sections: tuple[Callable[[StackFile], Found], ...] = (
        _cluster,
        _security,
        check_engine.review,
        _topics,
        lambda f: access_checks.users(f, known),
        access_checks.acls,
        access_checks.quotas,
        lambda f: _gate(f, known),
    )
    for section in sections:
        for loc, message, *first in section(file):
            where = place(loc)
            for other in first:
                message += f" (first in line {document.problem(place(other), '').line})"
            problem = document.problem(where, message, at_key=isinstance(where[-1], str) and "config" in where[:-1])
            if (problem.file, problem.line, problem.column) not in taken or problem.line == 0:
                found.append(problem)
    return found, [document.problem(place(loc), message) for loc, message, *_ in _warnings(file)]


def _topic_names(document: Document) -> set[str]:
    """All topics that the file names, also those with problems of their own."""
    entries = document.root.get("topics") if isinstance(document.root, dict) else None
    listed = entries if isinstance(entries, list) else []
    return {str(e["name"]) for e in listed if isinstance(e, dict) and e.get("name") is not None}


def _cluster(file: StackFile) -> Found:
    if wrong := names.wrong_stack(file.stack):
        yield ("stack",), wrong
    yield from _version(file)
    yield from targets.review(file)
    yield from _broker_configs(file)


def _version(file: StackFile) -> Found:
    text = file.kafka.version
    if text is None:
        return
    version, installed = configs.version_of(text), machines.of(file.target).installs_kafka
    oldest = configs.OLDEST_LOCAL if installed else configs.OLDEST_EXTERNAL
    allowed = f"allowed is {'.'.join(map(str, oldest))} or newer, as in {configs.DEFAULT_VERSION}"
    if version is None or (installed and len(version) != 3):
        yield ("kafka", "version"), f"is {text!r}, not a full version; {allowed}"
    elif version < oldest:
        yield ("kafka", "version"), f"is {text}, which is too old; {allowed}"


def _broker_configs(file: StackFile) -> Found:
    version = file.kafka.version or (configs.DEFAULT_VERSION if makes_brokers(file) else None)
    known = configs.definitions("broker", version)
    for name, value in file.kafka.config.items():
        loc: Loc = ("kafka", "config", name)
        if wrong := _config("broker", name, value, known, file):
            yield loc, wrong
        elif name not in known:
            continue
        elif known[name].type == "password":
            yield loc, "is a secret; allowed here is only what may be in server.properties in clear text"
        elif not makes_brokers(file) and known[name].mode != "cluster-wide":
            yield loc, "is set in each broker's server.properties; allowed on an external cluster are cluster-wide ones"


def _config(
    kind: configs.Kind, name: str, value: str, known: dict[str, configs.ConfigDef], file: StackFile
) -> str | None:
    why = configs.reserved(kind, name)
    if why:
        return f"is not yours to set: {why}"
    if name in known:
        return configs.wrong_value(known[name], value)
    if not makes_brokers(file) and name.startswith(configs.VENDOR_PREFIXES):
        return None
    right = meant(kind, name)
    if right is not None:
        return f"is the name that a {'broker' if kind == 'topic' else 'topic'} has for it; on a {kind} it is {right}"
    of = f"Kafka {file.kafka.version or (configs.DEFAULT_VERSION if makes_brokers(file) else '')}".strip()
    return f"is not a {kind} config of {of}{nearest(name, known) or '; `asgard odin validate` knows those of ' + of}"


def _security(file: StackFile) -> Found:
    sasl, local = file.security.sasl, makes_brokers(file)
    if local and sasl == "none" and file.security.authorizer:
        yield (
            ("security", "authorizer"),
            "is true, but without SASL every client is anonymous; allowed is sasl: scram-sha-512",
        )
    if local and sasl == "none" and file.users:
        yield ("users",), "need a login; allowed is security.sasl: scram-sha-512"
    if file.security.tls and not local:
        yield (
            ("security", "tls"),
            "is for local clusters; an external one is reached as its client properties say (security.protocol, ssl.truststore…)",
        )
    elif file.security.tls and sasl == "none":
        yield ("security", "tls"), "needs users who log in; allowed with TLS is security.sasl: scram-sha-512"
    if file.acls and not authorizer_of(file):
        yield ("acls",), "have no effect without an authorizer; allowed is security.authorizer: true"


def _topics(file: StackFile) -> Found:
    version = file.kafka.version or (configs.DEFAULT_VERSION if makes_brokers(file) else None)
    known = configs.definitions("topic", version)
    first: dict[str, int] = {}
    seen: dict[tuple[str, str], str | None] = {}
    for i, topic in enumerate(file.topics):
        loc: Loc = ("topics", i)
        if wrong := names.wrong_topic(topic.name):
            yield (*loc, "name"), wrong
        elif topic.name in names.INTERNAL_TOPICS:
            yield (*loc, "name"), f"is {topic.name!r}, which Kafka makes itself; allowed is any other name"
        elif first.setdefault(topic.name, i) != i:
            yield (
                (*loc, "name"),
                f"is {topic.name!r} again; allowed is each name once",
                ("topics", first[topic.name], "name"),
            )
        yield from _replication(file, topic, loc)
        for name, value in topic.config.items():
            if (name, value) not in seen:
                seen[name, value] = _config("topic", name, value, known, file)
            if wrong := seen[name, value]:
                yield (*loc, "config", name), wrong
        if topic.retention is not None and "retention.ms" in topic.config:
            yield (*loc, "config", "retention.ms"), "is given twice, with `retention`; allowed is one of the two"
        yield from _lags(topic, loc)
    external = [name for name in file.external_topics if access.pattern(name)[0] == "LITERAL" and name != "*"]
    for name, earlier in names.collisions([*external, *first]).items():
        if name in first:
            yield (
                ("topics", first[name], "name"),
                (
                    f"is {name!r}, which Kafka can't tell from {earlier!r} in metrics ('.' and '_'); allowed is one of them"
                ),
            )
    for i, name in enumerate(file.external_topics):
        if name in first:
            yield ("external_topics", i), f"is {name!r}, which is under `topics` too; allowed is one of the two"
        elif name != "*" and (wrong := names.wrong_topic(access.pattern(name)[1])):
            yield ("external_topics", i), wrong


def _gate(file: StackFile, known: set[str]) -> Found:
    if file.gate is None:
        return
    topic, rate = file.gate.load.topic, file.gate.load.rate
    if topic not in known:
        yield ("gate", "load", "topic"), f"is {topic!r}, which is not a topic of this stack; {nearest(topic, known)}"
    if rate <= 0:
        yield ("gate", "load", "rate"), f"is {rate:g}; allowed is a rate above 0, as in 2000/s"


def _replication(file: StackFile, topic: TopicEntry, loc: Loc) -> Found:
    brokers = file.kafka.brokers or 1
    local = makes_brokers(file)
    if topic.replication is None and not local:
        yield (*loc, "replication"), "is missing; it is required on an external cluster"
    if local and topic.replication is not None and topic.replication > brokers:
        yield (*loc, "replication"), f"is {topic.replication}; allowed are at most as many as brokers, {brokers}"
    replication = topic.replication or min(3, brokers)
    own = topic.config.get("min.insync.replicas")
    if own is not None:
        if own.isdecimal() and int(own) > replication and (local or topic.replication):
            yield (
                (*loc, "config", "min.insync.replicas"),
                f"is {own}; allowed are at most as many as replicas, {replication}",
            )
    elif local and (file.kafka.min_insync_replicas or 1) > replication:
        where = (*loc, "replication") if topic.replication is not None else loc
        yield (
            where,
            (
                f"is {replication}, below kafka.min_insync_replicas, {file.kafka.min_insync_replicas}: writes with acks=all would fail; allowed is more replicas, or the topic's own min.insync.replicas"
            ),
        )


def _lags(topic: TopicEntry, loc: Loc) -> Found:
    low, high = topic.config.get("min.compaction.lag.ms", ""), topic.config.get("max.compaction.lag.ms", "")
    if low.isdecimal() and high.isdecimal() and int(low) > int(high):
        yield (*loc, "config", "min.compaction.lag.ms"), f"is {low}; allowed is max.compaction.lag.ms, {high}, at most"


def _warnings(file: StackFile) -> Found:
    for i, user in enumerate(file.users):
        if user.consume and not user.groups:
            yield (
                ("users", i),
                f"{user.name} consumes without `groups`: it can read, but not join a consumer group or commit",
            )
    if makes_brokers(file) and file.security.sasl == "none":
        yield ("security", "sasl"), "is none: everyone on this machine may do everything"
