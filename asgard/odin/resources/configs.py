"""Topic and broker configs by Kafka version: which exist, the values they take, and how a change takes effect.

The table is `data/configs.json`, generated from Kafka's own definitions by `tools/kafka_configs.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

Kind = Literal["topic", "broker"]
Mode = Literal["read-only", "per-broker", "cluster-wide"]

DEFAULT_VERSION = "4.3.1"
OLDEST_LOCAL = (4, 1)
OLDEST_EXTERNAL = (3, 9)
VENDOR_PREFIXES = ("confluent.", "redpanda.", "automq.")
"""Configs of clusters that are more than Apache Kafka: passed to external ones unchecked."""

_BITS = {"short": 15, "int": 31, "long": 63}
_NODE = "Asgard sets it for each node itself"
_SECURITY = "Asgard sets it itself, from `security`"
_MOVES = "Asgard sets it itself, while it moves replicas"
OWN_PREFIXES = {
    "listener": _NODE,
    "advertised.": _NODE,
    "controller.listener": _NODE,
    "controller.quorum.": _NODE,
    "early.start.": _NODE,
    "sasl.": _SECURITY,
    "ssl.": _SECURITY,
    "security.": _SECURITY,
    "inter.broker.": _NODE,
}
OWN_BROKER = {
    "node.id": _NODE,
    "broker.id": _NODE,
    "process.roles": _NODE,
    "broker.rack": "write kafka.racks",
    "log.dir": _NODE,
    "log.dirs": _NODE,
    "metadata.log.dir": _NODE,
    "authorizer.class.name": _SECURITY,
    "super.users": _SECURITY,
    "principal.builder.class": _SECURITY,
    "min.insync.replicas": "write kafka.min_insync_replicas",
    "leader.replication.throttled.rate": _MOVES,
    "follower.replication.throttled.rate": _MOVES,
    "replica.alter.log.dirs.io.max.bytes.per.second": _MOVES,
    "cordoned.log.dirs": _MOVES,
}
OWN_TOPIC = {
    "leader.replication.throttled.replicas": _MOVES,
    "follower.replication.throttled.replicas": _MOVES,
}


@dataclass(frozen=True)
class ConfigDef:
    """One config as a Kafka version defines it. `default` is None if there is none."""

    name: str
    type: str
    default: str | None = None
    min: float | None = None
    max: float | None = None
    other: float | None = None
    values: tuple[str, ...] = ()
    mode: Mode = "read-only"


def version_of(text: str) -> tuple[int, ...] | None:
    """`4.3.1` as numbers; None if it is not a version. MSK's `4.1.x` and `3.9.x.kraft` count as their release."""
    parts = text.removesuffix(".kraft").removesuffix(".x").split(".")
    if len(parts) not in (2, 3) or not all(p.isascii() and p.isdigit() and len(p) < 5 for p in parts):
        return None
    return tuple(int(p) for p in parts)


@cache
def _table() -> dict[str, Any]:
    content = resources.files("asgard.odin.resources").joinpath("data/configs.json").read_text("utf-8")
    table: dict[str, Any] = json.loads(content)
    return table


def minors() -> list[str]:
    """The Kafka versions of the table, oldest first."""
    return list(_table()["versions"])


@cache
def definitions(kind: Kind, version: str | None) -> dict[str, ConfigDef]:
    """All configs of a version by name: those of the newest known version up to it; for None, of every version."""
    table, known = _table(), minors()
    minor = None
    if version is not None:
        wanted = (version_of(version) or (0, 0))[:2]
        minor = next((m for m in reversed(known) if version_of(m) <= wanted), known[0])  # type: ignore[operator]
    found = {}
    for name, entries in table[kind].items():
        fitting = [e for e in entries if minor is None or minor in e.get("in", known)]
        if fitting:
            e = fitting[-1]
            found[name] = ConfigDef(
                name,
                e["type"],
                e.get("default"),
                e.get("min"),
                e.get("max"),
                e.get("or"),
                tuple(e.get("values", ())),
                e.get("mode", "read-only"),
            )
    return found


def reserved(kind: Kind, name: str) -> str | None:
    """Why a stack file can't set a config; None if it may."""
    if kind == "topic":
        return OWN_TOPIC.get(name)
    if name in OWN_BROKER:
        return OWN_BROKER[name]
    return next((why for prefix, why in OWN_PREFIXES.items() if name.startswith(prefix)), None)


