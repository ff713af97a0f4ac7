"""What a condition may name: the fields of requests, teams, budgets and clusters, with their types.

Durations are milliseconds (for ever is infinite), sizes bytes, rates per second, parts fractions of 1. An unknown
field (None) fits no comparison: the rule is then unsure, and an unsure rule never allows.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from asgard.core import units

Type = Literal["text", "texts", "bool", "count", "duration", "bytes", "rate", "fraction"]
Value = str | bool | float | frozenset[str] | None
ALL = ("topic", "user", "access", "change", "delete")


@dataclass(frozen=True)
class Field:
    """A field: its type, the kinds of items that have it, and what it is."""

    type: Type
    kinds: tuple[str, ...]
    about: str


_SIZED = ("topic", "change")
_NAMING = ("topic", "user")
_EXISTING = ("topic", "access", "change", "delete")

FIELDS: dict[str, Field] = {
    "kind": Field("text", ALL, "topic, user, access, change or delete"),
    "name": Field("text", ALL, "of the topic or user; of access: the topic"),
    "team": Field("text", ALL, "the team that asks"),
    "role": Field("text", ALL, "the requester's role: member, owner or data-engineer"),
    "environment": Field("text", ALL, "the environment that is asked on"),
    "in_namespace": Field("bool", ALL, "the name begins with a namespace of the team"),
    "groups_in_namespace": Field("bool", ("user", "access"), "each consumer group begins with a namespace of the team"),
    "partitions": Field("count", _SIZED, "of the topic"),
    "partitions_added": Field("count", _SIZED, "more than there were"),
    "replication": Field("count", _SIZED, "replicas of each partition"),
    "min_isr": Field("count", _SIZED, "min.insync.replicas; the cluster's where the topic sets none"),
    "retention": Field("duration", _SIZED, "how long records are kept"),
    "throughput": Field("rate", _SIZED, "what the topic is to take"),
    "storage": Field("bytes", _SIZED, "estimated, of all replicas"),
    "compacted": Field("bool", _SIZED, "cleanup.policy has compact"),
    "configs": Field("texts", _SIZED, "names of the topic configs that are set, by `retention` and `min_isr` too"),
    "described": Field("bool", ("topic",), "the request has a description"),
    "tags": Field("texts", _EXISTING, "of the topic"),
    "owner": Field("text", _EXISTING, "the team that the topic belongs to; empty if it has no owner"),
    "own": Field("bool", _EXISTING, "the topic belongs to the team that asks"),
    "operation": Field("text", ("access",), "consume or produce"),
    "prefix": Field("bool", ("access",), "a prefix of topics is asked for"),
    "user": Field("text", ("access",), "the user that gets access"),
    "own_user": Field("bool", ("access",), "that user belongs to the team that asks"),
    "for": Field("duration", ("access",), "how long access lasts"),
    "exists": Field("bool", ALL, "a topic or user of that name is there"),
    "managed": Field("bool", ("change", "delete"), "Bifrost made it; else it is defined in the stack file itself"),
    "readers": Field("count", ("delete",), "teams that read the topic"),
    "reason": Field("bool", ALL, "the request says why"),
    "produce_quota": Field("rate", ("user",), "0 where none is asked for"),
    "consume_quota": Field("rate", ("user",), "0 where none is asked for"),
    "budget.partitions": Field("fraction", ALL, "of the team's budget, after this request"),
    "budget.storage": Field("fraction", ALL, "of the team's budget, after this request"),
    "budget.throughput": Field("fraction", ALL, "of the team's budget, after this request"),
    "budget.users": Field("fraction", ALL, "of the team's budget, after this request"),
    "brokers": Field("count", ALL, "brokers that are up"),
    "headroom.disk": Field("fraction", ALL, "free part of the fullest broker's volumes, after this request"),
    "headroom.partitions": Field("count", ALL, "replicas that the fullest broker may still take, after this request"),
}

_SIGNS = ("==", "!=", "<=", ">=", "<", ">")
_COMPARISON = re.compile(
    r"(?P<field>[a-z_.]+)\s+(?:(?P<word>not\s+in|in|not\s+matches|matches|has|lacks)\s+|(?P<sign>==|!=|<=|>=|<|>)\s*)(?P<value>\S.*)\Z"
)
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%\Z")


def split(text: str) -> tuple[str, str, str]:
    """Field, operator and value of a condition, as text. Raises ValueError."""
    match = _COMPARISON.match(" ".join(text.split()))
    if not match:
        raise ValueError(f'is {text!r}; allowed is FIELD OPERATOR VALUE, as in "partitions > 24" or "tags has pii"')
    return match["field"], " ".join((match["word"] or match["sign"]).split()), match["value"]


def operators(type_: Type) -> tuple[str, ...]:
    """The operators for a field of that type."""
    match type_:
        case "text":
            return ("==", "!=", "in", "not in", "matches", "not matches")
        case "texts":
            return ("has", "lacks")
        case "bool":
            return ("==", "!=")
    return _SIGNS


def value(text: str, type_: Type) -> Value:
    """A value of a condition. Raises ValueError."""
    match type_:
        case "bool":
            if text not in ("true", "false"):
                raise ValueError(f"compares with {text!r}; allowed are true and false")
            return text == "true"
        case "count":
            if not text.isdecimal():
                raise ValueError(f"compares a number with {text!r}; allowed is a whole number, as in 24")
            return float(text)
        case "fraction":
            match = _PERCENT.match(text)
            if not match:
                raise ValueError(f"compares a part with {text!r}; allowed is a percentage, as in 80%")
            return float(match[1]) / 100
        case "duration":
            if text == "forever":
                return math.inf
            if text.isdecimal() and text != "0":
                raise ValueError(
                    f"compares with {text}, without a unit; allowed is a duration with one, as in 7d, or forever"
                )
            return units.parse_duration(text) * 1000
        case "bytes":
            return float(units.parse_size(text))
        case "rate":
            return units.parse_rate(text)
    return text


def shown(name: str, known: Value) -> str:
    """A value as a person writes it."""
    if known is None:
        return "not known"
    if isinstance(known, bool):
        return "true" if known else "false"
    if isinstance(known, frozenset):
        return ", ".join(sorted(known)) or "none"
    if isinstance(known, str):
        return known or "none"
    if known == math.inf:
        return "forever"
    match FIELDS[name].type:
        case "fraction":
            return f"{known:.0%}"
        case "duration":
            return units.exact_duration(round(known))
        case "bytes":
            return units.format_size(known)
        case "rate":
            return f"{units.format_size(known)}/s"
    return f"{known:g}"
