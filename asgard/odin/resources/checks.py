"""Validation of a resource's inputs, and the inputs with defaults filled in. Pure: no cluster is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from asgard.odin.resources.kinds import (
    ACL,
    ALLOCATION,
    BROKER,
    CLUSTER,
    CONFIG,
    KINDS,
    MECHANISMS,
    QUOTA,
    QUOTA_NAMES,
    READY,
    TOPIC,
    USER,
    Property,
    ResourceType,
)
from asgard.odin.resources.values import UNKNOWN, Values

Wrong = tuple[str, str]
"""Property and its problem."""

_TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def check(token: str, new: Values) -> tuple[Values, list[Wrong]]:
    """The inputs in their normal form with defaults filled in, and all their problems."""
    kind = KINDS[token]
    values: Values = {}
    wrong: list[Wrong] = []
    given = {name: value for name, value in new.items() if value is not None and not name.startswith("__")}
    known = [field.name for field in kind.inputs]
    for name in sorted(given.keys() - known):
        wrong.append((name, f"is not a property of {token}; allowed are {', '.join(known)}"))
    for field in kind.inputs:
        if field.name not in given:
            if field.required:
                wrong.append((field.name, "is missing"))
            elif field.default is not None:
                values[field.name] = dict(field.default) if isinstance(field.default, dict) else field.default
            continue
        value, reason = _normal(field, given[field.name])
        values[field.name] = value
        if reason:
            wrong.append((field.name, reason))
    if not wrong and not any(value is UNKNOWN for value in values.values()):
        wrong += _rules(kind, values)
    return values, wrong


def text_of(value: Any) -> str:
    """A config value as Kafka spells it: `true`, `604800000`, text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _normal(field: Property, value: Any) -> tuple[Any, str | None]:
    """The value in its normal form, and its problems."""
    if value is UNKNOWN:
        return value, None
    match field.type:
        case "string":
            if isinstance(value, dict | list):
                return value, "is not text"
            return _choice(field, text_of(value))
        case "integer" | "number":
            return _number(field, value)
        case "boolean":
            if value in (True, "true"):
                return True, None
            if value in (False, "false"):
                return False, None
            return value, f"is {value!r}; allowed are true and false"
        case "map":
            if not isinstance(value, dict):
                return value, "is not a map of names to values"
            if nested := [key for key, item in value.items() if isinstance(item, dict | list)]:
                return value, f"has more than a plain value at {', '.join(sorted(nested))}"
            return {k: v if v is UNKNOWN else text_of(v) for k, v in value.items() if v is not None}, None
        case "strings" | "integers":
            if not isinstance(value, list):
                return value, "is not a list"
            if field.type == "strings":
                return [item if item is UNKNOWN else text_of(item) for item in value], None
            if any(item is not UNKNOWN and not isinstance(item, int) for item in value):
                return value, "is not a list of whole numbers"
            return value, None
        case "nodes":
            return value, None


def _choice(field: Property, text: str) -> tuple[str, str | None]:
    if not field.among or text in field.among:
        return text, None
    folded = {re.sub(r"[^a-z0-9]", "", allowed.lower()): allowed for allowed in field.among}
    match = folded.get(re.sub(r"[^a-z0-9]", "", text.lower()))
    if match is None:
        return text, f"is {text!r}; allowed are {', '.join(field.among)}"
    return match, None


def _number(field: Property, value: Any) -> tuple[Any, str | None]:
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value, f"is {value!r}, not a number"
    if isinstance(number, bool) or not isinstance(number, int | float):
        return value, "is not a number"
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if field.type == "integer" and not isinstance(number, int):
        return value, f"is {value}, not a whole number"
    if field.least is not None and number < field.least:
        return number, f"is {number}; {field.least:g} is the least"
    return number, None


