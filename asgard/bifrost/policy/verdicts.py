"""What the rules say about each item of a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from asgard.bifrost.ask import Ask, Item
from asgard.bifrost.policy.fields import Value
from asgard.bifrost.policy.rules import ItemVerdict, Policy, decide
from asgard.bifrost.policy.world import World, common_facts, facts_of, owners_of


def verdicts_of(policy: Policy, ask: Ask, world: World) -> tuple[ItemVerdict, ...]:
    """What the policy says about each item."""
    common = common_facts(ask, world)
    return tuple(verdict_of(policy, item, ask, world, common) for item in ask.items())


def verdict_of(policy: Policy, item: Item, ask: Ask, world: World, common: Mapping[str, Value]) -> ItemVerdict:
    """What the policy says about one item. The owner's consent means that of every team whose topics are concerned."""
    kind, facts = facts_of(item, ask, world, common)
    name = str(facts["name"])
    verdict = decide(policy, kind, facts, f"{kind} {name}")
    if "owner" not in verdict.by:
        return verdict
    owners = owners_of(name, world) if kind in ("access", "change", "delete") else {ask.team}
    named = {f"team:{owner}" if owner else "data-engineer" for owner in owners or {""}}
    return replace(verdict, by=tuple(sorted({*(b for b in verdict.by if b != "owner"), *named})))
