"""What a program wants of one resource, what it gets back, and the resource as the state holds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from asgard.odin.engine.graph import Record
from asgard.odin.engine.steps import PROVIDER_PREFIX
from asgard.odin.resources.values import Values

if TYPE_CHECKING:
    from asgard.odin.engine.deployment import Deployment


@dataclass
class Goal:
    """What a program wants of one resource."""

    urn: str
    type: str
    custom: bool
    inputs: Values
    parent: str = ""
    provider: str = ""
    """Reference `urn::id` of its provider resource."""
    dependencies: list[str] = field(default_factory=list)
    property_dependencies: dict[str, list[str]] = field(default_factory=dict)
    protect: bool = False
    ignore_changes: list[str] = field(default_factory=list)
    replace_on_changes: list[str] = field(default_factory=list)
    delete_before_replace: bool | None = None
    additional_secret_outputs: list[str] = field(default_factory=list)
    import_id: str = ""
    retain_on_delete: bool = False
    deleted_with: str = ""

    @property
    def is_provider(self) -> bool:
        """Whether it is a provider's configuration rather than an actual resource."""
        return self.type.startswith(PROVIDER_PREFIX)


Program = Callable[[], Awaitable[None] | None]
"""A Pulumi program: a function that registers resources."""


class DesiredStack(NamedTuple):
    """The desired stack: a program; `goals` beyond it, whose inputs are all known and whose providers are the program's
    (their references may lack the id); and `keep`, URNs in the state that the caller knows to be right and that are not
    named again."""

    program: Program
    goals: Sequence[Goal] = ()
    keep: Collection[str] = ()


@dataclass
class Registered:
    """What the program gets back. An empty id is not known yet."""

    urn: str
    id: str = ""
    outputs: Values = field(default_factory=dict)
    outcome: Literal["done", "failed", "skipped"] = "done"


def skeleton(goal: Goal) -> Record:
    """Just enough of the record to find its dependencies."""
    return {
        "urn": goal.urn,
        "parent": goal.parent,
        "provider": goal.provider,
        "dependencies": goal.dependencies,
        "propertyDependencies": goal.property_dependencies,
    }


def record_of(
    run: Deployment, goal: Goal, inputs: Values, outputs: Values | None, id: str | None, old: Record | None
) -> Record:
    """The resource as the state holds it: Pulumi's keys, in Pulumi's order, without empty values."""
    encode = run.vault.encode if not run.preview else _unencoded
    optional: dict[str, Any] = {
        "inputs": encode(goal.urn, inputs),
        "outputs": None if outputs is None else encode(goal.urn, outputs),
        "parent": goal.parent,
        "protect": goal.protect,
        "dependencies": sorted(goal.dependencies),
        "provider": goal.provider,
        "propertyDependencies": {key: sorted(urns) for key, urns in sorted(goal.property_dependencies.items())},
        "additionalSecretOutputs": goal.additional_secret_outputs,
        "importID": (old or {}).get("importID"),
        "retainOnDelete": goal.retain_on_delete,
        "deletedWith": goal.deleted_with,
        "sourcePosition": (old or {}).get("sourcePosition"),
        "stackTrace": (old or {}).get("stackTrace"),
        "ignoreChanges": goal.ignore_changes,
        "replaceOnChanges": goal.replace_on_changes,
    }
    record: Record = {"urn": goal.urn, "custom": goal.custom, **({"id": id} if id else {}), "type": goal.type}
    record.update((key, value) for key, value in optional.items() if value)
    return record


def _unencoded(urn: str, properties: Values) -> Values:
    return properties