def _rules(kind: ResourceType, values: Values) -> list[Wrong]:
    match kind.token:
        case _ if kind.token == TOPIC:
            return _topic(values)
        case _ if kind.token == USER:
            return _user(values)
        case _ if kind.token == ACL:
            return _acl(values)
        case _ if kind.token == QUOTA:
            return _quota(values)
        case _ if kind.token == CONFIG:
            broker = values["broker"]
            if broker and not broker.isdigit():
                return [("broker", f'is {broker!r}; allowed are a broker id, or "" for the cluster-wide default')]
            if broker and "min.insync.replicas" in values["config"]:
                return [
                    ("config", 'min.insync.replicas of a single broker is refused by Kafka; set it at the broker ""')
                ]
        case _ if kind.token == CLUSTER:
            return _cluster(values)
        case _ if kind.token == BROKER:
            return _broker(values)
    return []


def _user(values: Values) -> list[Wrong]:
    wrong = [("password", "is empty")] if values.get("password") == "" else []
    allowed = [mechanism for mechanism in MECHANISMS if mechanism != values["mechanism"]]
    if values.get("otherMechanisms", allowed) != allowed:
        wrong.append(
            ("otherMechanisms", f"is {values['otherMechanisms']}; allowed beside {values['mechanism']} is {allowed}")
        )
    return wrong


def _topic(values: Values) -> list[Wrong]:
    name = values["name"]
    if not _TOPIC_NAME.fullmatch(name) or name in (".", ".."):
        return [("name", f"{name!r} is not a topic name: allowed are 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")]
    return []


def _acl(values: Values) -> list[Wrong]:
    wrong = []
    if not re.fullmatch(r"[A-Za-z]+:.+", values["principal"]):
        wrong.append(("principal", f"is {values['principal']!r}; allowed is a type and a name, as in User:orders-api"))
    if not values["resourceName"]:
        wrong.append(("resourceName", "is empty; `*` is all"))
    if values["resourceType"] == "CLUSTER" and values["resourceName"] != "kafka-cluster":
        wrong.append(("resourceName", "is the cluster's fixed name kafka-cluster for the type CLUSTER"))
    return wrong


def _quota(values: Values) -> list[Wrong]:
    wrong = []
    by_address = values.get("ip") is not None
    if by_address and (values.get("user") is not None or values.get("clientId") is not None):
        wrong.append(("ip", "must be alone: Kafka has no quota for an address combined with a user or a clientId"))
    if not by_address and values.get("user") is None and values.get("clientId") is None:
        wrong.append(("user", 'is missing, and so are clientId and ip: name one of them; "" is the default of all'))
    rates = [name for name in QUOTA_NAMES if name in values]
    if misplaced := [name for name in rates if (name == "connectionCreationRate") != by_address]:
        wrong.append((misplaced[0], "is for an ip only" if not by_address else "is not for an ip"))
    if not any(name in values for name in QUOTA_NAMES):
        wrong.append(("producerByteRate", f"is missing; name at least one of {', '.join(QUOTA_NAMES)}"))
    return wrong


def declarable_rate(name: str, value: float) -> bool:
    """Whether a stack file can declare a quota with that value; `name` is Kafka's."""
    return 0 < value < 2**53 and (not name.endswith("byte_rate") or value % 1 == 0)


def _cluster(values: Values) -> list[Wrong]:
    wrong = []
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}", values["name"]):
        wrong.append(("name", f"is {values['name']!r}; allowed are letters, digits, '.', '_' and '-'"))
    if version_of(values["version"]) is None:
        wrong.append(("version", f"is {values['version']!r}; allowed is a version as in 4.3.1"))
    elif version_of(values["version"]) < (4, 1):  # type: ignore[operator]
        wrong.append(("version", f"is {values['version']}; 4.1 is the least on this machine"))
    if values["controllers"] > values["brokers"]:
        wrong.append(("controllers", f"is {values['controllers']}, more than the {values['brokers']} brokers"))
    elif values["controllers"] % 2 == 0:
        wrong.append(("controllers", f"is {values['controllers']}; an odd number keeps a majority when one is lost"))
    if values["authorizer"] and values["sasl"] == "none":
        wrong.append(("authorizer", "requires users who log in: set sasl to scram-sha-512, or authorizer to false"))
    if values.get("tls", "off") != "off" and values["sasl"] == "none":
        wrong.append(("tls", "needs users who log in: set sasl to scram-sha-512"))
    return wrong


