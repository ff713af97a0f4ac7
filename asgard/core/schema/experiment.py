"""An experiment in the form of Chaos Toolkit (its specification, version 1): what must hold, what is done, and how it is undone.

The shape only, with the keys of that form and one of Asgard's own, `asgard`, which other runners ignore. A probe's
tolerance can be several kinds of data, so it is read separately.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from asgard.core.document import shown
from asgard.core.schema.fields import EmptyList, EmptyMapping, Given, Model, OptionalText, Seconds, Text, Texts


def _pause(value: Any) -> Any:
    """Seconds, or a variable."""
    if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"is {shown(value)}; allowed are seconds (a number), or a variable, as in ${{pause}}")
    return value


def _tolerance(value: Any) -> Any:
    from asgard.core.tolerance import problem

    wrong = problem(value)
    if wrong:
        raise ValueError(wrong)
    return value


def _no_controls(value: Any) -> Any:
    raise ValueError(
        "is code around every step, which Loki does not run: a guard that is left out would be missed; "
        "use asgard.abort, or Chaos Toolkit's own runner"
    )


Pause = Annotated[Any, BeforeValidator(_pause), WithJsonSchema({"type": ["number", "string"], "minimum": 0})]
Tolerance = Annotated[
    Any,
    BeforeValidator(_tolerance),
    WithJsonSchema({"type": ["boolean", "integer", "string", "array", "object"], "examples": [True, 0, [1, 3]]}),
]
NoControls = Annotated[Any, BeforeValidator(_no_controls), WithJsonSchema({"not": {}})]


class ProviderEntry(Model):
    """What carries an activity out: a Python function, a program, or a call over HTTP."""

    type: Literal["python", "process", "http"]
    module: Annotated[str | None, Given] = Field(default=None, description="of a Python function")
    func: Annotated[str | None, Given] = None
    arguments: Any = Field(default=None, description="by name; of a program a list, a mapping, or a line for the shell")
    path: Annotated[str | None, Given] = Field(default=None, description="of a program")
    url: Annotated[str | None, Given] = None
    method: str = Field(default="GET", description="of HTTP")
    headers: Annotated[dict[str, Any], EmptyMapping] = Field(default_factory=dict)
    timeout: Any = Field(default=None, description="seconds")
    verify_tls: bool = True
    max_retries: Annotated[int, Field(ge=0)] = 0
    secrets: Annotated[list[str], EmptyList] = Field(default_factory=list)


class PausesEntry(Model):
    """Waiting around an activity, in seconds."""

    before: Pause = 0
    after: Pause = 0


class ActivityEntry(Model):
    """A probe, which looks, or an action, which does. `ref` stands for the activity of that name."""

    ref: Annotated[str | None, Given] = None
    type: Annotated[Literal["probe", "action"] | None, Given] = None
    name: OptionalText = None
    provider: Annotated[ProviderEntry | None, Given] = None
    tolerance: Tolerance = None
    pauses: Annotated[PausesEntry, EmptyMapping] = Field(default_factory=PausesEntry)
    background: bool = False
    controls: NoControls = None


class HypothesisEntry(Model):
    """What is so in a steady state: it is looked at before the method, and after it."""

    title: Text
    probes: Annotated[list[ActivityEntry], EmptyList] = Field(default_factory=list)
    controls: NoControls = None


class AbortEntry(ActivityEntry):
    """A probe that ends the run where it is out of its tolerance for so long."""

    for_: Seconds = Field(default=0.0, alias="for", description="how long it may be out of it, as in 20s")


class AsgardEntry(Model):
    """What Asgard alone reads."""

    abort: Annotated[list[AbortEntry], EmptyList] = Field(default_factory=list, description="when to end the run early")
    every: Seconds = Field(default=2.0, description="how often that is looked at")


class ExperimentFile(Model):
    """An experiment."""

    version: OptionalText = None
    title: Text
    description: Text
    tags: Texts = Field(default_factory=list)
    contributions: Annotated[dict[str, Any], EmptyMapping] = Field(default_factory=dict)
    configuration: Annotated[dict[str, Any], EmptyMapping] = Field(default_factory=dict)
    secrets: Annotated[dict[str, Any], EmptyMapping] = Field(default_factory=dict)
    hypothesis: Annotated[HypothesisEntry | None, Given] = Field(default=None, alias="steady-state-hypothesis")
    method: Annotated[list[ActivityEntry], EmptyList]
    rollbacks: Annotated[list[ActivityEntry], EmptyList] = Field(default_factory=list)
    controls: NoControls = None
    extensions: Any = None
    asgard: Annotated[AsgardEntry, EmptyMapping] = Field(default_factory=AsgardEntry)
