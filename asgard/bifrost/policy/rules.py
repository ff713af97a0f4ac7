"""Rules and their verdicts. Deny wins, then approval, then allow; the order of rules does not matter.

A rule matches if all of its conditions hold. If a condition can't be evaluated (its field is not known), the rule is unsure: a rule
that allows then does not match, one that denies or requires approval asks for approval. If no rule matches, a data engineer approves.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from asgard.bifrost.policy import fields
from asgard.bifrost.policy.fields import FIELDS, Value
from asgard.core.schema.bifrost_policy import Kind, Outcome

NO_RULE = "no-rule-matched"
DATA_ENGINEER = "data-engineer"
Facts = Mapping[str, Value]
OUTCOMES: tuple[Outcome, ...] = ("allow", "approval", "deny")
_SEVERITY = {"allow": 0, "approval": 1, "deny": 2}
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """One comparison. `value` is text, a number, a set of texts, or another field if `is_field`."""

    text: str
    field: str
    operator: str
    value: Value
    is_field: bool = False

    def holds(self, facts: Facts) -> bool | None:
        """Whether it holds; None if the field is not known."""
        left = facts.get(self.field)
        right = facts.get(str(self.value)) if self.is_field else self.value
        if left is None or right is None:
            return None
        match self.operator:
            case "has":
                return right in left  # type: ignore[operator]
            case "lacks":
                return right not in left  # type: ignore[operator]
            case "in":
                return left in right  # type: ignore[operator]
            case "not in":
                return left not in right  # type: ignore[operator]
            case "matches":
                return re.fullmatch(str(right), str(left)) is not None
            case "not matches":
                return re.fullmatch(str(right), str(left)) is None
        return _ORDER[self.operator](left, right)


@dataclass(frozen=True)
class Rule:
    """A rule. `kinds` empty: all; `by` empty: a data engineer approves. `builtin`: unsure means that it does not match."""

    name: str
    then: Outcome
    kinds: tuple[Kind, ...] = ()
    when: tuple[Condition, ...] = ()
    by: tuple[str, ...] = ()
    because: str | None = None
    builtin: bool = False

    def matches(self, kind: str, facts: Facts) -> bool | None:
        """Whether it matches; None: unsure."""
        if self.kinds and kind not in self.kinds:
            return False
        told = [condition.holds(facts) for condition in self.when]
        if False in told:
            return False
        return None if None in told else True


@dataclass(frozen=True)
class Policy:
    """The rules; the built-in ones count with every policy."""

    rules: tuple[Rule, ...] = ()

    @property
    def version(self) -> str:
        """A short hash of what the rules say, whatever their order."""
        text = "\n".join(sorted(repr(rule) for rule in self.rules))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class ItemVerdict:
    """What policy says of one item, the rule that decided, why in a sentence, and who has to approve."""

    outcome: Outcome
    rule: str
    because: str
    by: tuple[str, ...] = ()
    subject: str = ""


def condition(text: str, kinds: Iterable[str] = ()) -> Condition:
    """Read a condition. Raises ValueError with what is wrong and what is allowed."""
    name, sign, written = fields.split(text)
    if name not in FIELDS:
        from asgard.core.schema.validate import nearest

        raise ValueError(f"names {name!r}{nearest(name, FIELDS)}; allowed are {', '.join(FIELDS)}")
    field = FIELDS[name]
    if missing := [kind for kind in kinds if kind not in field.kinds]:
        raise ValueError(f"names {name!r}, which a request for {missing[0]} does not have")
    if sign not in fields.operators(field.type):
        raise ValueError(f"compares {name} with {sign!r}; allowed are {', '.join(fields.operators(field.type))}")
    tidy = " ".join(text.split())
    if sign in ("in", "not in"):
        listed = [part.strip() for part in written.strip().removeprefix("[").removesuffix("]").split(",")]
        if not written.startswith("[") or not written.endswith("]") or "" in listed:
            raise ValueError(f"compares with {written!r}; allowed is a list, as in [dev, test]")
        return Condition(tidy, name, sign, frozenset(listed))
    if sign in ("matches", "not matches"):
        try:
            re.compile(written)
        except re.error as error:
            raise ValueError(f"has {written!r}, which is not a regular expression: {error}") from error
        return Condition(tidy, name, sign, written)
    if written in FIELDS and FIELDS[written].type == field.type:
        return Condition(tidy, name, sign, written, is_field=True)
    return Condition(tidy, name, sign, fields.value(written, field.type))


def _builtin(name: str, kinds: tuple[Kind, ...], because: str, *when: str) -> Rule:
    return Rule(name, "deny", kinds, tuple(condition(text) for text in when), because=because, builtin=True)


BUILT_IN = (
    _builtin(
        "team-namespace",
        ("topic", "user"),
        "the name has to begin with a namespace of the team",
        "in_namespace == false",
    ),
    _builtin(
        "team-namespace-groups",
        ("user", "access"),
        "each consumer group has to begin with a namespace of the team",
        "groups_in_namespace == false",
    ),
    _builtin("name-is-free", ("topic", "user"), "there is one of that name", "exists == true"),
    _builtin("must-exist", ("access", "change", "delete"), "there is none of that name", "exists == false"),
    _builtin("own-users-only", ("access",), "the user is not the team's", "own_user == false"),
    _builtin("stack-file-only", ("change", "delete"), "it is defined in the stack file itself", "managed == false"),
    _builtin("own-things-only", ("change", "delete"), "it is another team's", "own == false"),
    _builtin("more-partitions-only", ("change",), "Kafka can't take partitions away", "partitions_added < 0"),
    _builtin("enough-brokers", ("topic",), "each replica needs a broker of its own", "replication > brokers"),
    _builtin(
        "replicas-for-min-isr", ("topic", "change"), "producers with acks=all could not write", "min_isr > replication"
    ),
    *(
        _builtin(f"budget-{what}", ("topic", "user", "change"), "the team's budget is used up", f"budget.{what} > 100%")
        for what in ("partitions", "storage", "throughput", "users")
    ),
)
"""Rules that hold with every policy. If a budget is used up, it has to be raised in `bifrost.yaml`; there are no exceptions."""


def decide(policy: Policy, kind: str, facts: Facts, subject: str = "") -> ItemVerdict:
    """What the policy says of one item."""
    found: list[tuple[int, Rule, bool]] = []
    for rule in (*BUILT_IN, *policy.rules):
        told = rule.matches(kind, facts)
        if told is None and (rule.builtin or rule.then == "allow"):
            continue
        if told is not False:
            found.append((_SEVERITY[rule.then if told else "approval"], rule, told is None))
    if not found:
        return ItemVerdict("approval", NO_RULE, "no rule of the policy covers it", (DATA_ENGINEER,), subject)
    worst = max(severity for severity, _, _ in found)
    # Sorted by name, so that the order of the rules does not matter, not even for the wording.
    deciding = sorted(
        ((r, unsure) for s, r, unsure in found if s == worst), key=lambda pair: (not pair[0].builtin, pair[0].name)
    )
    rule, unsure = deciding[0]
    outcome: Outcome = OUTCOMES[worst]
    by: tuple[str, ...] = ()
    if outcome == "approval":
        by = tuple(sorted({name for r, u in deciding for name in (r.by if r.by and not u else (DATA_ENGINEER,))}))
    return ItemVerdict(outcome, rule.name, because(rule, facts, unsure=unsure), by, subject)


def because(rule: Rule, facts: Facts, *, unsure: bool = False) -> str:
    """Why a rule matched, in a sentence: its own words, then the values that it looked at."""
    if unsure:
        missing = next(c for c in rule.when if c.holds(facts) is None)
        return f"{missing.field} is not known, so a person has to look ({missing.text})"
    values = ", ".join(f"{c.field} is {fields.shown(c.field, facts.get(c.field))} ({c.text})" for c in rule.when)
    return ": ".join(part for part in (rule.because, values) if part) or "it always matches"
