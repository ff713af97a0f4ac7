"""A request's contents as plain data: items that are granted together or not at all.

Retention is milliseconds (-1: for ever), sizes bytes, rates per second; `lasts_s` None: access has no end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from asgard.core.schema.bifrost import RequestFile

Operation = Literal["consume", "produce"]
RequestKind = Literal["topic", "user", "access", "change", "delete", "bundle"]
_FIELD_OF = {"retention.ms": "retention_ms", "min.insync.replicas": "min_isr"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)


class _Configured(Protocol):
    """A data class with a topic's configs, and with the fields of `_FIELD_OF`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def config(self) -> Mapping[str, str]: ...


Configured = TypeVar("Configured", bound=_Configured)


@dataclass(frozen=True)
class TopicWant:
    """A new topic. None: as the cluster has it."""

    name: str
    partitions: int = 3
    replication: int | None = None
    min_isr: int | None = None
    retention_ms: int | None = None
    throughput: float | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class UserWant:
    """A new user."""

    name: str
    produce: tuple[str, ...] = ()
    consume: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    produce_quota: float | None = None
    consume_quota: float | None = None


@dataclass(frozen=True)
class AccessWant:
    """A user gets access to a topic (or a prefix, as `orders.`)."""

    topic: str
    user: str
    operation: Operation = "consume"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChangeWant:
    """A topic changes. None: stays as it is."""

    topic: str
    partitions: int | None = None
    min_isr: int | None = None
    retention_ms: int | None = None
    throughput: float | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DeleteWant:
    """A topic or a user is deleted."""

    what: Literal["topic", "user"]
    name: str


Item = TopicWant | UserWant | AccessWant | ChangeWant | DeleteWant


@dataclass(frozen=True)
class Ask:
    """A request before it is judged. Empty `team` and `environment`: the requester's, the first one."""

    team: str = ""
    environment: str = ""
    topics: tuple[TopicWant, ...] = ()
    users: tuple[UserWant, ...] = ()
    access: tuple[AccessWant, ...] = ()
    changes: tuple[ChangeWant, ...] = ()
    deletions: tuple[DeleteWant, ...] = ()
    reason: str | None = None
    token: str | None = None
    lasts_s: float | None = None

    @property
    def kind(self) -> RequestKind:
        """What it is called."""
        named = (("topic", self.topics), ("user", self.users), ("access", self.access), ("change", self.changes))
        counted: list[tuple[Any, int]] = [(name, len(items)) for name, items in named]
        counted.append(("delete", len(self.deletions)))
        present = [name for name, count in counted if count]
        return present[0] if len(present) == 1 and sum(c for _, c in counted) == 1 else "bundle"

    @property
    def subject(self) -> str:
        """The names it is about, a few of them."""
        names = [*(t.name for t in self.topics), *(u.name for u in self.users)]
        names += [f"{a.user} {a.operation} {a.topic}" for a in self.access]
        names += [*(c.topic for c in self.changes), *(d.name for d in self.deletions)]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    @property
    def may_lose(self) -> frozenset[str]:
        """Topics whose records may be lost: they are deleted, or their retention or config changes."""
        deleted = {d.name for d in self.deletions if d.what == "topic"}
        return frozenset(deleted | {c.topic for c in self.changes if c.retention_ms is not None or c.config})

    def items(self) -> Iterator[Item]:
        """Each thing that policy judges. What a new user reads and writes is judged as access, item by item."""
        yield from self.topics
        yield from self.users
        for user in self.users:
            for topic in user.produce:
                yield AccessWant(topic, user.name, "produce")
            for topic in user.consume:
                yield AccessWant(topic, user.name, "consume", user.groups)
        yield from self.access
        yield from self.changes
        yield from self.deletions


def lifted(item: Configured) -> Configured:
    """The same topic or change, with configs that have a field of their own in that field: policy and budgets look only there."""
    said = {name: int(text) for name in _FIELD_OF if _WHOLE.fullmatch(text := item.config.get(name, "").strip())}
    rest = {name: text for name, text in item.config.items() if name not in said}
    return replace(item, **{_FIELD_OF[name]: value for name, value in said.items()}, config=rest) if said else item


