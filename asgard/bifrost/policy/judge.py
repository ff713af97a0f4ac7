"""The decision about a whole request: the worst of its items, with the rule that decided and the nearest request that passes."""

from __future__ import annotations

from dataclasses import dataclass

from asgard.bifrost.ask import Ask, as_request
from asgard.bifrost.policy.nearest import nearest_that_passes
from asgard.bifrost.policy.rules import ItemVerdict, Policy
from asgard.bifrost.policy.verdicts import verdicts_of
from asgard.bifrost.policy.world import World, usage_of
from asgard.bifrost.teams import Usage
from asgard.core.schema.bifrost_policy import Outcome

_SEVERITY = {"allow": 0, "approval": 1, "deny": 2}


@dataclass(frozen=True)
class Judgement:
    """What policy says. `by` names who approves: `data-engineer` or `team:NAME`; `nearest` is a request that would be allowed."""

    outcome: Outcome
    rule: str
    because: str
    by: tuple[str, ...]
    items: tuple[ItemVerdict, ...]
    usage: Usage
    policy_version: str
    nearest: Ask | None = None

    @property
    def sentence(self) -> str:
        """One line for a person."""
        said = {"allow": "allowed", "deny": "denied", "approval": f"needs approval by {' and '.join(self.by)}"}
        return f"{said[self.outcome]} by rule {self.rule}: {self.because}"

    def document(self) -> dict[str, object]:
        """Plain data, for the store and for programs."""
        return {
            "outcome": self.outcome,
            "rule": self.rule,
            "because": self.because,
            "by": list(self.by),
            "policy": self.policy_version,
            "items": [
                {"subject": v.subject, "outcome": v.outcome, "rule": v.rule, "because": v.because} for v in self.items
            ],
            "nearest": None if self.nearest is None else as_request(self.nearest),
        }


def judge(policy: Policy, ask: Ask, world: World, *, suggest: bool = True) -> Judgement:
    """Judge a request. Pure; `suggest` looks for the nearest request that passes if this one does not."""
    verdicts = verdicts_of(policy, ask, world)
    deciding = max(verdicts, key=lambda v: _SEVERITY[v.outcome])
    by = (
        tuple(sorted({name for v in verdicts if v.outcome == "approval" for name in v.by}))
        if deciding.outcome == "approval"
        else ()
    )
    wanted = suggest and deciding.outcome != "allow"
    nearest = nearest_that_passes(policy, ask, world) if wanted else None
    return Judgement(
        deciding.outcome,
        deciding.rule,
        deciding.because,
        by,
        verdicts,
        usage_of(ask, world),
        policy.version,
        nearest,
    )
