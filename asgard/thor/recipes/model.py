"""A recipe as plain data: what starts it, what must hold, its steps, and the values of its parameters."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asgard.core.condition import Condition
from asgard.core.schema.recipe import StepModel


@dataclass(frozen=True)
class RecipeStep:
    """One step: its number from 1, its action, and its arguments (a model of `core.schema.recipe`)."""

    number: int
    action: str
    given: StepModel

    @property
    def name(self) -> str:
        """Its name in the log."""
        return self.given.name or self.action


@dataclass(frozen=True)
class Parameter:
    """A value to give. `default` is None if it is required; the recipe is then checked with `example`."""

    about: str
    default: Any = None
    example: Any = None


@dataclass(frozen=True)
class Recipe:
    """A recipe with the values of its parameters. `text` is its file; times are seconds."""

    name: str
    about: str
    file: Path
    text: str = field(repr=False)
    schedule: str | None = None
    event: str | None = None
    event_where: Mapping[str, Sequence[str]] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    when: tuple[Condition, ...] = ()
    timeout_s: float | None = None
    steps: tuple[RecipeStep, ...] = ()
    on_failure: tuple[RecipeStep, ...] = ()

    @property
    def trigger(self) -> str:
        """What starts it, in words."""
        found = [f"cron {self.schedule}"] if self.schedule else []
        only = ", ".join(f"{name}: {' or '.join(values)}" for name, values in self.event_where.items())
        found += [f"event {self.event}" + (f" ({only})" if only else "")] if self.event else []
        return ", ".join(found) or "by hand"

    @property
    def digest(self) -> str:
        """Identifies this recipe with these values."""
        values = json.dumps(self.values, sort_keys=True, default=str)
        return hashlib.sha256(f"{self.text}\0{values}".encode()).hexdigest()[:16]

    @property
    def needed(self) -> list[str]:
        """Parameters that must be given."""
        return [name for name, parameter in self.parameters.items() if parameter.default is None]

    @property
    def programs(self) -> list[list[str]]:
        """The commands that its steps run on this machine."""
        given = (step.given for step in (*self.steps, *self.on_failure))
        return [list(command) for g in given if (command := getattr(g, "command", None))]
