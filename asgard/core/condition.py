"""What must hold, as data: `under_replicated == 0`, `any broker.disk > 80%`, `broker[3].replicas == 0 or brokers_up > 3`.

A condition is one comparison or several with `or` between. The left side names a fact of the cluster, the number of
findings (all, or of a kind), or a fact of brokers: of any of them, of every one, or of those in brackets (every one of
these). Nothing is ever evaluated as code. Operand types are checked when the condition is read; thor defines the facts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from asgard.core import units

Unit = Literal["count", "fraction", "bytes", "bytes/s", "state"]
Operator = Literal["==", "!=", "<", "<=", ">", ">="]

CLUSTER_FACTS: dict[str, tuple[Unit, str]] = {
    "under_replicated": ("count", "partitions with fewer replicas in sync than they should have"),
    "under_min_isr": ("count", "partitions that refuse acks=all, because fewer replicas are in sync than min.insync.replicas"),
    "at_min_isr": ("count", "partitions that would refuse acks=all if one more replica went away"),
    "offline_partitions": ("count", "partitions without a leader"),
    "reassigning": ("count", "partitions that are being moved"),
    "brokers_up": ("count", "brokers that serve"),
    "brokers_down": ("count", "brokers that are fenced, or missing although replica lists name them"),
    "brokers_empty": ("count", "brokers that serve, may get replicas and hold none"),
    "offline_log_dirs": ("count", "log directories that brokers have given up"),
    "controllers_spare": ("count", "how many more controllers may be lost"),
    "not_preferred": ("fraction", "of all partitions: led by another broker than their preferred leader"),
    "disk_spread": ("fraction", "bytes of the fullest broker over the mean, as in 110%"),
    "replica_spread": ("fraction", "replicas of the broker with most over an even share, as in 110%"),
    "leader_spread": ("fraction", "leaders of the broker with most over an even share"),
}  # fmt: skip
BROKER_FACTS: dict[str, tuple[Unit, str]] = {
    "state": ("state", "up, fenced or missing"),
    "disk": ("fraction", "used part of its log directories' volumes"),
    "bytes": ("bytes", "of all its replicas"),
    "replicas": ("count", "partitions it holds"),
    "leaders": ("count", "partitions it leads"),
    "bytes_in": ("bytes/s", "written to all its replicas"),
    "bytes_out": ("bytes/s", "read from its leaders, by consumers and followers"),
}
FINDINGS: dict[str, str] = {
    "partitions-offline": "partitions without a leader",
    "quorum-at-risk": "controllers that no longer follow the metadata quorum",
    "under-min-isr": "partitions that refuse acks=all",
    "broker-missing": "a broker that only replica lists name",
    "broker-fenced": "a broker whose heartbeats do not reach the controller",
    "log-dir-offline": "a log directory that a broker has given up",
    "move-stuck": "moves to a broker that is gone, which can't finish",
    "broker-silent": "a broker that is registered as up but does not answer",
    "under-replicated": "replicas out of sync although their broker is up: it is slow, or catching up",
    "limit-exceeded": "a broker over a limit of its owner",
    "log-dir-over-limit": "a log directory over its limit, among others of its broker",
    "leader-imbalance": "partitions that their preferred leader does not lead although it could",
}
STATES = ("up", "fenced", "missing")
_COMPARISON = re.compile(r"(?P<left>.+?)\s*(?P<operator>==|!=|<=|>=|<|>)\s*(?P<value>\S.*)\Z")
_BROKERS = re.compile(
    r"(?:(?P<word>any|every)\s+broker|broker\s*\[(?P<ids>[^\]]*)\]|(?P<bare>broker))\.(?P<fact>\S+)\Z"
)
_IDS = re.compile(r"\s*[0-9]+\s*(?:,\s*[0-9]+\s*)*\Z")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%\Z")


@dataclass(frozen=True)
class Comparison:
    """One comparison. `of` says whose fact it is; for brokers, `brokers` says of which: any, every one, or these.

    `value` is a count, a fraction of 1, bytes, bytes per second, or a broker's state.
    """

    text: str
    of: Literal["cluster", "findings", "brokers"]
    fact: str
    operator: Operator
    value: float | str
    unit: Unit
    brokers: Literal["any", "every"] | tuple[int, ...] = ()


@dataclass(frozen=True)
class Condition:
    """True if any of its comparisons is."""

    text: str
    any_of: tuple[Comparison, ...]


def parse(text: str) -> Condition:
    """Read a condition. Raises ValueError with what is wrong and what is allowed."""
    parts = re.split(r"\s+or\s+", " ".join(text.split()))
    return Condition(" or ".join(parts), tuple(_comparison(part) for part in parts))


def _comparison(text: str) -> Comparison:
    match = _COMPARISON.match(text)
    if not match:
        raise ValueError(f"is {text!r}; allowed is a comparison, as in under_replicated == 0 or any broker.disk > 80%")
    left, operator, value = match["left"], match["operator"], match["value"]
    if left == "findings" or left.startswith("findings."):
        kind = left.partition(".")[2]
        if left != "findings" and kind not in FINDINGS:
            raise ValueError(f"names the finding {kind!r}{_near(kind, FINDINGS)}; allowed are {', '.join(FINDINGS)}")
        return Comparison(text, "findings", kind, operator, _value(value, "count", operator), "count")  # type: ignore[arg-type]
    if left.partition(".")[0].split("[")[0].split()[-1:] == ["broker"]:
        return _of_brokers(text, left, operator, value)
    if left not in CLUSTER_FACTS:
        allowed = f"; allowed are {', '.join(CLUSTER_FACTS)}, findings, findings.KIND, any broker.FACT, every broker.FACT, broker[ID].FACT"
        raise ValueError(f"names {left!r}{_near(left, CLUSTER_FACTS) or allowed}")
    unit = CLUSTER_FACTS[left][0]
    return Comparison(text, "cluster", left, operator, _value(value, unit, operator), unit)  # type: ignore[arg-type]


def _of_brokers(text: str, left: str, operator: str, value: str) -> Comparison:
    match = _BROKERS.match(left)
    if not match or match["bare"]:
        raise ValueError(f"names {left!r}; say of which brokers: any broker.…, every broker.… or broker[3].…")
    fact = match["fact"]
    if fact not in BROKER_FACTS:
        raise ValueError(
            f"names {fact!r} of a broker{_near(fact, BROKER_FACTS)}; allowed are {', '.join(BROKER_FACTS)}"
        )
    if match["ids"] is not None and not _IDS.match(match["ids"]):
        raise ValueError(f"names the brokers {match['ids']!r}; allowed are ids with commas between, as in broker[3,4]")
    brokers = match["word"] or tuple(int(i) for i in match["ids"].split(","))
    unit = BROKER_FACTS[fact][0]
    return Comparison(text, "brokers", fact, operator, _value(value, unit, operator), unit, brokers)  # type: ignore[arg-type]


def _value(text: str, unit: Unit, operator: str) -> float | str:
    if unit == "state":
        if text not in STATES or operator not in ("==", "!="):
            raise ValueError(f"compares a state with {operator} {text}; allowed are == and != with {', '.join(STATES)}")
        return text
    if unit == "fraction":
        match = _PERCENT.match(text)
        if not match:
            raise ValueError(f"compares a part with {text!r}; allowed is a percentage, as in 80%")
        return float(match[1]) / 100
    if unit == "count":
        if not text.isdecimal():
            raise ValueError(f"compares a number with {text!r}; allowed is a whole number, as in 0")
        return float(text)
    try:
        return float(units.parse_size(text)) if unit == "bytes" else units.parse_rate(text)
    except ValueError as error:
        raise ValueError(f"compares with a value that {error}") from error


def _near(name: str, allowed: dict[str, str] | dict[str, tuple[Unit, str]]) -> str:
    near = get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
