"""The targets `aws-ec2` and `aws-msk`, as Odin's lifecycle knows them."""

from __future__ import annotations

from collections.abc import Iterable

from asgard.kafka.connection import Connection
from asgard.machines.aws import target as machines
from asgard.odin.engine.steps import Step
from asgard.odin.spec.model import StackSpec
from asgard.odin.targets.aws import program
from asgard.odin.targets.reached import Pack, Reached

TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


class AwsTarget:
    """See the module. `on_instances`: the brokers are instances of the stack's own."""

    needs_cli = True
    has_guardrails = True

    def __init__(self, *, on_instances: bool) -> None:
        self._on_instances = on_instances

    def register(self, spec: StackSpec, external: Connection | None, pack: Pack | None) -> Reached:
        """The network, keys, buckets and alarms, and the cluster."""
        from asgard.odin.targets.aws import distribution

        register = program.on_instances if self._on_instances else program.on_msk
        return register(spec, pack or distribution.packed)

    def outdates(self, steps: Iterable[Step], stack: str) -> set[int]:
        """The nodes whose launch template changes. Changed tags of the template itself need no new machine."""
        changed = (s for s in steps if s.type == TEMPLATE and s.op in ("update", "replace"))
        names = {s.name for s in changed if any(not path.startswith("tags") for path in s.diff)}
        numbers = (name.removeprefix(f"{stack}-") for name in names)
        return {int(number) for number in numbers if number.isdigit()}

    def applied(self, spec: StackSpec) -> None:
        """Note the region of the instances."""
        if self._on_instances:
            machines.note(spec.name, program.settings(spec).region)
