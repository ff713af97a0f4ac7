"""The rules that a stack on AWS must meet before anything changes, and its cost: taken from the program, without an
account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import entry_points

from asgard.core import events
from asgard.core.errors import Failed, Refused, WrongUsage
from asgard.odin import program as programs
from asgard.odin.spec.aws import AwsSettings
from asgard.odin.spec.model import StackSpec
from asgard.odin.targets.aws import cost, guardrails
from asgard.odin.targets.aws.declare import declare
from asgard.odin.targets.aws.guardrails import Breach, Declared, Rule

GROUP = "asgard.odin.guardrails"
"""The entry points by which a package adds rules: each is a `Rule`."""


@dataclass(frozen=True)
class Review:
    """Rules with what violates them, those that the stack file waives with the reason, and the parts of the monthly
    cost."""

    rules: dict[str, str]
    breaches: list[Breach]
    waived: dict[str, str]
    resources: int
    cost: list[cost.Line]


def review(spec: StackSpec) -> Review:
    """Check every resource that the stack declares. Raises WrongUsage for a stack that is not on AWS, or a waiver of an
    unknown rule."""
    given = spec.place
    if not isinstance(given, AwsSettings):
        raise WrongUsage(
            f"stack {spec.name} is not on AWS (target: {spec.target})", "Guardrails look at AWS's resources."
        )
    rules = guardrails.RULES | guardrails.of_team(given.team) | installed()
    unknown = sorted(set(given.waived) - set(rules))
    if unknown:
        raise WrongUsage(
            f"aws.waive names {unknown[0]!r}, which is not a guardrail", f"Guardrails: {', '.join(rules)}."
        )
    # A program with the same inputs each time: no passwords, and an archive of Kafka that is never packed.
    program = programs.program(spec, programs.declared(spec, {}), None, lambda version: (__file__, "0" * 64))
    declared = declare(program, given.region)
    factors = {topic.name: topic.replication for topic in spec.topics}
    stack = guardrails.Stack(given.environment, spec.kafka.min_insync_replicas, factors, spec.name, given.region)
    return Review(
        {name: (rule.__doc__ or "").strip().partition("\n")[0] for name, rule in rules.items()},
        guardrails.review(declared, stack, rules=rules, waived=given.waived),
        dict(given.waived),
        len(declared),
        cost.of(spec, given),
    )


def installed() -> dict[str, Rule]:
    """The rules that packages of this environment bring, by the name of their entry point in the group `asgard.odin.guardrails`.

    Raises Failed if one can't be loaded, so that no stack is changed unchecked.
    """
    found: dict[str, Rule] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        package = entry.dist.name if entry.dist is not None else entry.value
        if entry.name in guardrails.RULES or entry.name in found:
            raise Failed(f"the guardrail {entry.name} of {package} has a name that is taken", "Give it another name.")
        try:
            rule = entry.load()
        except Exception as error:
            raise Failed(
                f"the guardrail {entry.name} of {package} can't be loaded: {type(error).__name__}: {error}",
                f"Mend the package, or remove it: pip uninstall {package}",
            ) from error
        found[entry.name] = _named(entry.name, package, rule)
    return found


def _named(name: str, package: str, rule: Rule) -> Rule:
    """The rule, wrapped so that an error inside it names it."""

    @wraps(rule)
    def asked(resources: Sequence[Declared], stack: guardrails.Stack) -> Iterator[tuple[str, str]]:
        try:
            yield from rule(resources, stack)
        except Exception as error:
            raise Failed(
                f"the guardrail {name} of {package} failed: {type(error).__name__}: {error}",
                "Nothing was changed. Mend the package, or waive the guardrail by name: aws.waive.",
            ) from error

    return asked


def refuse(spec: StackSpec) -> None:
    """Raise Refused if a guardrail is violated; waivers are reported."""
    found = review(spec)
    for name, reason in sorted(found.waived.items()):
        events.warn(f"guardrail {name} is waived: {reason}")
    if found.breaches:
        raise Refused(
            "\n".join(str(breach) for breach in found.breaches),
            "Nothing was changed. Change the stack file, or waive a guardrail by name with a reason: aws.waive.",
        )
