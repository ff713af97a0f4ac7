"""How the cluster of a stack is created: one `StackTarget` for each word that a stack file may say under `target`.

What the file may say with a target is `asgard.odin.spec.targets`; where its brokers run is `asgard.machines.targets`.
These three registries, and the target's section in `asgard.core.schema.stack`, are all that a new target changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from asgard.odin.resources.kinds import BROKER

if TYPE_CHECKING:
    from asgard.core.schema.stack import TargetName
    from asgard.kafka.connection import Connection
    from asgard.odin.engine.steps import Step
    from asgard.odin.spec.model import StackSpec
    from asgard.odin.targets.reached import Pack, Reached


class StackTarget(Protocol):
    """The target's part of a stack's Pulumi program, and what only its stacks have."""

    @property
    def needs_cli(self) -> bool:
        """Whether its resources need plugins, and so the Pulumi CLI."""
        ...

    @property
    def has_guardrails(self) -> bool:
        """Whether its resources are checked by guardrails before anything changes."""
        ...

    def register(self, spec: StackSpec, external: Connection | None, pack: Pack | None) -> Reached:
        """Register the stack's cluster. `external` is a cluster that exists already; `pack` in place of the real archive."""
        ...

    def outdates(self, steps: Iterable[Step], stack: str) -> set[int]:
        """The nodes whose machine a plan makes outdated."""
        ...

    def applied(self, spec: StackSpec) -> None:
        """Note what the stack's machines are found by, once it is applied."""
        ...


def of(name: TargetName) -> StackTarget:
    """A target by its word."""
    match name:
        case "local":
            from asgard.odin.targets.local import LocalTarget

            return LocalTarget()
        case "external":
            from asgard.odin.targets.external import ExternalTarget

            return ExternalTarget()
        case "aws-ec2" | "aws-msk":
            from asgard.odin.targets.aws.target import AwsTarget

            return AwsTarget(on_instances=name == "aws-ec2")


class Cloud(NamedTuple):
    """A cloud whose resources Pulumi's plugin reads. `changed` says in words what was changed by hand: given the type, the
    name, and the properties before and after (None: deleted)."""

    name: str
    changed: Callable[[str, str, dict[str, Any] | None, dict[str, Any] | None], str]


def cloud_of(token: str) -> Cloud | None:
    """The cloud of a type of resource; None for Asgard's own types."""
    if token.startswith("aws:"):
        from asgard.odin.targets.aws import words

        return Cloud("AWS", words.changed)
    return None


def holds_properties(token: str) -> bool:
    """Whether resources of a type hold the brokers' server.properties."""
    return token in (BROKER, "aws:ec2/launchTemplate:LaunchTemplate", "aws:msk/configuration:Configuration")