def _broker(values: Values) -> list[Wrong]:
    needed = [] if values["sasl"] == "none" else [("adminPassword", "sasl"), ("controllerPassword", "sasl")]
    if values.get("tls", "off") != "off":
        needed += [(name, "tls") for name in ("tlsPort", "certificatePort", "tlsControllers")]
    return [(name, f"is missing, and {why} needs it") for name, why in needed if not values.get(name)]


def version_of(text: str) -> tuple[int, ...] | None:
    """`4.3.1` as numbers; None if it isn't a version."""
    return tuple(int(part) for part in text.split(".")) if re.fullmatch(r"\d+(\.\d+){1,3}", text) else None


def release_of(text: str) -> tuple[int, ...] | None:
    """`4.3.1` belongs to the release 4.3: feature levels are per release."""
    numbers = version_of(text)
    return None if numbers is None else numbers[:2]


def transitions(kind: ResourceType, old: Values, new: Values) -> list[Wrong]:
    """Changes that an existing resource must not get. Unknown values are not judged."""
    if any(
        new.get(name) is UNKNOWN
        for name in ("partitions", "version", "controllers", "sasl", "authorizer", "adminPassword")
    ):
        return []
    if kind.token == TOPIC and new["partitions"] < old.get("partitions", 0):
        return [("partitions", fewer_partitions(new["name"], old["partitions"], new["partitions"]))]
    if kind.token == ALLOCATION:
        return _other_controllers(old["controllers"], new["controllers"])
    if kind.token in (CLUSTER, BROKER, READY):
        wrong = []
        before, after = version_of(old.get("version") or ""), version_of(new.get("version") or "")
        if before and after and after < before:
            wrong.append(
                (
                    "version",
                    f"is {new['version']}, lower than the {old['version']} that runs; Kafka's data can't be downgraded",
                )
            )
        if kind.token == CLUSTER:
            if new["controllers"] != old.get("controllers", new["controllers"]):
                wrong.append(
                    (
                        "controllers",
                        f"is {new['controllers']}; a cluster keeps the {old['controllers']} controllers it was made with",
                    )
                )
            for name in ("sasl", "authorizer"):
                if new[name] != old.get(name, new[name]):
                    wrong.append((name, f"is fixed for a cluster's life at {old[name]!r}"))
        elif new.get("adminPassword") != old.get("adminPassword") and old.get("adminPassword"):
            wrong.append(
                (
                    "adminPassword",
                    "is the first user's, by which the brokers know each other; it is fixed for a cluster's life",
                )
            )
        return wrong
    return []


def _other_controllers(old: list[str], new: list[str]) -> list[Wrong]:
    """Another list of node ids would form a second, empty quorum beside the one that has the cluster's metadata."""
    if sorted(old) == sorted(new):
        return []
    before, after = (", ".join(nodes) or "none" for nodes in (old, new))
    return [("controllers", f"is {after}; a cluster keeps the controllers it was made with: {before}")]


def holds_replicas(node: int, held: Mapping[str, int]) -> tuple[str, str]:
    """Why a broker can't be taken out of its cluster, and what to do first. `held`: its replicas by topic."""
    count, topics = sum(held.values()), sorted(held)
    more = f" and {len(topics) - 3} topics more" if len(topics) > 3 else ""
    what = f"broker {node} holds {count} replica{'s' if count > 1 else ''}, of {', '.join(topics[:3])}{more}"
    return what, f"Move them away first: asgard thor plan drain {node}"


def fewer_partitions(topic: str, now: int, wanted: int) -> str:
    """The sentence that refuses fewer partitions."""
    return f"is {wanted}, but the topic {topic} has {now}, and Kafka can't remove partitions; keep {now}, or create a new topic and move to it, or remove {topic} from the stack (--allow-data-loss {topic}) and add it again in a second run"
