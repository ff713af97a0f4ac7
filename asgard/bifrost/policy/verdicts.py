"""What the rules say about each item of a request. Pure."""

from __future__ import annotations

from asgard.bifrost.ask import Ask
from asgard.bifrost.policy.rules import ItemVerdict, Policy, decide
from asgard.bifrost.policy.world import World, facts_of, owners_of


def verdicts_of(policy: Policy, ask: Ask, world: World) -> tuple[ItemVerdict, ...]:
    """What the policy says about each item. The owner's consent means that of every team whose topics are concerned."""
    found = []
    for item in ask.items():
        kind, facts = facts_of(item, ask, world)
        name = str(facts["name"])
        verdict = decide(policy, kind, facts, f"{kind} {name}")
        if "owner" in verdict.by:
            owners = owners_of(name, world) if kind in ("access", "change", "delete") else {ask.team}
            named = {f"team:{owner}" if owner else "data-engineer" for owner in owners or {""}}
            verdict = ItemVerdict(
                verdict.outcome,
                verdict.rule,
                verdict.because,
                tuple(sorted({*(b for b in verdict.by if b != "owner"), *named})),
                verdict.subject,
            )
        found.append(verdict)
    return tuple(found)
