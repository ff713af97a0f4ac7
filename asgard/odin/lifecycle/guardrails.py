"""What a stack on AWS must keep before anything is changed, and what it would cost: asked of the program, without an account."""

from __future__ import annotations

from dataclasses import dataclass

from asgard.core import events
from asgard.core.errors import Refused, WrongUsage
from asgard.odin import program as programs
from asgard.odin.spec.model import StackSpec
from asgard.odin.targets.aws import cost, guardrails
from asgard.odin.targets.aws.declare import declare
from asgard.odin.targets.aws.guardrails import Breach


@dataclass(frozen=True)
class Review:
    """Rules with what breaks them, those that the stack file waives with the reason, and the parts of a month's cost."""

    rules: dict[str, str]
    breaches: list[Breach]
    waived: dict[str, str]
    resources: int
    cost: list[cost.Line]


def review(spec: StackSpec) -> Review:
    """Look at every resource that the stack declares. Raises WrongUsage for a stack that is not on AWS, or a waiver of no rule."""
    given = spec.aws
    if given is None:
        raise WrongUsage(
            f"stack {spec.name} is not on AWS (target: {spec.target})", "Guardrails look at AWS's resources."
        )
    unknown = sorted(set(given.waived) - set(guardrails.RULES))
    if unknown:
        raise WrongUsage(
            f"aws.waive names {unknown[0]!r}, which is no guardrail", f"There are: {', '.join(guardrails.RULES)}."
        )
    # A program with the same inputs each time: no passwords, and an archive of Kafka that nobody packs.
    program = programs.program(spec, {}, None, (), lambda version: (__file__, "0" * 64))
    declared = declare(program, given.region)
    stack = guardrails.Stack(
        given.environment, spec.kafka.min_insync_replicas, {topic.name: topic.replication for topic in spec.topics}
    )
    lines = (
        cost.msk(given, spec.kafka.brokers, len(spec.users))
        if spec.target == "aws-msk"
        else cost.ec2(given, spec.kafka.brokers, spec.kafka.controllers)
    )
    return Review(
        {name: (rule.__doc__ or "").strip() for name, rule in guardrails.RULES.items()},
        guardrails.review(declared, stack, waived=given.waived),
        dict(given.waived),
        len(declared),
        lines,
    )


def refuse(spec: StackSpec) -> None:
    """Raise Refused where a guardrail is broken; what is waived is said."""
    found = review(spec)
    for name, reason in sorted(found.waived.items()):
        events.warn(f"guardrail {name} is waived: {reason}")
    if found.breaches:
        raise Refused(
            "\n".join(str(breach) for breach in found.breaches),
            "Nothing was changed. Change the stack file, or waive a guardrail by name with a reason: aws.waive.",
        )
