"""The desired state of what teams have on the cluster: topics, users and grants; what a request changes in it, and how to undo that.

Pure. The same state always gives the same file, line by line, so that a diff in git shows only what was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from asgard.bifrost.ask import AccessWant, Ask
from asgard.bifrost.estimate import storage_bytes
from asgard.bifrost.teams import Usage

Origin = Literal["bifrost", "stack"]
Field = Literal["produce", "consume", "groups"]
GrantKey = tuple[str, str, str]
"""User, field, name."""
HEADER = """# Written by `asgard bifrost`: what teams asked for. `asgard odin` reads it with the stack file beside it.
# Ask with `asgard bifrost request …`; a change by hand is shown as drift, and the next request waits for your answer.
"""


@dataclass(frozen=True)
class TopicRow:
    """A topic. None: as the cluster has it."""

    name: str
    team: str | None
    origin: Origin = "bifrost"
    partitions: int = 1
    replication: int | None = None
    min_isr: int | None = None
    retention_ms: int | None = None
    throughput: float | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    config: Mapping[str, str] = field(default_factory=dict)
    request: str | None = None

    def usage(self, default_replication: int = 3, default_retention_ms: int | None = 7 * 86_400_000) -> Usage:
        """What it uses of a budget."""
        kept = default_retention_ms if self.retention_ms is None else self.retention_ms
        stored = storage_bytes(self.throughput, kept, self.replication or default_replication)
        return Usage(self.partitions, stored, self.throughput or 0.0, 0)


@dataclass(frozen=True)
class UserRow:
    """A user of a team. `principals` are its Kafka users: two of them while credentials are rotated."""

    name: str
    team: str | None
    origin: Origin = "bifrost"
    produce_quota: float | None = None
    consume_quota: float | None = None
    principals: tuple[str, ...] = ()
    request: str | None = None


@dataclass(frozen=True)
class GrantRow:
    """What a user may do with a topic or group. `owner` is the topic's team; `expires_at` None: no end.

    `state`: wanted (not in Kafka yet), active, missing (gone from Kafka), noticed (unused, its team was asked).
    """

    user: str
    field: Field
    name: str
    id: str
    team: str | None
    owner: str | None = None
    request: str | None = None
    requester: str | None = None
    policy: str = ""
    origin: Literal["request", "adopted"] = "request"
    granted_at: float = 0.0
    expires_at: float | None = None
    reminded: int = 99
    state: Literal["wanted", "active", "missing", "noticed"] = "wanted"
    used_at: float | None = None
    seen_at: float | None = None

    @property
    def key(self) -> GrantKey:
        """The key of what it is about."""
        return (self.user, self.field, self.name)

    def covers(self, name: str) -> bool:
        """Whether it is about that topic, or group, by its name or by a prefix."""
        return name == self.name or (self.name[-1:] in ".-_*" and name.startswith(self.name.removesuffix("*")))


Row = TopicRow | UserRow | GrantRow
Undo = tuple[str, str | GrantKey, Row | None]
"""Table, key, and the former row (None: there was none)."""


@dataclass
class Desired:
    """Everything of one environment that Bifrost knows."""

    topics: dict[str, TopicRow] = field(default_factory=dict)
    users: dict[str, UserRow] = field(default_factory=dict)
    grants: dict[GrantKey, GrantRow] = field(default_factory=dict)

    def table(self, name: str) -> dict[Any, Any]:
        """One of the three tables by its name."""
        tables: dict[str, dict[Any, Any]] = {"topic": self.topics, "user": self.users, "grant": self.grants}
        return tables[name]

    def put(self, table: str, key: str | GrantKey, row: Row | None) -> Undo:
        """Write (or with None delete) a row, and return how it was."""
        rows = self.table(table)
        before = rows.get(key)
        if row is None:
            rows.pop(key, None)
        else:
            rows[key] = row
        return table, key, before

    def undo(self, changes: list[Undo]) -> None:
        """Undo changes, the last one first."""
        for table, key, before in reversed(changes):
            self.put(table, key, before)


@dataclass(frozen=True)
class Granting:
    """What a grant keeps of the request that made it."""

    request: str
    requester: str
    policy: str
    now: float
    new_id: Any
    owner_of: Any


def carry_out(desired: Desired, ask: Ask, how: Granting) -> list[Undo]:
    """Change the desired state as a request asks; returns how it was. Idempotent."""
    done: list[Undo] = []
    for topic in ask.topics:
        row = TopicRow(
            topic.name,
            ask.team,
            "bifrost",
            topic.partitions,
            topic.replication,
            topic.min_isr,
            topic.retention_ms,
            topic.throughput,
            topic.description,
            topic.tags,
            dict(topic.config),
            how.request,
        )
        done.append(desired.put("topic", topic.name, row))
    for user in ask.users:
        row_u = UserRow(
            user.name, ask.team, "bifrost", user.produce_quota, user.consume_quota, (user.name,), how.request
        )
        done.append(desired.put("user", user.name, row_u))
    for item in ask.items():
        if isinstance(item, AccessWant):
            done += _grant(desired, ask, item, how)
    for change in ask.changes:
        known = desired.topics[change.topic]
        done.append(
            desired.put(
                "topic",
                change.topic,
                replace(
                    known,
                    partitions=change.partitions or known.partitions,
                    min_isr=known.min_isr if change.min_isr is None else change.min_isr,
                    retention_ms=known.retention_ms if change.retention_ms is None else change.retention_ms,
                    throughput=known.throughput if change.throughput is None else change.throughput,
                    description=known.description if change.description is None else change.description,
                    tags=known.tags if change.tags is None else change.tags,
                    config={**known.config, **change.config},
                ),
            )
        )
    for gone in ask.deletions:
        for key, grant in list(desired.grants.items()):
            if (gone.what == "user" and grant.user == gone.name) or (
                gone.what == "topic" and grant.field != "groups" and grant.name == gone.name
            ):
                done.append(desired.put("grant", key, None))
        done.append(desired.put(gone.what, gone.name, None))
    return done


def _grant(desired: Desired, ask: Ask, item: AccessWant, how: Granting) -> Iterator[Undo] | list[Undo]:
    until = None if ask.lasts_s is None else how.now + ask.lasts_s
    wanted: list[tuple[Field, str]] = [(item.operation, item.topic)]
    if item.operation == "consume":
        wanted += [("groups", group) for group in item.groups]
    done = []
    for name_field, name in wanted:
        known = desired.grants.get((item.user, name_field, name))
        # Access of a team's own user to its own topic never expires: the team would lose what is its own.
        owner = how.owner_of(name) if name_field != "groups" else ask.team
        end = None if owner == ask.team and name_field != "groups" else until
        if known is not None:
            longer = None if known.expires_at is None or end is None else max(known.expires_at, end)
            row = replace(known, expires_at=longer, reminded=99 if longer != known.expires_at else known.reminded)
        else:
            row = GrantRow(
                item.user, name_field, name, how.new_id("g"), ask.team, owner, how.request, how.requester, how.policy,
                granted_at=how.now, expires_at=end,
            )  # fmt: skip
        done.append(desired.put("grant", row.key, row))
    return done


def undo_json(changes: list[Undo]) -> str:
    """The undo changes as text, stored with a request that is being applied."""
    from dataclasses import asdict

    listed = [
        [table, list(key) if isinstance(key, tuple) else key, None if row is None else asdict(row)]
        for table, key, row in changes
    ]
    return json.dumps(listed, ensure_ascii=False)


def undo_of(text: str) -> list[Undo]:
    """The undo changes from that text."""
    kinds: dict[str, Any] = {"topic": TopicRow, "user": UserRow, "grant": GrantRow}
    found: list[Undo] = []
    for table, key, values in json.loads(text):
        row = (
            None
            if values is None
            else kinds[table](**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        )
        found.append((table, tuple(key) if isinstance(key, list) else key, row))
    return found


def rendered(desired: Desired, stack: str, default_replication: int | None = None) -> str:
    """The managed file: one line for each topic, user and ACL, sorted by name."""
    lines = [HEADER + "format: asgard.stack-part/v1", f"stack: {stack}"]
    topics = [_topic(t, default_replication) for _, t in sorted(desired.topics.items()) if t.origin == "bifrost"]
    of_user: dict[str, list[GrantRow]] = {}
    for _, grant in sorted(desired.grants.items()):
        of_user.setdefault(grant.user, []).append(grant)
    users, acls = [], []
    for name, user in sorted(desired.users.items()):
        if user.origin == "bifrost":
            users += [_user(user, principal, of_user.get(name, ())) for principal in user.principals]
        else:
            acls += [_acl(grant) for grant in of_user.get(name, ()) if grant.origin == "request"]
    acls += [_acl(g) for name in sorted(of_user) if name not in desired.users for g in of_user[name]]
    for section, entries in (("topics", topics), ("users", users), ("acls", acls)):
        if entries:
            lines += [f"{section}:", *(f"  - {_text(entry)}" for entry in entries)]
    return "\n".join(lines) + "\n"


def _text(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False).replace("${", "$${")


def _clean(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, [], {}, "")}


def _topic(topic: TopicRow, default_replication: int | None) -> dict[str, Any]:
    config = dict(topic.config)
    if topic.min_isr is not None:
        config["min.insync.replicas"] = str(topic.min_isr)
    if topic.retention_ms is not None:
        config["retention.ms"] = str(topic.retention_ms)
    replication = topic.replication or default_replication
    values = {"name": topic.name, "partitions": topic.partitions, "replication": replication, "owner": topic.team}
    return _clean({**values, "config": dict(sorted(config.items()))})


def _user(user: UserRow, principal: str, grants: Any) -> dict[str, Any]:
    quota = _clean({"produce": _whole(user.produce_quota), "consume": _whole(user.consume_quota)})
    lists = {name: sorted(g.name for g in grants if g.field == name) for name in ("produce", "consume", "groups")}
    return _clean({"name": principal, "owner": user.team, **lists, "quota": quota})


def _whole(rate: float | None) -> int | None:
    return None if rate is None else int(rate)


def _acl(grant: GrantRow) -> dict[str, Any]:
    """A grant of a user that is in the stack file itself, or nowhere."""
    prefixed = grant.name != "*" and grant.name.endswith(("*", "-", ".", "_"))
    name = grant.name.removesuffix("*") if grant.name != "*" else "*"
    entry = {
        "principal": f"User:{grant.user}",
        "resource": "group" if grant.field == "groups" else "topic",
        "name": name,
    }
    if prefixed:
        entry["pattern"] = "prefixed"
    return {**entry, "operation": "write" if grant.field == "produce" else "read"}
