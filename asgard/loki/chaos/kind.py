"""What every kind of fault consists of, so that the same code (`breaking`) injects, records and puts back all of them.

A kind is two functions: `plan` looks at the cluster and says what would be done, with all that is needed to put it back;
`restore` puts it back from that record alone, in another process if need be, and can be repeated. It leaves alone what is
as it was before, or what another tool has changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asgard.kafka.ports import ControlPlane, NodeControl


class Notes:
    """Where a fault of several steps records, before each step, what `restore` needs to know about it."""

    def __init__(self) -> None:
        self.write: Callable[[Mapping[str, Any]], None] = lambda changes: None


@dataclass(frozen=True)
class FaultPlan:
    """A fault that is about to happen: `do` breaks, `undo` is what `restore` needs (plain JSON, no secret).

    `undo` names this `host` if only this machine can put it back: the journal may be shared.
    What `do` writes into `notes` replaces those keys of `undo`, on disk when it returns. `brokers` are those that stop serving because of it; `processes` and `machines` count what else it touches. `text` describes it
    for people, as in "broker 2 killed". Without `lasts` it is over, and put back, when `do` returns.
    """

    subject: str
    text: str
    do: Callable[[], None]
    undo: Mapping[str, Any] = field(default_factory=dict)
    brokers: tuple[int, ...] = ()
    processes: int = 0
    machines: int = 0
    lasts: bool = True
    notes: Notes = field(default_factory=Notes)


@dataclass(frozen=True)
class Reach:
    """What putting back may use. `control` connects at the first call: a dead cluster's brokers are started without it."""

    control: Callable[[], ControlPlane]
    nodes: NodeControl | None


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault. `plan` takes a `ChaosSite` and its arguments by name; it raises WrongUsage if they are wrong, and Refused."""

    plan: Callable[..., FaultPlan]
    restore: Callable[[Reach, Mapping[str, Any]], str]
