"""What an engine asks of a provider, in plain values: Pulumi's resource provider protocol without its messages.

The embedded engine calls a provider in process; `serve.py` is the same calls over gRPC, for the Pulumi CLI. Refusals and failures
are raised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from asgard.odin.resources.values import Values


@dataclass(frozen=True)
class CheckedInputs:
    """Inputs with defaults, or their problems: property (empty if it isn't about one) and reason."""

    inputs: Values
    wrong: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Difference:
    """What a change of inputs means. `changed` is None if the provider can't tell: the inputs then decide.

    `detail`: property path to `add`, `update` or `delete`, or one of these with `-replace`; `names` are the properties
    it is about, `replaces` those that can't be changed in place; `delete_first`: the old one would conflict with the
    new one.
    """

    changed: bool | None
    names: Sequence[str] = ()
    replaces: Sequence[str] = ()
    delete_first: bool = False
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ResourceState:
    """A resource as it is. `id` is empty in a preview; `inputs` are what a program would have to declare (only `read`
    sets them)."""

    id: str
    outputs: Values
    inputs: Values = field(default_factory=dict)


class Provider(Protocol):
    """One provider, for one provider resource. `adopting` and other permits are set when it is created."""

    def schema(self) -> str:
        """The package schema, JSON."""
        ...

    async def check_config(self, inputs: Values) -> CheckedInputs:
        """Whether the provider's own configuration can be used."""
        ...

    async def diff_config(self, old: Values, new: Values) -> Difference:
        """What differs between two configurations."""
        ...

    async def configure(self, inputs: Values) -> None:
        """Take the configuration; a part of it may be unknown in a preview."""
        ...

    async def check(self, urn: str, old: Values, new: Values) -> CheckedInputs:
        """Inputs with defaults, or all their problems."""
        ...

    async def diff(self, urn: str, id: str, outputs: Values, inputs: Values, ignored: Collection[str]) -> Difference:
        """What differs between the recorded outputs and the wanted inputs."""
        ...

    async def create(self, urn: str, inputs: Values, *, preview: bool) -> ResourceState:
        """Create it. In a preview, return what it will be, with `UNKNOWN` for what only the real run will tell."""
        ...

    async def read(self, urn: str, id: str, outputs: Values, inputs: Values) -> ResourceState | None:
        """Its current state; None if it is gone. Without recorded `outputs` it is an import by id; `inputs` are then those
        that are wanted, if they are known."""
        ...

    async def update(self, urn: str, id: str, old: Values, new: Values, *, preview: bool) -> Values:
        """Change it in place, from the recorded outputs to the wanted inputs; its outputs."""
        ...

    async def delete(self, urn: str, id: str, outputs: Values) -> None:
        """Delete it."""
        ...

    async def close(self) -> None:
        """Close what it holds."""
        ...


def type_of(urn: str) -> str:
    """The type of the resource that a URN names, without its parents'."""
    return urn.split("::")[2].rpartition("$")[2]


def name_of(urn: str) -> str:
    """The name that the program gave it."""
    return urn.split("::", 3)[3]
