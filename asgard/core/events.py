"""Events of running work: plain data that the caller renders (a terminal, a page, a log, JSON lines).

Code below the command line reports with `step`, `progress`, `note` and `warn`, without knowing the listener. A caller
listens with `with listening(sink):`; without a listener nothing is shown. The listener belongs to the operation, not to
the process: it is a context variable, so two requests of one server never get each other's events. A thread starts with
an empty context, so work for a thread goes through `carried`.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a person may want to read. `text` is one sentence or phrase, without markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Step(Event):
    """A step of the work started."""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """Progress of long work. `what` names the work; `done` and `total` count `unit`s, if known."""

    what: str = ""
    done: float | None = None
    total: float | None = None
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Note(Event):
    """Something worth a line, such as what was settled or which file was read. `data` is the same for programs."""

    data: Any = None


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something the user should know although the work continues."""


Sink = Callable[[Event], None]

_sink: contextvars.ContextVar[Sink | None] = contextvars.ContextVar("asgard_events", default=None)


def emit(event: Event) -> None:
    """Hand an event to the listener of this operation."""
    sink = _sink.get()
    if sink is not None:
        sink(event)


def step(text: str) -> None:
    """A step of the work starts."""
    emit(Step(text))


def progress(what: str, text: str, *, done: float | None = None, total: float | None = None, unit: str = "") -> None:
    """Progress of the work named `what`; cheap, may be called often."""
    emit(Progress(text, what, done, total, unit))


def note(text: str, data: Any = None) -> None:
    """A line worth reading."""
    emit(Note(text, data))


def warn(text: str) -> None:
    """Something the user should know although the work continues."""
    emit(Warned(text))


@contextmanager
def listening(sink: Sink) -> Iterator[None]:
    """Send this operation's events to `sink` inside the block, and to the previous listener after it."""
    token = _sink.set(sink)
    try:
        yield
    finally:
        _sink.reset(token)


@contextmanager
def titled(title: str) -> Iterator[None]:
    """Prefix the events of the block with `title`, as those of a step of something larger."""
    outer = _sink.get()
    if outer is None:
        yield
        return
    with listening(lambda event: outer(replace(event, text=f"{title}: {event.text}"))):
        yield


def fall_back_to(sink: Sink) -> None:
    """Send events to `sink` if nothing else listens; for code called by another program's threads, for as long as they
    live."""
    if _sink.get() is None:
        _sink.set(sink)


@contextmanager
def silence() -> Iterator[None]:
    """Drop the events of the block: for work of which only the result matters."""
    with listening(lambda event: None):
        yield


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """The function with this operation's context, for a thread started with it. Use one carried function per thread."""
    context = contextvars.copy_context()

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.run(function, *args, **kwargs)

    return call
