"""The nearest request that would be allowed: what to change, as little as possible, so that policy says yes.

It tries the edges of the rules themselves (the 24 of `partitions > 24`), one field, then two, then three, and judges each try with
the same policy; so what it offers has passed. Tags, operations and a topic's owner are never changed: that would
circumvent a rule, not give a nearer request.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import replace
from typing import Any

from asgard.bifrost.ask import AccessWant, Ask, ChangeWant, Item, TopicWant, UserWant
from asgard.bifrost.policy.fields import Value
from asgard.bifrost.policy.rules import BUILT_IN, Policy
from asgard.bifrost.policy.verdicts import verdict_of
from asgard.bifrost.policy.world import World, common_facts, facts_of, usage_of
from asgard.bifrost.teams import Budget, Usage

_EDITABLE = {
    TopicWant: ("name", "partitions", "replication", "min_isr", "retention", "throughput"),
    UserWant: ("name", "produce_quota", "consume_quota"),
    AccessWant: ("for",),
    ChangeWant: ("partitions", "min_isr", "retention", "throughput"),
}
_ATTRIBUTE = {"retention": "retention_ms"}
_TRIES = 1000
_LOOKS = 20_000
"""A search tries so many changes, and judges so many items for them, at most: a person waits for it."""
_TIME = AccessWant("", "")
"""Stands for how long access lasts: the same for all access of a request."""


def nearest_that_passes(policy: Policy, ask: Ask, world: World) -> Ask | None:
    """A request near this one that the policy allows; None if none is found."""
    if _too_much_at_any_size(ask, world):
        return None
    current, bad = ask, _bad(policy, ask, world)
    # Each try judges again what is not allowed: the more that is, the fewer tries.
    tries = iter(range(min(_TRIES, _LOOKS // max(1, len(bad)))))
    while bad:
        better = _step(policy, current, world, bad, tries)
        if better is None:
            return None
        current, bad = better
    return current


def _bad(policy: Policy, ask: Ask, world: World, among: Container[int] | None = None) -> list[int]:
    """Which items are not allowed, of all or `among` some."""
    common = common_facts(ask, world)
    return [
        i
        for i, item in enumerate(ask.items())
        if (among is None or i in among) and verdict_of(policy, item, ask, world, common).outcome != "allow"
    ]


def _too_much_at_any_size(ask: Ask, world: World) -> bool:
    """Whether the budget does not even have room for each topic with one partition and each user: no other size would help."""
    sizes = ((len(ask.topics), world.used.partitions, world.budget.partitions),
             (len(ask.users), world.used.users, world.budget.users))  # fmt: skip
    return any(least and limit is not None and used + least > limit for least, used, limit in sizes)


def _step(policy: Policy, ask: Ask, world: World, bad: list[int], tries: Iterator[int]) -> tuple[Ask, list[int]] | None:
    """The nearest request of which fewer items are not allowed, and those."""
    among = frozenset(bad)
    for depth in (1, 2, 3):
        found = []
        for _, (changed, distance) in zip(tries, _edits(policy, ask, world, bad, depth), strict=False):
            left = _bad(policy, changed, world, among)
            if len(left) < len(bad):
                found.append((len(left), distance, changed))
        for _, _, changed in sorted(found, key=lambda f: f[:2]):
            left = _bad(policy, changed, world)  # what was allowed may not be any more
            if len(left) < len(bad):
                return changed, left
    return None


def _edits(policy: Policy, ask: Ask, world: World, bad: list[int], depth: int) -> Iterator[tuple[Ask, float]]:
    """The request with so many fields of one of its bad items changed, and how far it is from the request as it was."""
    common, used = common_facts(ask, world), world.used + usage_of(ask, world)
    for key, index, item in _places(ask, bad):
        if item is _TIME:
            facts: Mapping[str, Value] = {"for": math.inf if ask.lasts_s is None else ask.lasts_s * 1000}
        else:
            facts = facts_of(item, ask, world, common)[1]
        options = {
            name: _names(item, ask, world) if name == "name" else _candidates(policy, name, item, facts, used, world)
            for name in _EDITABLE[type(item)]
        }
        names = [name for name, values in options.items() if values]
        for chosen in itertools.combinations(names, depth):
            for values in itertools.product(*(options[name] for name in chosen)):
                changed = _changed(ask, key, index, item, dict(zip(chosen, values, strict=True)))
                yield changed, _distance(ask, changed, chosen, item, values)


def _places(ask: Ask, bad: list[int]) -> Iterator[tuple[str, int, Item]]:
    judged = list(ask.items())
    wrong = {id(judged[i]) for i in bad}
    if any(isinstance(judged[i], AccessWant) for i in bad):
        yield "", 0, _TIME
    for key in ("topics", "users", "changes"):
        for index, item in enumerate(getattr(ask, key)):
            if id(item) in wrong:
                yield key, index, item


def _changed(ask: Ask, key: str, index: int, item: Item, values: dict[str, Any]) -> Ask:
    values = dict(values)
    if "for" in values:
        ask = replace(ask, lasts_s=values.pop("for") / 1000)
    if not values or not key:
        return ask
    if "name" in values:
        ask = _renamed(ask, getattr(item, "name", ""), values["name"], isinstance(item, TopicWant))
    items: list[Any] = list(getattr(ask, key))
    items[index] = replace(items[index], **{_ATTRIBUTE.get(n, n): v for n, v in values.items()})
    instead: Any = {key: tuple(items)}
    return replace(ask, **instead)


def _renamed(ask: Ask, old: str, new: str, topic: bool) -> Ask:
    """Use the new name in the request's other items too."""

    def swap(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    if topic:
        users = tuple(replace(u, produce=swap(u.produce), consume=swap(u.consume)) for u in ask.users)
        return replace(
            ask, users=users, access=tuple(replace(a, topic=new if a.topic == old else a.topic) for a in ask.access)
        )
    users = tuple(replace(u, groups=swap(u.groups)) for u in ask.users)
    access = tuple(replace(a, user=new if a.user == old else a.user, groups=swap(a.groups)) for a in ask.access)
    return replace(ask, users=users, access=access)


def _candidates(
    policy: Policy, name: str, item: Item, facts: Mapping[str, Value], used: Usage, world: World
) -> list[Any]:
    """Values worth trying: the edges of the rules that compare this field, and what is left of the budget."""
    edges: set[float] = set()
    for rule in (*BUILT_IN, *policy.rules):
        for c in rule.when:
            value: Any = facts.get(str(c.value)) if c.is_field else c.value
            if c.field == name and isinstance(value, int | float) and value != math.inf:
                edges |= (
                    {value, value - 1, value + 1}
                    if name not in ("retention", "for")
                    else {value, value - 1000, value + 1000}
                )
            if c.is_field and c.value == name:
                other = facts.get(c.field)
                edges |= {other} if isinstance(other, int | float) and other != math.inf else set()
    if isinstance(item, TopicWant | ChangeWant):
        edges |= _left_by_budget(name, facts, used, world.budget)
    values = sorted(
        {int(e) if name not in ("throughput", "produce_quota", "consume_quota") else e for e in edges if e >= 1}
    )
    return [v for v in values if v != facts.get(name)]


def _left_by_budget(name: str, facts: Mapping[str, Value], used: Usage, budget: Budget) -> set[float]:
    now: Any = facts.get(name)
    if now is None:  # a topic that is not there has no size
        return set()
    found: set[float] = set()
    if name == "partitions" and budget.partitions is not None:
        found.add(float(now - (used.partitions - budget.partitions)))
    if name == "throughput" and budget.throughput is not None:
        found.add(float(now - (used.throughput - budget.throughput)))
    storage: Any = facts.get("storage")
    if name in ("throughput", "retention") and budget.storage is not None and storage and now != math.inf:
        part = (storage - (used.storage - budget.storage)) / storage
        step = 3_600_000 if name == "retention" else 1
        found.add(math.floor(now * part / step) * step)
    return {value for value in found if value > 0}


def _names(item: Item, ask: Ask, world: World) -> list[str]:
    name = getattr(item, "name", "")
    tidy = re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")
    found = [tidy]
    for space in world.team.namespaces:
        own = tidy.removeprefix(space)
        base = own.removeprefix(f"{ask.team}.").removeprefix(f"{ask.team}-")
        found += [space + own, space + base, space + base.replace(".", "-"), space + base.replace("-", ".")]
    versions = [f"{n}.v1" for n in found if not re.search(r"\.v[0-9]+$", n)]
    return [
        n for n in dict.fromkeys([*found, *versions, *(f"{n}-2" for n in found)]) if n and n != name and n[-1].isalnum()
    ]


def _distance(ask: Ask, changed: Ask, chosen: tuple[str, ...], item: Item, values: tuple[Any, ...]) -> float:
    total = float(len(chosen))
    for name, value in zip(chosen, values, strict=True):
        if name == "name":
            total += 0.1 * abs(len(value) - len(getattr(item, "name", "")))
            continue
        before = (
            ask.lasts_s * 1000 if name == "for" and ask.lasts_s else getattr(item, _ATTRIBUTE.get(name, name), None)
        )
        if isinstance(before, int | float) and before > 0:
            total += abs(math.log(value / before))
        else:
            total += 1 / (1 + math.log1p(value))  # nothing was said, or for ever: the largest that passes
    return total