def declarable(kind: Kind, name: str, value: str, version: str | None = None) -> bool:
    """Whether a stack file can declare a config with that value; None is any version."""
    if reserved(kind, name) is not None:
        return False
    definition = definitions(kind, version).get(name)
    if definition is None:
        return name.startswith(VENDOR_PREFIXES)
    fits = definition.type != "password" and wrong_value(definition, value) is None
    return fits and (kind == "topic" or definition.mode == "cluster-wide")


def wrong_value(definition: ConfigDef, value: str) -> str | None:
    """What is wrong with a value and what is allowed; None if Kafka accepts it."""
    text = value.strip()
    allowed = _allowed(definition)
    if definition.type == "boolean":
        right = text.lower() in ("true", "false")
    elif definition.type in ("int", "long", "short"):
        right = text.lstrip("+-").isdecimal() and text.isascii() and _in_range(definition, text)
    elif definition.type == "double":
        try:
            right = _in_range(definition, text) and float(text) == float(text)
        except ValueError:
            right = False
    elif definition.type == "list" and definition.values:
        items = [item.strip() for item in text.split(",")]
        right = all(item in definition.values for item in items) and len(set(items)) == len(items)
    else:
        right = not definition.values or text in definition.values
    return None if right else f"is {value!r}; allowed is {allowed}"


def canonical(definition: ConfigDef | None, value: str) -> str:
    """The value as a broker answers it: `compact, delete` is `compact,delete`, `0.50` is `0.5`, `FALSE` is `false`.

    A list of fixed words is put into their order: for Kafka it is a set. Text that is not a value of that type is
    unchanged.
    """
    if definition is None or wrong_value(definition, value) is not None:
        return value
    text = value.strip()
    match definition.type:
        case "boolean":
            return text.lower()
        case "int" | "long" | "short":
            return str(int(text))
        case "double":
            # Java's Double.toString, as far as configs need it.
            return str(float(text))
        case "list":
            items = [item.strip() for item in text.split(",") if item.strip()]
            return ",".join(sorted(items, key=definition.values.index) if definition.values else items)
    return text


def canonical_all(kind: Kind, config: Mapping[str, str]) -> dict[str, str]:
    """Configs as a broker reports them, however they are spelled."""
    known = definitions(kind, None)
    return {name: canonical(known.get(name), value) for name, value in config.items()}


def same(kind: Kind, name: str, one: str | None, other: str | None) -> bool:
    """Whether two values of a config mean the same, by its type in any known version. None: not set."""
    if one == other or one is None or other is None:
        return one == other
    definition = definitions(kind, None).get(name)
    return canonical(definition, one) == canonical(definition, other)


def _in_range(definition: ConfigDef, text: str) -> bool:
    bits = _BITS.get(definition.type)
    if bits is not None and (len(text) > 20 or not -(2**bits) <= int(text) < 2**bits):
        return False
    number = int(text) if bits is not None else float(text)
    if definition.other is not None and number == definition.other:
        return True
    low, high = definition.min, definition.max
    return (low is None or number >= low) and (high is None or number <= high)


def _allowed(definition: ConfigDef) -> str:
    if definition.type == "boolean":
        return "true or false"
    if definition.values:
        return ("any of " if definition.type == "list" else "") + ", ".join(definition.values)
    kind = "a number" if definition.type == "double" else "a whole number"
    low, high = definition.min, definition.max
    if high is None and definition.type in ("int", "short"):
        high = 2 ** _BITS[definition.type] - 1
    if low is not None and high is not None:
        kind += f" from {_plain(low)} to {_plain(high)}"
    elif low is not None:
        kind += f", {_plain(low)} or more"
    elif high is not None:
        kind += f", {_plain(high)} at most"
    return kind if definition.other is None else f"{kind}, or {_plain(definition.other)}"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def split(config: dict[str, str], version: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """Broker configs as (static, dynamic): those in server.properties, and those written cluster-wide (broker `""`)."""
    known = definitions("broker", version)
    dynamic = {k: v for k, v in config.items() if k in known and known[k].mode == "cluster-wide"}
    return {k: v for k, v in config.items() if k not in dynamic}, dynamic
