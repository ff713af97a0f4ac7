"""The nearest request that would be allowed: what to change, as little as possible, so that policy says yes.

It tries the edges of the rules themselves (the 24 of `partitions > 24`), one field, then two, then three, and judges each try with
the same policy; so what it offers has passed. Tags, operations and a topic's owner are never changed: that would
circumvent a rule, not give a nearer request.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from asgard.bifrost.ask import AccessWant, Ask, ChangeWant, Item, TopicWant, UserWant
from asgard.bifrost.policy.rules import BUILT_IN, Policy
from asgard.bifrost.policy.verdicts import verdicts_of
from asgard.bifrost.policy.world import World, facts_of, usage_of

_EDITABLE = {
    TopicWant: ("name", "partitions", "replication", "min_isr", "retention", "throughput"),
    UserWant: ("name", "produce_quota", "consume_quota"),
    AccessWant: ("for",),
    ChangeWant: ("partitions", "min_isr", "retention", "throughput"),
}
_ATTRIBUTE = {"retention": "retention_ms"}
_TRIES = 1000


def nearest_that_passes(policy: Policy, ask: Ask, world: World) -> Ask | None:
    """A request near this one that the policy allows; None if none is found."""
    if _too_much_at_any_size(ask, world):
        return None

    def allowed(candidate: Ask) -> int:
        return sum(v.outcome != "allow" for v in verdicts_of(policy, candidate, world))

    bad, current = allowed(ask), ask
    for _ in range(8):  # each round fixes at least one item, or gives up
        better = _step(policy, current, world, bad, allowed)
        if better is None:
            return None
        current, bad = better
        if bad == 0:
            return current
    return None


def _too_much_at_any_size(ask: Ask, world: World) -> bool:
    """Whether the budget does not even have room for each topic with one partition and each user: no other size would help."""
    sizes = ((len(ask.topics), world.used.partitions, world.budget.partitions),
             (len(ask.users), world.used.users, world.budget.users))  # fmt: skip
    return any(least and limit is not None and used + least > limit for least, used, limit in sizes)


def _step(policy: Policy, ask: Ask, world: World, bad: int, allowed: Any) -> tuple[Ask, int] | None:
    tries = 0
    for depth in (1, 2, 3):
        found: list[tuple[float, int, Ask]] = []
        for key, index, item in _places(ask):
            options = {name: _candidates(policy, name, item, ask, world) for name in _EDITABLE[type(item)]}
            names = [name for name, values in options.items() if values]
            for chosen in itertools.combinations(names, depth):
                for values in itertools.product(*(options[name] for name in chosen)):
                    tries += 1
                    if tries > _TRIES:
                        break
                    changed = _changed(ask, key, index, item, dict(zip(chosen, values, strict=True)))
                    left = allowed(changed)
                    if left < bad:
                        found.append((_distance(ask, changed, chosen, item, values), left, changed))
        if found:
            fewest = min(left for _, left, _ in found)
            _, left, best = min((f for f in found if f[1] == fewest), key=lambda f: f[0])
            return best, left
    return None


def _places(ask: Ask) -> Iterator[tuple[str, int, Item]]:
    for key in ("topics", "users", "access", "changes"):
        for index, item in enumerate(getattr(ask, key)):
            yield key, index, item
    if not ask.access and any(u.produce or u.consume for u in ask.users):
        yield "", 0, AccessWant("", "")  # the time that access of new users lasts


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


def _candidates(policy: Policy, name: str, item: Item, ask: Ask, world: World) -> list[Any]:
    """Values worth trying: the edges of the rules that compare this field, and what is left of the budget."""
    if name == "name":
        return _names(item, ask, world)
    now = facts_of(item, ask, world)[1].get(name) if not (isinstance(item, AccessWant) and not item.topic) else None
    if isinstance(item, AccessWant) and name == "for":
        now = math.inf if ask.lasts_s is None else ask.lasts_s * 1000
    edges: set[float] = set()
    for rule in (*BUILT_IN, *policy.rules):
        for c in rule.when:
            value: Any = (
                facts_of(item, ask, world)[1].get(str(c.value))
                if c.is_field and item != AccessWant("", "")
                else c.value
            )
            if c.field == name and isinstance(value, int | float) and value != math.inf:
                edges |= (
                    {value, value - 1, value + 1}
                    if name not in ("retention", "for")
                    else {value, value - 1000, value + 1000}
                )
            if c.is_field and c.value == name:
                other = facts_of(item, ask, world)[1].get(c.field)
                edges |= {other} if isinstance(other, int | float) and other != math.inf else set()
    edges |= _left_by_budget(name, item, ask, world)
    values = sorted(
        {int(e) if name not in ("throughput", "produce_quota", "consume_quota") else e for e in edges if e >= 1}
    )
    return [v for v in values if v != now]


def _left_by_budget(name: str, item: Item, ask: Ask, world: World) -> set[float]:
    if not isinstance(item, TopicWant | ChangeWant):
        return set()
    used, budget, facts = world.used + usage_of(ask, world), world.budget, facts_of(item, ask, world)[1]
    now: Any = facts.get(name)
    found: set[float] = set()
    if name == "partitions" and budget.partitions is not None:
        found.add(float(now - (used.partitions - budget.partitions)))
    if name == "throughput" and budget.throughput is not None:
        found.add(float(now - (used.throughput - budget.throughput)))
    storage: Any = facts.get("storage")
    if name in ("throughput", "retention") and budget.storage is not None and storage and now not in (None, math.inf):
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
