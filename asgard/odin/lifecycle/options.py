"""What a call of `asgard odin` allows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from asgard.odin import targets

if TYPE_CHECKING:
    from asgard.odin.spec.model import StackSpec

EngineName = Literal["embedded", "pulumi"]


@dataclass(frozen=True)
class OdinOptions:
    """`allow_data_loss`: topics that may lose records. `confirm`: the name of a protected context, or of the stack to
    destroy."""

    allow_data_loss: frozenset[str] = frozenset()
    confirm: str | None = None
    engine: EngineName = "embedded"

    def fitting(self, spec: StackSpec | None, types: Iterable[str] = ()) -> OdinOptions:
        """The same, with the engine that the stack needs: resources of a cloud, and a stack file with `engine`, require the
        Pulumi CLI. `types` are those of the state, if there is no stack file."""
        needs = spec is not None and (targets.of(spec.target).needs_cli or spec.engine is not None)
        return replace(self, engine="pulumi") if needs or any(map(targets.cloud_of, types)) else self

    def allowing(self, topics: frozenset[str]) -> OdinOptions:
        """The same, and these topics may lose records too."""
        return replace(self, allow_data_loss=self.allow_data_loss | topics)
