"""The target `external`: the program creates nothing but what is in Kafka."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from asgard.kafka.connection import Connection
from asgard.odin.engine.steps import Step
from asgard.odin.spec.model import StackSpec
from asgard.odin.targets.reached import Pack, Reached


class ExternalTarget:
    """See the module."""

    needs_cli = False
    has_guardrails = False

    def register(self, spec: StackSpec, external: Connection | None, pack: Pack | None) -> Reached:
        """Only the provider's inputs."""
        import pulumi

        assert external is not None
        inputs: dict[str, Any] = {"bootstrapServers": external.bootstrap_servers}
        if external.properties:
            inputs["clientProperties"] = pulumi.Output.secret(dict(external.properties))
        if spec.external is not None and spec.external.cluster_id is not None:
            inputs["clusterId"] = spec.external.cluster_id
        return Reached(inputs, outputs={"bootstrapServers": external.bootstrap_servers})

    def outdates(self, steps: Iterable[Step], stack: str) -> set[int]:
        """None."""
        return set()

    def applied(self, spec: StackSpec) -> None:
        """Nothing to note."""
