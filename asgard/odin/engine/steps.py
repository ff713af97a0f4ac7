"""What a run did or would do, as plain data: steps, events while it goes on, failures, the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from asgard.core.errors import AsgardError, ExitCode

Op = Literal[
    "same",
    "create",
    "update",
    "replace",
    "create-replacement",
    "delete-replaced",
    "delete",
    "read",
    "refresh",
    "import",
    "remove-pending-replace",
]
"""Pulumi's names (pkg/resource/deploy/step.go)."""

CHANGES: Final[frozenset[str]] = frozenset({"create", "update", "replace", "delete", "import"})
"""The steps that count as changes for the user; `create-replacement` and `delete-replaced` are the two halves of
`replace`."""

PROVIDER_PREFIX: Final = "pulumi:providers:"
STACK_TYPE: Final = "pulumi:pulumi:Stack"


@dataclass
class Step:
    """One step for one resource. `old` and `new` are inputs in displayable form: `[secret]`, `[unknown]`."""

    op: Op
    urn: str
    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None
    diff: dict[str, str] = field(default_factory=dict)
    """Property path -> `add`, `update`, `delete`, or one of these with `-replace`."""
    replace_keys: list[str] = field(default_factory=list)
    """The properties that can't be changed in place."""
    id: str | None = None
    """The provider's name for the resource, where known."""

    @property
    def type(self) -> str:
        """The resource's own type, without its parents'."""
        return self.urn.split("::")[2].rpartition("$")[2]

    @property
    def name(self) -> str:
        """The name that the program gave."""
        return self.urn.split("::", 3)[3]

    @property
    def is_bookkeeping(self) -> bool:
        """Whether it is about the stack itself or a provider, which exist only in the state."""
        return self.type == STACK_TYPE or self.type.startswith(PROVIDER_PREFIX)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        data: dict[str, Any] = {"op": self.op, "urn": self.urn, "type": self.type, "name": self.name}
        for key in ("id", "old", "new", "diff", "replace_keys"):
            if getattr(self, key):
                data[key] = getattr(self, key)
        return data


@dataclass(frozen=True)
class Failure:
    """What failed, on what, and what to do next. `urn` is empty if it isn't about one resource."""

    urn: str
    message: str
    hint: str | None = None
    exit_code: ExitCode = ExitCode.FAILED
    error: BaseException | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The resource's name, or an empty text."""
        return self.urn.split("::", 3)[3] if self.urn else ""

    @classmethod
    def of(cls, urn: str, error: BaseException) -> Failure:
        """The sentences of an exception: Asgard's own errors bring a hint and an exit code."""
        if isinstance(error, AsgardError):
            return cls(urn, error.what, error.hint, error.exit_code, error)
        return cls(urn, str(error) or type(error).__name__, None, ExitCode.FAILED, error)


@dataclass(frozen=True)
class Event:
    """Something happened during a run, for progress. `skipped`: a resource it needs has failed. `log`: a message of the
    program."""

    kind: Literal["start", "done", "failed", "skipped", "log"]
    step: Step | None = None
    message: str = ""


OnEvent = Callable[[Event], None]


@dataclass
class Result:
    """The outcome of a run."""

    steps: list[Step] = field(default_factory=list)
    """In the order in which they were done, or would be."""
    outputs: dict[str, Any] = field(default_factory=dict)
    """The stack's outputs in displayable form."""
    errors: list[Failure] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """URNs that were skipped because a resource they need has failed."""
    warnings: list[str] = field(default_factory=list)
    interrupted: bool = False
    secret_outputs: dict[str, Any] = field(default_factory=dict, repr=False)
    """The stack's outputs in the clear, for callers that may have them; never print this."""

    @property
    def counts(self) -> dict[str, int]:
        """How many resources had each step; without the stack itself and providers."""
        return dict(Counter(step.op for step in self.steps if not step.is_bookkeeping))

    @property
    def has_changes(self) -> bool:
        """Whether there is anything but `same` (bookkeeping counts too)."""
        return any(step.op in CHANGES for step in self.steps)

    @property
    def ok(self) -> bool:
        """Whether everything succeeded."""
        return not self.errors and not self.interrupted

    @property
    def exit_code(self) -> ExitCode:
        """The exit code for a command; if errors differ, refusals and time-outs yield to plain failures."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        codes = {failure.exit_code for failure in self.errors}
        return ExitCode.OK if not codes else codes.pop() if len(codes) == 1 else ExitCode.FAILED