def configs_of(item: TopicWant | ChangeWant) -> frozenset[str]:
    """The names of the topic configs that it sets, however it says so."""
    return frozenset({*item.config, *(name for name, own in _FIELD_OF.items() if getattr(item, own) is not None)})


def of_file(file: RequestFile, defaults: Mapping[str, Any]) -> Ask:
    """A request file as an ask."""
    return Ask(
        team=file.team or defaults.get("team") or "",
        environment=file.environment or defaults.get("environment") or "",
        topics=tuple(
            lifted(
                TopicWant(
                    t.name,
                    t.partitions,
                    t.replication,
                    t.min_isr,
                    t.retention,
                    t.throughput,
                    t.description,
                    tuple(sorted(set(t.tags))),
                    dict(t.config),
                )
            )
            for t in file.topics
        ),
        users=tuple(
            UserWant(
                u.name,
                tuple(dict.fromkeys(u.produce)),
                tuple(dict.fromkeys(u.consume)),
                tuple(dict.fromkeys(u.groups)) or ((u.name,) if u.consume else ()),
                u.produce_quota,
                u.consume_quota,
            )
            for u in file.users
        ),
        access=tuple(AccessWant(a.topic, a.user, a.operation, tuple(dict.fromkeys(a.groups))) for a in file.access),
        changes=tuple(
            lifted(
                ChangeWant(
                    c.topic,
                    c.partitions,
                    c.min_isr,
                    c.retention,
                    c.throughput,
                    c.description,
                    None if c.tags is None else tuple(sorted(set(c.tags))),
                    dict(c.config),
                )
            )
            for c in file.changes
        ),
        deletions=tuple(
            DeleteWant("topic", d.topic) if d.topic is not None else DeleteWant("user", d.user or "")
            for d in file.deletions
        ),
        reason=file.reason or defaults.get("reason"),
        token=file.token or defaults.get("token"),
        lasts_s=file.lasts if file.lasts is not None else defaults.get("lasts_s"),
    )


def to_json(ask: Ask) -> str:
    """The ask as text for the store."""
    return json.dumps(asdict(ask), sort_keys=True, ensure_ascii=False)


def of_json(text: str) -> Ask:
    """The ask from that text."""

    def made(kind: type[Any], values: list[dict[str, Any]]) -> tuple[Any, ...]:
        return tuple(kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in item.items()}) for item in values)

    raw = json.loads(text)
    kinds = (("users", UserWant), ("access", AccessWant), ("deletions", DeleteWant))
    sized = (("topics", TopicWant), ("changes", ChangeWant))
    plain = {k: made(kind, raw[k]) for k, kind in kinds}
    # Older versions stored every config as it was typed.
    return Ask(**{**raw, **plain, **{k: tuple(map(lifted, made(kind, raw[k]))) for k, kind in sized}})


def as_request(ask: Ask) -> dict[str, Any]:
    """The ask as a request file: what `nearest` offers to send instead."""
    from asgard.core.units import exact_duration

    def clean(values: Mapping[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in values.items() if v not in (None, "", [], {}, ())}

    def retention(ms: int | None) -> str | None:
        return None if ms is None else "forever" if ms < 0 else exact_duration(ms)

    document: dict[str, Any] = clean({"team": ask.team, "environment": ask.environment, "reason": ask.reason})
    if ask.lasts_s is not None:
        document["for"] = exact_duration(round(ask.lasts_s * 1000))
    for key, items in (("topics", ask.topics), ("users", ask.users), ("access", ask.access), ("changes", ask.changes)):
        listed = []
        for item in items:
            values: dict[str, Any] = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(item).items()}
            if "retention_ms" in values:
                values["retention"] = retention(values.pop("retention_ms"))
            listed.append(clean(values))
        if listed:
            document[key] = listed
    if ask.deletions:
        document["deletions"] = [{d.what: d.name} for d in ask.deletions]
    return document
